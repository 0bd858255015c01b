import Model

/// What a segment can tell without lying. Its numbers are the word of a process that may write there what it likes, on purpose
/// or by a stray pointer; what is summed up over all processes must not be spoilt by one.
enum Plausible {
  /// 10 million a second: an event or a module that finds no place costs its process a microsecond or more, on all its threads
  /// together.
  static let rate = 10_000_000.0
  /// 1 s more: a forked child takes over what its parent had counted.
  static let allowance = 1.0

  /// How far a counter may have grown between two readings of CLOCK_MONOTONIC, nanoseconds.
  static func growth(since: UInt64, at now: UInt64) -> UInt64 {
    let seconds = now > since ? Double(now - since) / 1e9 : 0
    return UInt64((seconds + allowance) * rate)
  }

  /// A program cannot hold more than it has addresses for.
  static func holds(_ heap: HeapCounters, in facts: ProcessFacts) -> Bool {
    heap.live <= max(facts.virtual, facts.virtualPeak ?? .zero)
  }
}

/// Lies that are logged, so many in a while: who makes new segments all the time fills no disk. All are counted.
struct LieLog {
  static let limit = 60
  /// 60 s, in nanoseconds.
  static let pause: UInt64 = 60_000_000_000

  private var since: UInt64 = 0
  private var count = 0

  mutating func take(at now: UInt64) -> Bool {
    if now &- since >= Self.pause { (since, count) = (now, 0) }
    count += 1
    return count <= Self.limit
  }
}

extension Supervisor {
  /// Counts a segment that lies, and says it, once a segment.
  func noteLie(of pid: Int32, _ claim: String, at moment: Moment) {
    guard processes[pid]?.hasLied == false else { return }
    processes[pid]?.hasLied = true
    counters.segmentsLying += 1
    guard lies.take(at: moment.monotonic) else { return }
    logger.warning(
      "a segment tells what cannot be: the process has overwritten it; nothing of that figure is used",
      metadata: about(pid, ["claim": "\(claim)"]))
  }

  /// Counts the modules dropped since the reading before.
  func note(modulesDropped dropped: UInt64, of pid: Int32, at moment: Moment) {
    defer { processes[pid]?.droppedSeen = moment.monotonic }
    guard let process = processes[pid], dropped > process.modulesDropped else { return }
    let growth = dropped - process.modulesDropped
    guard growth <= Plausible.growth(since: process.droppedSeen, at: moment.monotonic) else {
      noteLie(of: pid, "\(growth) modules dropped since the last look", at: moment)
      return
    }
    counters.modulesDropped += growth
    processes[pid]?.modulesDropped = dropped
  }

  /// The heap of an agent that counts; nil for another one, and for figures that cannot be.
  func counted(_ state: AgentReport.State, _ heap: HeapCounters, of pid: Int32, at moment: Moment) -> HeapCounters? {
    switch state {
    case .active: return believable(heap, of: pid, at: moment)
    case .starting, .loaderOnly, .inert: return nil
    case .invalid:
      noteLie(of: pid, "a state that there is not", at: moment)
      return nil
    }
  }

  func believable(_ heap: HeapCounters, of pid: Int32, at moment: Moment) -> HeapCounters? {
    guard let process = processes[pid] else { return heap }
    if heap.live <= process.facts.virtual { return heap }
    // The facts are older than the heap, which may have grown: only the peak, read after it, convicts.
    guard let facts = try? inspector.facts(of: pid), facts.identity == process.facts.identity,
      facts.stackBottom == process.facts.stackBottom, facts.virtual > .zero
    else { return nil }
    if Plausible.holds(heap, in: facts) { return heap }
    noteLie(of: pid, "\(heap.live.count) bytes of live heap in \(facts.virtual.count) bytes of addresses", at: moment)
    return nil
  }
}
