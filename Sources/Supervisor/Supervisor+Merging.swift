import Logging
import Model

extension Supervisor {
  /// 1 MiB: smaller mappings are many, and each is a question to the agent.
  private static var smallestMerged: Bytes { .mebibytes(1) }
  /// Mappings marked at once, the largest: a program may have tens of thousands.
  private static var mergedAtOnce: Int { 64 }
  /// 2 s: the kernel looks at 100 pages every 20 ms unless it is told otherwise, and twice at each before it merges it. What comes
  /// later is measured when the rule fires again.
  private static var mergingPatience: Double { 2 }

  /// Equal memory of all programs of a name is kept once from now on.
  func merge(programsNamed name: String, for rule: String) {
    let pids = Set(processes.values.filter { $0.facts.name == name }.map(\.facts.identity.pid))
    guard !pids.isEmpty else { return }
    guard !unloading.policy.settings.isDryRun else {
      logger.notice("rule would have equal pages merged", metadata: ["rule": "\(rule)", "program": "\(name)"])
      return
    }
    logger.notice("rule has equal pages merged", metadata: ["rule": "\(rule)", "program": "\(name)"])
    let request = ReclaimRequest(
      target: .processes(pids), rungs: [.equalPages], requester: Requester("rule \(rule)"), reason: .rule(rule))
    Task { _ = try? await reclaim(request) }
  }

  /// Only a rule asks for it: by the time a write to a merged page takes, a program can find out what another one holds.
  func obstacleToMerging(_ climber: Climber, _ request: ReclaimRequest) -> String? {
    guard case .rule = request.reason else { return "not-asked-for" }
    guard climber.files == nil else { return "not-of-a-package" }
    guard let pages else { return "unavailable:no-ksm" }
    return pages.mergingObstacle().map { "unavailable:\($0)" }
  }

  /// Marks private memory, and waits a moment for what the kernel makes of it. Which of it changes too often to be kept once the
  /// kernel finds out by itself: it merges no page whose content was another one at its last look.
  func merge(_ climber: Climber, _ session: SessionID, into report: inout RungReport) async {
    guard let mappings = try? inspector.mappings(of: climber.pid) else {
      report.refusal = "unreadable"
      return
    }
    let large = mappings.filter { mapping in
      guard case .anonymous(let label) = mapping.backing, !label.hasPrefix("stack"), mapping.permissions.contains(.write),
        !mapping.permissions.contains(.shared)
      else { return false }
      return mapping.usage.anonymous >= Self.smallestMerged
    }.sorted { ($1.usage.anonymous, $0.start) < ($0.usage.anonymous, $1.start) }.prefix(Self.mergedAtOnce)
    guard !large.isEmpty else {
      report.refusal = "nothing-resident"
      return
    }
    let before = pages?.merged(of: climber.pid)
    var marked = Bytes.zero
    var seconds = 0.0
    for mapping in large {
      var one = RungReport(rung: .equalPages)
      take(
        await ask(
          session, .merge(AddressRange(start: mapping.start, end: mapping.end), begins: true),
          within: climber.hasThread ? Self.reclaimAnswerLimit : Self.threadlessAnswerLimit), into: &one)
      seconds += one.agentSeconds ?? 0
      guard let refusal = one.refusal else {
        marked += mapping.usage.anonymous
        continue
      }
      report.remainders.append(ReclaimRemainder(reason: refusal, bytes: mapping.usage.anonymous))
      // One that does not answer will not answer for the next one either.
      if one.agentSeconds == nil { break }
    }
    report.agentSeconds = seconds
    guard marked > .zero else {
      report.refusal = report.remainders.first?.reason
      return
    }
    await takeMerged(climber.pid, from: before, marked, into: &report)
  }

  private func takeMerged(_ pid: Int32, from before: Bytes?, _ marked: Bytes, into report: inout RungReport) async {
    let begin = now().monotonic
    var merged = pages?.merged(of: pid)
    while let now = merged, now <= before ?? .zero, self.now().monotonic &- begin < UInt64(Self.mergingPatience * 1e9) {
      await pause(0.1)
      merged = pages?.merged(of: pid)
    }
    report.count = merged?.count
    if let merged, merged < marked {
      report.remainders.append(ReclaimRemainder(reason: "not-equal-yet", bytes: marked - merged))
    }
  }
}
