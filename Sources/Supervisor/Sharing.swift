import Model

/// What is known of a process's private and shared memory, and when to measure it again: the kernel walks every page table
/// of the process for it, which costs milliseconds where the rest of a listing costs microseconds.
struct Sharing: Hashable {
  /// 1 s: a listing that is repeated faster shows the figures before.
  static let shortestPause: UInt64 = 1_000_000_000
  /// 30 s: other processes come and go, so figures age even when the process itself stays as it is.
  static let longestAge: UInt64 = 30_000_000_000
  /// Processes measured for one listing, at most: those measured longest ago. What is left has older figures or none.
  static let measuredAtOnce = 16

  private(set) var figures: SharingFigures?
  private var takenAt: UInt64 = 0
  private var resident = Bytes.zero

  /// Whether the figures no longer say enough of a process that holds `resident` now.
  func isDue(resident now: Bytes, at time: UInt64) -> Bool {
    guard figures != nil else { return true }
    let age = time &- takenAt
    if age >= Self.longestAge { return true }
    return now != resident && age >= Self.shortestPause
  }

  /// Of several due, the one measured longest ago comes first.
  var order: UInt64 { figures == nil ? 0 : takenAt }

  mutating func take(_ usage: MemoryUsage, resident: Bytes, at moment: Moment) {
    figures = SharingFigures(usage: usage, measuredAt: moment.wall)
    takenAt = moment.monotonic
    self.resident = resident
  }
}

extension Supervisor {
  /// Measures those whose figures are due, as many as one listing may cost.
  func measureSharing(at moment: Moment) {
    let due = processes.filter { $0.value.sharing.isDue(resident: $0.value.facts.resident, at: moment.monotonic) }
      .map { (order: $0.value.sharing.order, pid: $0.key) }
      .sorted { ($0.order, $0.pid) < ($1.order, $1.pid) }
    for (_, pid) in due.prefix(Sharing.measuredAtOnce) {
      guard let resident = processes[pid]?.facts.resident else { continue }
      do throws(InspectionError) {
        processes[pid]?.sharing.take(try inspector.totals(of: pid), resident: resident, at: moment)
      } catch {
        // Not permitted or just gone: the figures stay unknown, and the listing stands without them.
        counters.unreadableProcesses += 1
      }
    }
  }
}
