import Logging
import Model
import Policy

extension Supervisor {
  /// Carries out what was decided, or records that it would have been.
  func carryOut(_ decisions: [Decision], _ memory: MemoryPressure?, at moment: Moment) {
    guard !decisions.isEmpty else { return }
    if unloading.policy.settings.isDryRun {
      for decision in decisions { say(decision, memory, at: moment) }
      return
    }
    // Processes that hold the same package let go of it together: a page that another one maps does not come back.
    var keys: [ReclaimUnit] = []
    var groups: [ReclaimUnit: [Decision]] = [:]
    for decision in decisions {
      let key = ReclaimUnit(decision.unit.kind, decision.unit.name)
      if groups[key] == nil { keys.append(key) }
      groups[key, default: []].append(decision)
    }
    let ordered = keys.compactMap { groups[$0] }
    let cycle = unloading.cycle
    unloading.acting.formUnion(decisions.map(\.unit))
    Task {
      for group in ordered {
        await act(group, memory, cycle: cycle)
        unloading.acting.subtract(group.map(\.unit))
      }
    }
  }

  /// Nothing is touched: the policy learns at once that nothing will come of it.
  private func say(_ decision: Decision, _ memory: MemoryPressure?, at moment: Moment) {
    let outcome = UnloadOutcome(unit: decision.unit, result: .dryRun, seconds: 0)
    unloading.policy.record(outcome, at: Instant(nanoseconds: moment.monotonic))
    guard unloading.isWorthRecording(decision, at: moment.monotonic) else { return }
    logger.info(
      "would unload",
      metadata: [
        "unit": "\(decision.unit)", "reason": "\(decision.reason.text)", "predicted": "\(decision.predicted.count)",
      ])
    recorder?.record(
      record(of: decision, memory, cycle: unloading.cycle, at: moment), outcome: outcome, because: decision.reason)
  }

  private func record(of decision: Decision, _ memory: MemoryPressure?, cycle: UInt64, at moment: Moment) -> DecisionRecord {
    DecisionRecord(
      Judgement(unit: decision.unit, verdict: .unload(decision.reason), figures: decision.figures), time: moment.wall,
      cycle: cycle, memory: memory, requester: Requester("schedule"))
  }

  /// One package, in all the processes in which it was decided to go.
  private func act(_ decisions: [Decision], _ memory: MemoryPressure?, cycle: UInt64) async {
    guard let first = decisions.first else { return }
    let begin = now()
    let numbers = decisions.map { recorder?.begin(record(of: $0, memory, cycle: cycle, at: begin)) }
    var dropsCache = false
    if case .memoryPressure = first.reason { dropsCache = true }
    let pids = Set(decisions.compactMap(\.unit.process?.pid))
    let isHeap = first.unit.kind == .heap
    let request = ReclaimRequest(
      target: isHeap ? .processes(pids) : .package(first.unit.name, pids: pids),
      rungs: isHeap ? [.trim] : [.closedModules, .modulePages],
      dropsCache: dropsCache, requester: Requester("schedule"), reason: first.reason, isDecided: true)
    var reports: [ProcessIdentity: ReclaimReport] = [:]
    var failure = "not-there"
    do throws(CommandError) {
      for report in try await reclaim(request).reports { reports[report.process] = report }
    } catch {
      failure = error.word
    }
    let end = now()
    // What is left of them now: a process that computes nothing is not looked at again by itself.
    for pid in pids.sorted() {
      if let mappings = try? inspector.mappings(of: pid) { noteUnits(pid, mappings, at: end) }
    }
    for (decision, number) in zip(decisions, numbers) {
      let report =
        decision.unit.process.flatMap { reports[$0] }
        ?? ReclaimReport(
          process: decision.unit.process ?? ProcessIdentity(pid: 0, startTicks: 0), processName: "",
          package: decision.unit.name, refusal: failure)
      take(report, of: decision, number, at: end)
    }
  }

  private func take(_ report: ReclaimReport, of decision: Decision, _ number: UInt64?, at moment: Moment) {
    let record = OutcomeRecord(report, unit: decision.unit, because: decision.reason, time: moment.wall)
    let freed = report.cameBack ?? .zero
    unloading.policy.record(
      UnloadOutcome(
        unit: decision.unit, result: freed > .zero ? .freed(freed) : .kept(record.obstacle ?? "not-measured"),
        seconds: report.seconds), at: Instant(nanoseconds: moment.monotonic))
    if freed > .zero, let after = report.packageAfter { unloading.left[decision.unit] = after.fileBacked }
    if let number { recorder?.finish(number, record) }
    logger.info(
      freed > .zero ? "unloaded" : "could not unload",
      metadata: [
        "unit": "\(decision.unit)", "reason": "\(decision.reason.text)", "predicted": "\(decision.predicted.count)",
        "freed": "\(freed.count)", "obstacle": "\(record.obstacle ?? "none")",
      ])
  }

  /// Collectors and allocators of every watched process that is idle give back what they hold for nothing.
  func collect(for rule: String) {
    guard !unloading.policy.settings.isDryRun else {
      logger.notice("rule would have all collect", metadata: ["rule": "\(rule)"])
      return
    }
    logger.notice("rule has all collect", metadata: ["rule": "\(rule)"])
    let moment = now()
    let idle = processes.keys.filter { !isActive($0, at: moment) }
    guard !idle.isEmpty else { return }
    let request = ReclaimRequest(
      target: .processes(Set(idle)), rungs: [.callbacks, .collect, .trim], requester: Requester("rule \(rule)"),
      reason: .rule(rule))
    Task { _ = try? await reclaim(request) }
  }

  // MARK: What a person asks for, in the journal like all else

  /// - Returns: A number a process; nil where nothing is recorded.
  func begin(_ climbers: [Climber], _ request: ReclaimRequest, _ memory: MemoryPressure?, at moment: Moment) -> [UInt64?] {
    climbers.map { climber in
      // What the policy decided is recorded where it is carried out.
      guard let recorder, !request.isDryRun, !request.isDecided, climber.report.refusal == nil else { return nil }
      let figures = JudgementFigures(
        idleSeconds: nil, timeoutSeconds: .infinity, strategy: unloading.policy.settings.strategy, bytes: nil, reloadSeconds: nil,
        reuseProbability: 0, regret: 1, score: nil, unitClass: .important)
      return recorder.begin(
        DecisionRecord(
          Judgement(unit: climber.report.unit, verdict: .unload(request.reason), figures: figures), time: moment.wall,
          cycle: unloading.cycle, memory: memory, requester: request.requester))
    }
  }

  func finish(_ report: ReclaimReport, _ number: UInt64?, _ request: ReclaimRequest, at moment: Moment) {
    guard let recorder, let number else { return }
    recorder.finish(number, OutcomeRecord(report, unit: report.unit, because: request.reason, time: moment.wall))
    if let after = report.packageAfter, (report.freedOfUnit ?? .zero) > .zero { unloading.left[report.unit] = after.fileBacked }
  }
}

extension ReclaimReport {
  /// What it is in the journal.
  fileprivate var unit: ReclaimUnit {
    package.map { ReclaimUnit(.package, $0, in: process) } ?? ReclaimUnit(.process, processName, in: process)
  }
}

extension CommandError {
  /// Why a decision could not be carried out, as it is remembered.
  var word: String {
    switch self {
    case .notWatched, .noSuchProcess: "process-ended"
    case .notPermitted: "not-permitted"
    case .limitReached: "limit-reached"
    case .unreadable: "unreadable"
    case .unavailable: "unavailable"
    case .busy: "under-way"
    case .denied: "denied"
    case .noSuchUnit: "not-there"
    }
  }
}
