import CELF
import Model

/// Reads what an ELF file says about itself. Safe from any thread; blocks on storage.
public struct ElfReader: Sendable {
  /// Bounds on what is read of one file; beyond them the answer is `tooLarge`.
  public struct Limits: Sendable, Hashable {
    /// Bytes read altogether. Symbols of the largest framework libraries take about 20 MiB.
    public var bytesRead = 64 << 20
    /// Longest name, in bytes.
    public var nameBytes = 4096
    /// All names together: they are kept.
    public var namesBytes = 64 << 10
    /// DT_NEEDED entries.
    public var needed = 4096
    /// Symbols looked at.
    public var symbols = 8 << 20

    /// The defaults.
    public init() {}
  }

  let limits: Limits

  /// - Parameter limits: Bounds on what is read of one file.
  public init(limits: Limits = Limits()) { self.limits = limits }

  /// Facts of an open regular file. The descriptor stays the caller's, its position is not moved.
  ///
  /// Errors: `malformed` for what is no program or shared library, or contradicts itself; `tooLarge` beyond the limits.
  /// All is read through the program headers, as the dynamic loader does: section headers may be stripped or lie.
  public func facts(descriptor: Int32) throws(PlatformError) -> ElfFacts {
    var source = try ElfSource(descriptor: descriptor, limit: limits.bytesRead)
    var facts = ElfFacts()
    let headers = try source.programHeaders()
    for header in headers {
      switch header.p_type {
      case UInt32(PT_LOAD):
        let size = Bytes(header.p_memsz)
        if header.p_flags & UInt32(PF_X) != 0 {
          facts.executableSize += size
        } else if header.p_flags & UInt32(PF_W) != 0 {
          facts.writableSize += size
        } else {
          facts.readOnlySize += size
        }
      case UInt32(PT_TLS): facts.threadLocalStorage = Bytes(header.p_memsz)
      case UInt32(PT_NOTE) where facts.buildID.isEmpty: facts.buildID = try buildID(header, &source)
      default: break
      }
    }
    // Separate debug information keeps the header of the segment but none of its bytes.
    if let dynamic = headers.first(where: { $0.p_type == UInt32(PT_DYNAMIC) }), dynamic.p_filesz > 0 {
      var section = try ElfDynamic(dynamic, headers, limits, &source)
      try section.fill(&facts, &source)
    }
    return facts
  }

  /// Facts of the file at `path` on this machine; `malformed` for anything but a regular file.
  public func facts(path: [UInt8]) throws(PlatformError) -> ElfFacts {
    let file = try RootDirectory(path: "/").openRegular(path)
    return try facts(descriptor: file.descriptor)
  }

  private func buildID(_ header: GElf_Phdr, _ source: inout ElfSource) throws(PlatformError) -> [UInt8] {
    guard header.p_filesz > 0 else { return [] }
    guard header.p_filesz <= 1 << 20 else { throw PlatformError(.tooLarge, context: "ELF file: notes") }
    let piece = try source.bytes(at: header.p_offset, count: Int(header.p_filesz))
    // Notes aligned to 8 bytes differ in padding only; gelf_getnote has to be told.
    let type = header.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR
    return source.withChunk(piece, type) { data in
      var offset = 0
      while offset < piece.count {
        var note = GElf_Nhdr()
        var name = 0
        var content = 0
        let next = gelf_getnote(data, offset, &note, &name, &content)
        guard next > offset, let buffer = data.pointee.d_buf else { break }
        // A build ID is a hash: 8 to 64 bytes. A longer one is no build ID.
        if note.n_type == UInt32(NT_GNU_BUILD_ID), note.n_namesz == 4, (1...64).contains(note.n_descsz),
          content <= piece.count, Int(note.n_descsz) <= piece.count - content, name <= piece.count - 4,
          UnsafeRawBufferPointer(start: buffer + name, count: 4).elementsEqual([0x47, 0x4E, 0x55, 0])
        {
          return Array(UnsafeRawBufferPointer(start: buffer + content, count: Int(note.n_descsz)))
        }
        offset = next
      }
      return []
    } ?? []
  }
}
