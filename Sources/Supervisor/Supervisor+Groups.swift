import Model

extension Supervisor {
  /// 64 MiB at a time: others go on between them.
  private static var groupShare: Bytes { .mebibytes(64) }
  /// Calls in which the group gave nothing, until it is let be.
  private static var vainCalls: Int { 2 }

  /// The kernel's own choice: what was used least lately in a control group that only these processes are in.
  ///
  /// - Parameter missing: Bytes still wanted; nil when no amount was given.
  func reclaimGroup(_ climber: inout Climber, _ missing: Bytes?, meant: Set<Int32>) async {
    let begin = now()
    var report = RungReport(rung: .controlGroup)
    defer {
      report.seconds = Double(now().monotonic - begin.monotonic) / 1e9
      climber.report.rungs.append(report)
    }
    guard climber.files == nil else {
      report.refusal = "not-of-a-package"
      return
    }
    guard let missing, let pages else {
      report.refusal = missing == nil ? "unavailable:no-amount" : "unavailable:no-cgroup-v2"
      return
    }
    // A group it shares with another one that is meant may have given enough.
    guard missing > .zero else { return }
    rungUnderWay[climber.pid] = .controlGroup
    defer { rungUnderWay[climber.pid] = nil }
    report.before = try? inspector.totals(of: climber.pid)
    var taken = Bytes.zero
    var vain = 0
    var hasMore = true
    while hasMore, vain < Self.vainCalls, taken < missing {
      guard (try? inspector.isRunning(climber.report.process)) == true else {
        report.refusal = "process-ended"
        break
      }
      switch pages.reclaimGroup(min(missing - taken, Self.groupShare), of: climber.pid, meant: meant) {
      case .taken(let bytes, let more):
        taken += bytes
        vain = bytes > .zero ? 0 : vain + 1
        hasMore = more
      case .unavailable(let why):
        // The group may change between two calls: what came back stays.
        if taken == .zero { report.refusal = why.hasPrefix("kernel:") ? why : "unavailable:\(why)" }
        hasMore = false
      }
      await Task.yield()
    }
    if report.refusal == nil { report.count = taken.count }
    report.after = try? inspector.totals(of: climber.pid)
  }
}
