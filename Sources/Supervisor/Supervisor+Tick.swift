import Model

extension Supervisor {
  /// Scans at one tick, at least; more only where the interval could not be kept otherwise. So many processes due at once do not
  /// make one long pause.
  static var scansPerTick: Int { 4 }

  /// - Parameter elapsed: Nanoseconds since the tick before.
  static func scans(processes: Int, elapsed: UInt64, interval: Double?) -> Int {
    guard let interval, interval > 0 else { return scansPerTick }
    let share = (Double(processes) * Double(elapsed) / 1e9 / interval).rounded(.up)
    return max(scansPerTick, Int(min(share, Double(processes))))
  }
  /// 5 s: long enough for a server that is in use to show it.
  static var firstPause: Double { 5 }

  /// The regular look: takes events and rates from the segments, notices adopted processes that ended, scans for use.
  public func tick() {
    let moment = now()
    discover(at: moment)
    for pid in processes.keys.sorted() {
      drainEvents(of: pid, at: moment)
      guard let process = processes[pid] else { continue }
      switch process.link {
      case .agent(_, let segment):
        // Processor time comes in steps of 10 ms, which a program that does little takes minutes to fill.
        if processes[pid]?.rate.take(segment.heap(), at: moment.monotonic) == true { processes[pid]?.lastActiveAt = moment.wall }
      case .detached, .adopted:
        // No descriptor tells of their end.
        if (try? inspector.isRunning(process.facts.identity)) == false { forget(pid) }
      }
    }
    let due = processes.filter { $0.value.nextScan <= moment.monotonic }.keys
      .sorted { (processes[$0]!.nextScan, $0) < (processes[$1]!.nextScan, $1) }
    let scans = Self.scans(
      processes: processes.count, elapsed: lastTick.map { moment.monotonic &- $0 } ?? 0, interval: options.observeInterval)
    lastTick = moment.monotonic
    for pid in due.prefix(scans) { scan(pid, at: moment) }
    decide(at: moment)
  }

  /// 60 s: after the first look only what was refused or forked unseen is left to find.
  static var discoveryPause: UInt64 { 60_000_000_000 }

  /// Takes up processes that have the agent and did not connect.
  private func discover(at moment: Moment) {
    guard let finder, moment.monotonic >= nextDiscovery else { return }
    nextDiscovery = moment.monotonic &+ Self.discoveryPause
    for found in finder.find(except: Set(processes.keys)) {
      guard found.pid != ownPID, processes.count < options.processLimit, let facts = try? inspector.facts(of: found.pid),
        facts.state != "Z"
      else { continue }
      adopt(
        facts, at: moment, detail: "has the agent and is not connected", link: found.segment.map { .detached($0) } ?? .adopted)
    }
  }

  /// Brings the facts up to date. False when the process is gone, which is then recorded.
  func refresh(_ pid: Int32, at moment: Moment) -> Bool {
    guard let process = processes[pid] else { return false }
    do throws(InspectionError) {
      let facts = try inspector.refreshed(process.facts)
      guard facts.identity == process.facts.identity, facts.state != "Z" else {
        forget(pid)
        return false
      }
      if facts.processorTicks > process.facts.processorTicks { processes[pid]?.lastActiveAt = moment.wall }
      processes[pid]?.facts = facts
      if facts.stackBottom != process.facts.stackBottom { lookForProgramChange(pid) }
      return true
    } catch {
      if case .gone = error { forget(pid) } else { counters.unreadableProcesses += 1 }
      return processes[pid] != nil
    }
  }

  private func scan(_ pid: Int32, at moment: Moment) {
    guard refresh(pid, at: moment), let process = processes[pid] else { return }
    guard let interval = options.observeInterval else {
      processes[pid]?.nextScan = .max
      return
    }
    // The first scan only starts the observation: the second comes soon, so that a new process does not stay unknown for long.
    let pause = process.lastUse.hasBegun ? interval : min(interval, Self.firstPause)
    processes[pid]?.nextScan = moment.monotonic &+ UInt64(pause * 1e9)
    let isUntold = process.untold.isDue(at: moment.monotonic)
    guard isUntold || process.lastUse.isWorthScanning(processorTicks: process.facts.processorTicks) else { return }
    do throws(InspectionError) {
      let mappings = try inspector.mappings(of: pid)
      // The same walk has the sums.
      processes[pid]?.sharing.take(
        mappings.reduce(into: MemoryUsage()) { $0 += $1.usage }, resident: process.facts.resident, at: moment)
      processes[pid]?.lastUse.scan(mappings, processorTicks: process.facts.processorTicks, at: moment.monotonic)
      try inspector.clearReferenced(of: pid)
      noteProgramChange(pid, mappings)
      noteUntoldLoads(pid, mappings, at: moment)
      noteUnits(pid, mappings, at: moment)
    } catch {
      counters.unreadableProcesses += 1
      logger.debug("cannot observe use", metadata: about(pid, ["error": "\(error)"]))
    }
  }

  /// An execve(2) closes the agent's socket and gives the process another stack: each is a reason to look at once, since the
  /// figures of the program before would be shown until then.
  func lookForProgramChange(_ pid: Int32) {
    guard case .detached? = processes[pid]?.link, let mappings = try? inspector.mappings(of: pid) else { return }
    noteProgramChange(pid, mappings)
  }

  /// A detached agent whose segment is mapped no more has executed a program without one.
  func noteProgramChange(_ pid: Int32, _ mappings: [Mapping]) {
    // A process that is ending has no mappings.
    guard !mappings.isEmpty, let process = processes[pid], case .detached(let segment) = process.link else { return }
    let isMapped = mappings.contains { mapping in
      if case .file(let file) = mapping.backing { return file.inode == segment.inode && file.displayPath.hasPrefix("/memfd:") }
      return false
    }
    guard !isMapped else { return }
    processes[pid]?.link = .adopted
    if let facts = try? inspector.facts(of: pid), facts.identity == process.facts.identity { processes[pid]?.facts = facts }
  }
}
