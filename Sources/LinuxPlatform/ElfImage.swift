import Glibc

/// Reads parts of one ELF file of this kind of machine (64 bits, little endian) through a cache of its blocks.
///
/// Never mapped: a file that becomes shorter gives nil, not SIGBUS. Every offset is checked against the size the file had
/// when it was opened, and nothing it says makes this read more than was asked for. For one thread.
final class ElfImage {
  struct Segment {
    var address: UInt64
    var offset: UInt64
    var fileSize: UInt64
    var isExecutable: Bool
  }
  struct Section {
    var type: UInt32
    var offset: UInt64
    var size: UInt64
    var link: Int
    var entrySize: UInt64
    var nameOffset: UInt64
  }
  /// e_machine: 62 x86-64, 183 arm64.
  let machine: UInt16
  /// PT_LOAD, as they stand in the file.
  private(set) var segments: [Segment] = []
  /// Address and size of PT_GNU_EH_FRAME.
  private(set) var unwindHeader: (address: UInt64, size: UInt64)?
  /// PT_NOTE, offset and size in the file.
  private(set) var notes: [(offset: UInt64, size: UInt64)] = []
  private let sectionOffset: UInt64
  private let sectionCount: Int
  private let sectionNames: Int

  private let file: OpenFile
  let size: UInt64
  private let cache: BlockCache
  private let number: UInt32

  /// - Parameter number: Distinguishes the image's blocks from those of others in the cache.
  init(file: consuming OpenFile, number: UInt32, cache: BlockCache) throws(PlatformError) {
    let status = try file.status("fstat an ELF file")
    guard status.st_mode & S_IFMT == S_IFREG else { throw elfError("not a regular file") }
    size = UInt64(max(0, status.st_size))
    self.file = file
    self.cache = cache
    self.number = number
    let head = try positionedBytes(self.file.descriptor, at: 0, upTo: 64, "read an ELF file")
    var cursor = ByteCursor(head[...])
    guard head.count == 64, head.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1]) else {
      throw elfError("not an ELF file of 64 bits and little endian")
    }
    cursor.position = 18
    machine = cursor.u16() ?? 0
    cursor.position = 32
    let programOffset = cursor.u64() ?? 0
    sectionOffset = cursor.u64() ?? 0
    cursor.position = 54
    let (entrySize, count) = (cursor.u16() ?? 0, Int(cursor.u16() ?? 0))
    let sectionSize = cursor.u16() ?? 0
    let sections = Int(cursor.u16() ?? 0)
    sectionNames = Int(cursor.u16() ?? 0)
    sectionCount = sectionSize == 64 ? sections : 0
    guard entrySize == 56, count <= 1024 else { throw elfError("program headers") }
    guard let table = bytes(at: programOffset, count: count * 56) else { throw elfError("program headers lie outside") }
    for index in 0..<count { take(ByteCursor(table[(index * 56)..<(index * 56 + 56)])) }
  }

  private func take(_ header: ByteCursor) {
    var header = header
    guard let type = header.u32(), let flags = header.u32(), let offset = header.u64(), let address = header.u64(),
      header.u64() != nil, let fileSize = header.u64()
    else { return }
    switch type {
    case 1:
      guard !address.addingReportingOverflow(fileSize).overflow, !offset.addingReportingOverflow(fileSize).overflow else {
        return
      }
      segments.append(Segment(address: address, offset: offset, fileSize: fileSize, isExecutable: flags & 1 != 0))
    case 4: notes.append((offset, fileSize))
    case 0x6474_E550: unwindHeader = (address, fileSize)
    default: return
    }
  }

  /// The address for a place in the file, by the first segment that holds it and may be executed.
  func address(ofOffset offset: UInt64) -> UInt64? {
    for segment in segments where segment.isExecutable && offset >= segment.offset {
      if offset - segment.offset < segment.fileSize { return segment.address + (offset - segment.offset) }
    }
    return nil
  }

  func offset(ofAddress address: UInt64) -> UInt64? {
    for segment in segments where address >= segment.address {
      if address - segment.address < segment.fileSize { return segment.offset + (address - segment.address) }
    }
    return nil
  }

  /// Section headers, at most 65,535. They may be stripped or lie.
  func sections() -> [Section] {
    guard sectionCount > 0, let table = bytes(at: sectionOffset, count: sectionCount * 64) else { return [] }
    return (0..<sectionCount).compactMap { index in
      var entry = ByteCursor(table[(index * 64)..<(index * 64 + 64)])
      guard let name = entry.u32(), let type = entry.u32(), entry.skip(16), let offset = entry.u64(), let size = entry.u64(),
        let link = entry.u32(), entry.skip(12), let entrySize = entry.u64()
      else { return nil }
      return Section(type: type, offset: offset, size: size, link: Int(link), entrySize: entrySize, nameOffset: UInt64(name))
    }
  }

  func name(of section: Section, in sections: [Section]) -> [UInt8] {
    guard sectionNames < sections.count else { return [] }
    return text(at: sections[sectionNames].offset &+ section.nameOffset, limit: 64) ?? []
  }

  /// Up to a zero byte; nil without one within `limit` bytes.
  func text(at offset: UInt64, limit: Int) -> [UInt8]? {
    guard offset < size, let bytes = bytes(at: offset, count: Int(min(UInt64(limit), size - offset))) else { return nil }
    guard let end = bytes.firstIndex(of: 0) else { return nil }
    return Array(bytes[..<end])
  }

  /// Exactly these bytes of the file, or nil.
  func bytes(at offset: UInt64, count: Int) -> [UInt8]? {
    guard count >= 0, offset <= size, UInt64(count) <= size - offset else { return nil }
    // What is large is read once and by its owner's leave: it does not pass the cache.
    if count > BlockCache.blockBytes {
      let bytes = try? positionedBytes(file.descriptor, at: offset, upTo: count, "read an ELF file")
      return bytes?.count == count ? bytes : nil
    }
    var result: [UInt8] = []
    result.reserveCapacity(count)
    var position = offset
    while result.count < count {
      let block = position / UInt64(BlockCache.blockBytes)
      let content = self.block(block)
      let start = Int(position % UInt64(BlockCache.blockBytes))
      let part = min(count - result.count, content.count - start)
      guard part > 0 else { return nil }
      result += content[start..<(start + part)]
      position += UInt64(part)
    }
    return result
  }

  /// At an address, inside one segment.
  func bytes(atAddress address: UInt64, count: Int) -> [UInt8]? {
    guard let offset = offset(ofAddress: address) else { return nil }
    return bytes(at: offset, count: count)
  }

  private func block(_ index: UInt64) -> [UInt8] {
    let key = BlockCache.Key(image: number, block: index)
    if let known = cache.blocks[key] { return known }
    let start = index * UInt64(BlockCache.blockBytes)
    let content =
      (try? positionedBytes(
        file.descriptor, at: start, upTo: Int(min(UInt64(BlockCache.blockBytes), size - start)), "read an ELF file")) ?? []
    cache.keep(content, key)
    return content
  }
}

/// Blocks of files that were read, all images of one profile together. When full it starts over.
final class BlockCache {
  static let blockBytes = 16 << 10
  /// 16 MiB.
  static let blockLimit = 1_024

  struct Key: Hashable {
    var image: UInt32
    var block: UInt64
  }
  fileprivate(set) var blocks: [Key: [UInt8]] = [:]

  func keep(_ content: [UInt8], _ key: Key) {
    if blocks.count >= Self.blockLimit { blocks.removeAll(keepingCapacity: true) }
    blocks[key] = content
  }
}

/// Numbers out of bytes, little endian. Nil beyond the end; never traps.
struct ByteCursor {
  private let bytes: ArraySlice<UInt8>
  /// From the beginning of the slice.
  var position = 0

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  var count: Int { bytes.count }
  var isAtEnd: Bool { position >= bytes.count }

  mutating func u8() -> UInt8? {
    guard position >= 0, position < bytes.count else { return nil }
    defer { position += 1 }
    return bytes[bytes.startIndex + position]
  }

  mutating func u16() -> UInt16? { number(2).map { UInt16(truncatingIfNeeded: $0) } }
  mutating func u32() -> UInt32? { number(4).map { UInt32(truncatingIfNeeded: $0) } }
  mutating func u64() -> UInt64? { number(8) }

  private mutating func number(_ width: Int) -> UInt64? {
    guard position >= 0, position <= bytes.count - width else { return nil }
    defer { position += width }
    var value: UInt64 = 0
    for index in 0..<width { value |= UInt64(bytes[bytes.startIndex + position + index]) << UInt64(8 * index) }
    return value
  }

  /// False, and nothing is skipped, when there is not as much.
  mutating func skip(_ count: Int) -> Bool {
    guard count >= 0, position <= bytes.count, count <= bytes.count - position else { return false }
    position += count
    return true
  }

  mutating func slice(_ count: Int) -> ArraySlice<UInt8>? {
    let start = position
    guard skip(count) else { return nil }
    return bytes[(bytes.startIndex + start)..<(bytes.startIndex + position)]
  }

  /// DWARF 4, section 7.6. Bits beyond 64 are dropped; at most ten bytes.
  mutating func unsignedLEB() -> UInt64? {
    var value: UInt64 = 0
    for index in 0..<10 {
      guard let byte = u8() else { return nil }
      value |= UInt64(byte & 0x7F) << UInt64(7 * index)
      if byte & 0x80 == 0 { return value }
    }
    return nil
  }

  mutating func signedLEB() -> Int64? {
    var value: UInt64 = 0
    for index in 0..<10 {
      guard let byte = u8() else { return nil }
      value |= UInt64(byte & 0x7F) << UInt64(7 * index)
      guard byte & 0x80 == 0 else { continue }
      let shift = UInt64(7 * (index + 1))
      if byte & 0x40 != 0, shift < 64 { value |= ~UInt64(0) << shift }
      return Int64(bitPattern: value)
    }
    return nil
  }
}
