import Model

/// How a simulation treats a policy; the same for all that are compared.
public struct SimulationOptions: Hashable, Sendable {
  /// Between two looks of the supervisor at idle units.
  public var checkIntervalSeconds = 60.0
  /// How often a policy is asked for one load, while it still finds something to unload.
  public var roundsPerLoad = 64

  public init() {}
}

/// Plays a trace against a policy. Deterministic: nothing in it is random, and equal times keep the trace's order.
///
/// A use needs its unit and all that this needs in memory. What is missing is loaded, which takes its reload seconds; until the
/// use has ended all of them are in use. A load that does not fit asks the policy for room. It takes place in any case: what is
/// missing then is counted as time over the limit, as a program is not stopped because others hold memory.
/// A use takes place at its time whatever the one before it took: nothing queues.
public struct Engine<Policy: EvictionPolicy> {
  public private(set) var policy: Policy
  public private(set) var measures = Measures()
  private let trace: Trace
  private let options: SimulationOptions
  private(set) var memory: SimulatedMemory
  private var now = 0.0
  private var unloadedAt: [Double?]
  private var wasLoadedBefore: [Bool]

  public init(_ trace: Trace, limit: Bytes, policy: Policy, options: SimulationOptions = .init()) {
    self.trace = trace
    self.policy = policy
    self.options = options
    memory = SimulatedMemory(trace, limit: limit)
    unloadedAt = Array(repeating: nil, count: trace.units.count)
    wasLoadedBefore = Array(repeating: false, count: trace.units.count)
  }

  public mutating func run() -> Measures {
    var check = options.checkIntervalSeconds
    for event in trace.events {
      runChecks(&check, before: event.time)
      advance(to: event.time)
      use(event)
    }
    runChecks(&check, before: trace.header.duration)
    advance(to: trace.header.duration)
    return measures
  }

  /// Checks and timers that fall before `end`. A use at the same moment comes first.
  private mutating func runChecks(_ check: inout Double, before end: Double) {
    while true {
      let wake = policy.wake(memory, after: now).map { max($0, now) }
      let next = min(check, wake ?? check)
      guard next < end else { return }
      advance(to: next)
      // A timer that fires without an effect must not fire again at the same moment.
      let isCheck = next == check
      if isCheck { check += options.checkIntervalSeconds }
      if evictOnce() == 0, !isCheck {
        guard check < end else { return }
        advance(to: check)
        check += options.checkIntervalSeconds
        evictOnce()
      }
    }
  }

  private mutating func advance(to time: Double) {
    let seconds = time - now
    guard seconds > 0 else { return }
    measures.byteSeconds += Double(memory.held.count) * seconds
    let over = memory.held - memory.limit
    if over > .zero {
      measures.secondsOverLimit += seconds
      measures.byteSecondsOverLimit += Double(over.count) * seconds
    }
    now = time
  }

  private mutating func use(_ event: Trace.Event) {
    measures.uses += 1
    let closure = memory.closures[event.unit]
    let missing = closure.filter { !memory.isLoaded[$0] }
    let bytes = missing.reduce(Bytes.zero) { $0 + trace.units[$1].bytes }
    let seconds = missing.reduce(0.0) { $0 + trace.units[$1].reloadSeconds }
    if missing.isEmpty { measures.hits += 1 }

    memory.wanted = bytes
    if !missing.isEmpty, memory.excess > .zero {
      if policy.refusesLoad(memory, at: now) {
        memory.wanted = .zero
        return serveElsewhere(missing)
      }
      for unit in closure { memory.isPinned[unit] = true }
      makeRoom()
      for unit in closure { memory.isPinned[unit] = false }
    }
    memory.wanted = .zero
    for unit in missing { load(unit) }
    let end = now + seconds + event.busy
    for unit in closure { memory.busyUntil[unit] = max(memory.busyUntil[unit] ?? 0, end) }
    measures.peak = max(measures.peak, memory.held)
    for unit in closure { policy.used(unit, wasLoaded: !missing.contains(unit), memory: memory, at: now) }
  }

  private mutating func makeRoom() {
    let lacking = memory.excess
    let before = memory.held
    for _ in 0..<options.roundsPerLoad where memory.excess > .zero {
      if evictOnce() == 0 { break }
    }
    measures.beyondTarget += before - memory.held - lacking
  }

  private mutating func serveElsewhere(_ missing: [Int]) {
    measures.refusedUses += 1
    for unit in missing {
      if wasLoadedBefore[unit] {
        measures.reloads += 1
        measures.reloadSeconds += trace.units[unit].reloadSeconds
      } else {
        measures.firstLoadSeconds += trace.units[unit].reloadSeconds
        wasLoadedBefore[unit] = true
      }
    }
  }

  private mutating func load(_ unit: Int) {
    measures.loads += 1
    memory.load(unit, at: now)
    guard wasLoadedBefore[unit] else {
      wasLoadedBefore[unit] = true
      measures.firstLoadSeconds += trace.units[unit].reloadSeconds
      return
    }
    measures.reloads += 1
    measures.reloadSeconds += trace.units[unit].reloadSeconds
    if let unloadedAt = unloadedAt[unit], now - unloadedAt <= Measures.thrashSeconds { measures.thrash += 1 }
  }

  /// Asks once and does what may be done. Returns how many units went.
  @discardableResult
  private mutating func evictOnce() -> Int {
    var count = 0
    for unit in policy.evict(memory, at: now) {
      let outcome = unload(unit)
      if case .freed = outcome { count += 1 }
      policy.evicted(unit, outcome: outcome, memory: memory, at: now)
    }
    return count
  }

  private mutating func unload(_ unit: Int) -> EvictionOutcome {
    guard memory.isLoaded[unit] else { return .notLoaded }
    if memory.isBusy(unit, at: now) {
      measures.busyEvictions += 1
      return .busy
    }
    if memory.loadedDependents[unit] > 0 {
      measures.neededEvictions += 1
      return .needed
    }
    memory.unload(unit)
    unloadedAt[unit] = now
    measures.evictions += 1
    return .freed(trace.units[unit].bytes)
  }
}
