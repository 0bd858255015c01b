import Model

extension ProcFS {
  /// The mappings of /proc/PID/maps that may be executed, ascending; without figures of memory, which would cost a walk of
  /// the page tables.
  func codeMappings(of pid: Int32) throws(PlatformError) -> [Mapping] {
    let directory = try directory(of: pid)
    let text = try contents("maps", directory, pid, limit: Self.smapsLimit, expected: 64 << 10)
    var mappings: [Mapping] = []
    var reader = ByteReader(text)
    while reader.current != nil {
      guard let end = reader.lineEnd(), let entry = Smaps.header(text, reader.position, end) else {
        throw PlatformError(.malformed, context: "maps: line at byte \(reader.position)")
      }
      reader.position = end + 1
      guard entry.permissions.contains(.execute) else { continue }
      mappings.append(
        Mapping(
          start: entry.start, end: entry.end, permissions: entry.permissions, offset: entry.offset,
          backing: backing(entry, text[entry.name], directory, pid), usage: MemoryUsage()))
    }
    return mappings
  }
}

/// A place in a program: an address in a file, or one in memory that no readable file backs.
struct CodeLocation: Hashable, Sendable {
  /// Index of the image; nil for code without a file (made at run time, or the kernel's).
  var image: Int?
  /// As in the file; the address in memory without one.
  var address: UInt64
}

/// Which file the code at an address of a process comes from. Read when an unknown address turns up, at most once a round.
/// Files stay open once they were met, so that what is unloaded later is still known. For one thread.
final class CodeMap {
  /// Files kept open at most; code of more has no names and is not unwound through.
  static let imageLimit = 512

  struct Image {
    var file: FileReference
    /// Nil when it could not be opened, or is no ELF file.
    var elf: ElfImage?
    var table: UnwindTable?
  }
  private struct Key: Hashable {
    var device: UInt64
    var inode: UInt64
  }
  private struct Span {
    var start: UInt64
    var end: UInt64
    var offset: UInt64
    var image: Int?
  }

  private let pid: Int32
  private let proc: ProcFS
  private let cache = BlockCache()
  private(set) var images: [Image] = []
  private var indexOfFile: [Key: Int] = [:]
  private var spans: [Span] = []
  private var mayRead = true

  init(pid: Int32, proc: ProcFS = ProcFS()) {
    self.pid = pid
    self.proc = proc
    read()
  }

  /// A new round: what is not known may be looked up again.
  func beginRound() { mayRead = true }

  /// Nil for an address that is no code.
  func location(of address: UInt64) -> CodeLocation? {
    if let found = lookUp(address) { return found }
    guard mayRead else { return nil }
    read()
    return lookUp(address)
  }

  private func lookUp(_ address: UInt64) -> CodeLocation? {
    var (low, high) = (0, spans.count)
    while low < high {
      let middle = (low + high) / 2
      if spans[middle].end <= address { low = middle + 1 } else { high = middle }
    }
    guard low < spans.count, spans[low].start <= address else { return nil }
    let span = spans[low]
    guard let index = span.image, let elf = images[index].elf,
      let inFile = elf.address(ofOffset: address - span.start &+ span.offset)
    else { return CodeLocation(image: nil, address: address) }
    return CodeLocation(image: index, address: inFile)
  }

  /// The process may be gone or have become another program: then what was known stays.
  private func read() {
    mayRead = false
    guard let mappings = try? proc.codeMappings(of: pid), !mappings.isEmpty else { return }
    spans = mappings.map { Span(start: $0.start, end: $0.end, offset: $0.offset, image: image($0)) }
  }

  private func image(_ mapping: Mapping) -> Int? {
    guard case .file(let file) = mapping.backing else { return nil }
    let key = Key(device: file.device, inode: file.inode)
    if let known = indexOfFile[key] { return known }
    guard images.count < Self.imageLimit else { return nil }
    var image = Image(file: file)
    if let open = try? proc.openMappedFile(of: pid, mapping),
      let elf = try? ElfImage(file: open, number: UInt32(images.count), cache: cache)
    {
      image.elf = elf
      image.table = UnwindTable(image: elf)
    }
    images.append(image)
    indexOfFile[key] = images.count - 1
    return images.count - 1
  }
}
