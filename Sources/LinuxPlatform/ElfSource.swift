import CELF
import Glibc

/// Bounded reads of one ELF file, and libelf's word on what the bytes mean for the file's class and byte order.
///
/// libelf never sees the file. It gets, in memory, the file's header without its section table followed by one piece that
/// was read here, of a size decided here. So a table that claims a billion sections costs nothing, and a file that is
/// truncated while it is read gives an error instead of the SIGBUS a mapping would.
struct ElfSource {
  let descriptor: Int32
  let size: UInt64
  /// Bytes that may still be read.
  private var remaining: Int
  /// The file's first 64 bytes with the numbers of program headers and sections set to none.
  private var header: [UInt8]
  private let isBigEndian: Bool
  let is64Bit: Bool
  private(set) var programHeaderOffset: UInt64 = 0
  private(set) var programHeaderCount = 0

  /// Where pieces start in libelf's copy; a multiple of every alignment it needs.
  private static let pieceOffset = 64
  private static let libraryVersion: UInt32 = elf_version(UInt32(EV_CURRENT))

  init(descriptor: Int32, limit: Int) throws(PlatformError) {
    var status = stat()
    _ = try retryingCall("fstat an ELF file") { fstat(descriptor, &status) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw elfError("not a regular file") }
    guard Self.libraryVersion != 0 else { throw PlatformError(.failed, context: "libelf is too old") }
    self.descriptor = descriptor
    size = UInt64(max(0, status.st_size))
    remaining = limit
    header = try positionedBytes(descriptor, at: 0, upTo: Self.pieceOffset, "read an ELF file")
    guard header.starts(with: [0x7F, 0x45, 0x4C, 0x46]) else { throw elfError("not an ELF file") }
    guard header.count >= 52, header[4] == 1 || header[4] == 2, header[5] == 1 || header[5] == 2, header[6] == 1 else {
      throw elfError("header is cut off or of an unknown class, byte order or version")
    }
    is64Bit = header[4] == 2
    isBigEndian = header[5] == 2
    guard header.count == 64 || !is64Bit else { throw elfError("header is cut off") }
    header += [UInt8](repeating: 0, count: Self.pieceOffset - header.count)
    try readHeader()
  }

  private mutating func readHeader() throws(PlatformError) {
    // e_shoff and e_shnum, e_shstrndx: see elf(5). The entry sizes between them are fixed by the class.
    let (offset, numbers) = is64Bit ? (40..<48, 60..<64) : (32..<36, 48..<52)
    for index in offset { header[index] = 0 }
    for index in numbers { header[index] = 0 }
    let found = withLibrary([]) { elf -> GElf_Ehdr? in
      var found = GElf_Ehdr()
      return gelf_getehdr(elf, &found) == nil ? nil : found
    }
    guard let found = found ?? nil else { throw elfError("header") }
    guard found.e_type == UInt16(ET_DYN) || found.e_type == UInt16(ET_EXEC) else {
      throw elfError("neither a program nor a shared library (type \(found.e_type))")
    }
    guard found.e_phnum != UInt16.max, found.e_phnum <= 1024 else {
      throw PlatformError(.tooLarge, context: "ELF file: \(found.e_phnum) program headers")
    }
    programHeaderOffset = found.e_phoff
    programHeaderCount = Int(found.e_phnum)
    setProgramHeaders(count: 0)
  }

  private mutating func setProgramHeaders(count: Int) {
    let (offset, width, number) = is64Bit ? (32, 8, 56) : (28, 4, 44)
    for index in offset..<(offset + width) { header[index] = 0 }
    header[isBigEndian ? offset + width - 1 : offset] = count == 0 ? 0 : UInt8(Self.pieceOffset)
    header[number] = UInt8(truncatingIfNeeded: isBigEndian ? count >> 8 : count)
    header[number + 1] = UInt8(truncatingIfNeeded: isBigEndian ? count : count >> 8)
  }

  /// Exactly these bytes of the file.
  mutating func bytes(at offset: UInt64, count: Int) throws(PlatformError) -> [UInt8] {
    guard count >= 0, offset <= size, UInt64(count) <= size - offset else {
      throw elfError("something lies beyond the end of the file")
    }
    guard count <= remaining else { throw PlatformError(.tooLarge, context: "ELF file: more to read than the limit") }
    remaining -= count
    let bytes = try positionedBytes(descriptor, at: offset, upTo: count, "read an ELF file")
    guard bytes.count == count else { throw elfError("it became shorter while it was read") }
    return bytes
  }

  mutating func programHeaders() throws(PlatformError) -> [GElf_Phdr] {
    guard programHeaderCount > 0 else { throw elfError("no program headers") }
    let piece = try bytes(at: programHeaderOffset, count: programHeaderCount * (is64Bit ? 56 : 32))
    setProgramHeaders(count: programHeaderCount)
    defer { setProgramHeaders(count: 0) }
    let count = programHeaderCount
    let headers = withLibrary(piece) { elf in
      (0..<count).compactMap { index -> GElf_Phdr? in
        var header = GElf_Phdr()
        return gelf_getphdr(elf, Int32(index), &header) == nil ? nil : header
      }
    }
    guard let headers, headers.count == count else { throw elfError("program headers") }
    return headers
  }

  /// The entries of a table in the file, in this machine's form.
  mutating func entries<Entry>(
    at offset: UInt64, count: Int, of type: Elf_Type, _ read: (UnsafeMutablePointer<Elf_Data>, Int32) -> Entry?
  ) throws(PlatformError) -> [Entry] {
    let piece = try bytes(at: offset, count: count * entrySize(type))
    guard count > 0 else { return [] }
    let entries = withChunk(piece, type) { data in (0..<count).compactMap { read(data, Int32($0)) } }
    guard let entries, entries.count == count else { throw elfError("a table") }
    return entries
  }

  /// 32-bit words.
  mutating func words(at offset: UInt64, count: Int) throws(PlatformError) -> [UInt32] {
    try entries(at: offset, count: count, of: ELF_T_WORD) { data, index in
      guard let buffer = data.pointee.d_buf, data.pointee.d_size >= (Int(index) + 1) * 4 else { return nil }
      return buffer.loadUnaligned(fromByteOffset: Int(index) * 4, as: UInt32.self)
    }
  }

  /// Bytes one entry takes in the file.
  func entrySize(_ type: Elf_Type) -> Int {
    switch type {
    case ELF_T_DYN: is64Bit ? 16 : 8
    case ELF_T_SYM: is64Bit ? 24 : 16
    default: 4
    }
  }

  /// Gives `body` the piece as libelf translates it; nil when libelf refuses.
  func withChunk<Result>(
    _ piece: [UInt8], _ type: Elf_Type, _ body: (UnsafeMutablePointer<Elf_Data>) -> Result
  ) -> Result? {
    let result = withLibrary(piece) { elf -> Result? in
      guard let data = elf_getdata_rawchunk(elf, Int64(Self.pieceOffset), piece.count, type) else { return nil }
      return body(data)
    }
    return result ?? nil
  }

  private func withLibrary<Result>(_ piece: [UInt8], _ body: (OpaquePointer) -> Result) -> Result? {
    let image = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceOffset + piece.count, alignment: 16)
    defer { image.deallocate() }
    image.copyBytes(from: header)
    UnsafeMutableRawBufferPointer(rebasing: image[Self.pieceOffset...]).copyBytes(from: piece)
    guard let elf = elf_memory(image.baseAddress!.assumingMemoryBound(to: CChar.self), image.count) else { return nil }
    defer { elf_end(elf) }
    return body(elf)
  }
}

func elfError(_ what: String) -> PlatformError { PlatformError(.malformed, context: "ELF file: \(what)") }
