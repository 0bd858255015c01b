import CFuzz
import Glibc
import Model

@testable import LinuxPlatform
@testable import Supervised

/// A valid segment of which the input rewrites pieces: each is three bytes of offset, one of length, and that many bytes.
/// Undone afterwards, so that every input starts from the same segment.
final class SegmentStage: @unchecked Sendable {
  static let shared = SegmentStage()

  private let descriptor: Int32
  private let base: UnsafeMutableRawPointer
  private let size: Int

  /// What /proc says of the process that the segment's two modules are from: the program in two mappings, the library, memory.
  private static let mappings: [Mapping] = {
    func file(_ inode: UInt64, _ path: String) -> Mapping.Backing {
      .file(FileReference(device: 8 << 32 | 1, inode: inode, path: Array(path.utf8), isDeleted: false))
    }
    let program = file(1, "/usr/bin/python3")
    let rows: [(start: UInt64, Mapping.Permissions, Mapping.Backing)] = [
      (0x10000, [.read, .execute], program), (0x12000, [.read, .write], program), (0x14000, .read, .anonymous(label: "")),
      (0x20000, [.read, .execute], file(2, "/usr/lib/libz.so.1")), (0x22000, [.read, .write], .anonymous(label: "heap")),
    ]
    return rows.map { start, permissions, backing in
      Mapping(
        start: start, end: start + 0x2000, permissions: permissions, offset: 0, backing: backing, usage: MemoryUsage())
    }
  }()

  private init() {
    var address: UnsafeMutableRawPointer?
    var length = 0
    descriptor = fuzz_segment(&address, &length)
    guard descriptor >= 0, let address else { fatalError("no segment, errno \(errno)") }
    base = address
    size = length
  }

  func read(_ input: [UInt8]) {
    var undo: [(Int, [UInt8])] = []
    var index = 0
    while index + 4 <= input.count {
      let wanted = Int(input[index]) | Int(input[index + 1]) << 8 | Int(input[index + 2]) << 16
      let length = min(Int(input[index + 3]), input.count - index - 4)
      let offset = wanted % size
      let count = min(length, size - offset)
      undo.append((offset, Array(UnsafeRawBufferPointer(start: base + offset, count: count))))
      input.withUnsafeBytes { (base + offset).copyMemory(from: $0.baseAddress! + index + 4, byteCount: count) }
      index += 4 + length
    }
    if let segment = try? AgentSegment(descriptor: descriptor) {
      consume(segment.summary().modulesLoaded)
      consume(Int(truncatingIfNeeded: segment.heap().live.count))
      if let report = segment.report() {
        for module in report.modules { consume(shown(module.path).utf8.count) }
        consume(Inventory(mappings: Self.mappings, agentModules: report.modules).objects.count)
      }
      let (events, next, lost) = segment.events(from: 0)
      for event in events { consume(shown(event.text).utf8.count) }
      consume(Int(truncatingIfNeeded: lost))
      _ = segment.events(from: next)
    }
    for (offset, bytes) in undo.reversed() {
      bytes.withUnsafeBytes { (base + offset).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }
  }
}
