import Model

/// When each mapped file of one process was last seen in use. Only observations enter: a file never observed has no time.
///
/// Evidence is a referenced bit set since the bits were last cleared, or a load. Its absence is no evidence of disuse by one
/// sample, which is why a time here is "last seen", never "idle since".
struct LastUse {
  struct FileKey: Hashable {
    var device: UInt64
    var inode: UInt64
  }
  /// CLOCK_MONOTONIC nanoseconds.
  private var seen: [FileKey: UInt64] = [:]
  /// The first scan: what was not seen in use since then has been idle for at least as long.
  private(set) var beganAt: UInt64?
  private var ticksAtScan: UInt64?

  /// The bits have been cleared once.
  var hasBegun: Bool { ticksAtScan != nil }

  /// True when the process has run since the last scan, so that looking again can tell something.
  func isWorthScanning(processorTicks: UInt64) -> Bool { ticksAtScan != processorTicks }

  /// Takes the mappings as they were just before the bits are cleared again. The first scan only starts the observation:
  /// its bits were set at an unknown time.
  mutating func scan(_ mappings: [Mapping], processorTicks: UInt64, at time: UInt64) {
    defer { ticksAtScan = processorTicks }
    if beganAt == nil { beganAt = time }
    note(mappings, at: time)
  }

  /// The same between two scans: the bits stay, and so does what the next one looks for.
  mutating func note(_ mappings: [Mapping], at time: UInt64) {
    var present: Set<FileKey> = []
    for mapping in mappings {
      guard case .file(let file) = mapping.backing else { continue }
      let key = FileKey(device: file.device, inode: file.inode)
      present.insert(key)
      if ticksAtScan != nil, mapping.usage.referenced > .zero { seen[key] = time }
    }
    // Bounded by what is mapped.
    seen = seen.filter { present.contains($0.key) }
  }

  /// The bits have been cleared after something that was no use of the program's own: what was set until then says nothing, nor does
  /// the processor time it took.
  mutating func passOver(processorTicks: UInt64) {
    if ticksAtScan != nil { ticksAtScan = processorTicks }
  }

  /// The later of the last observation and the last load, CLOCK_MONOTONIC.
  func time(of file: FileReference, loadedAt: UInt64?) -> UInt64? {
    let observed = seen[FileKey(device: file.device, inode: file.inode)]
    guard let observed else { return loadedAt }
    guard let loadedAt else { return observed }
    return max(observed, loadedAt)
  }
}
