import Glibc
import Model

/// Blocks of glibc's malloc that have a mapping of their own, as their headers say: what of the live heap does not lie in arenas.
public struct MappedBlocks: Sendable {
  private let proc: ProcFS

  public init(proc: ProcFS = ProcFS()) { self.proc = proc }

  /// M_MMAP_THRESHOLD as it begins; a program may lower it, and then smaller ones are missed.
  static let least: UInt64 = 128 << 10
  /// IS_MMAPPED of malloc/malloc.c, alone of the three lowest bits of a chunk's size.
  private static let isMapped: UInt64 = 2
  /// Headers read at most in one process: 64 MiB of pages in which there is none.
  static let limit = 16_384

  /// Bytes of their mappings, headers and the rest of the last page included.
  ///
  /// The kernel joins neighbouring mappings, whoever made them: chunks are followed by their sizes, and other pages passed over one by
  /// one. Reads 16 bytes of each, which
  /// brings no page back (what lies in a swap is passed over). Errors: `notPermitted` without the right to trace the process, `gone`.
  public func bytes(of identity: ProcessIdentity, in mappings: [Mapping]) throws(PlatformError) -> Bytes {
    let directory = try proc.directory(of: identity.pid)
    let memory = try openPath("mem", in: directory, O_RDONLY)
    guard try proc.identity(of: identity.pid) == identity else {
      throw PlatformError(.gone, context: "\(identity.pid) is another process")
    }
    let page = ProcFS.pageSize
    var sum = Bytes.zero
    var read = 0
    for mapping in mappings where Self.mayHold(mapping) {
      var place = mapping.start
      while place < mapping.end, read < Self.limit {
        read += 1
        guard let size = header(memory.descriptor, at: place) else { break }
        let bytes = size & ~7
        guard size & 7 == Self.isMapped, bytes >= Self.least, bytes % page == 0, bytes <= mapping.end - place else {
          place += page
          continue
        }
        sum += Bytes(bytes)
        place += bytes
      }
    }
    return sum
  }

  private static func mayHold(_ mapping: Mapping) -> Bool {
    // With glibc.mem.decorate_maps it says so itself.
    guard case .anonymous(let label) = mapping.backing, label.isEmpty || label.hasPrefix("anon: glibc: malloc") else {
      return false
    }
    return mapping.permissions == [.read, .write] && mapping.end > mapping.start && mapping.end - mapping.start >= least
      && mapping.usage.swap == .zero && mapping.usage.resident > .zero
  }

  /// The second word of a chunk; nil when it cannot be read.
  private func header(_ descriptor: Int32, at place: UInt64) -> UInt64? {
    guard let offset = off_t(exactly: place) else { return nil }
    var words: (UInt64, UInt64) = (0, 0)
    let count = withUnsafeMutableBytes(of: &words) { pread(descriptor, $0.baseAddress, $0.count, offset) }
    return count == 16 ? words.1 : nil
  }
}
