import Model

/// Decides what is given back. A value: pure, deterministic, no clock; `plan` is the same call on a copy.
///
/// Under want of memory, units go in the order of their class and then of bytes back for a second of expected reloading, until
/// the target is reached. Otherwise those go that were idle for longer than their strategy allows. Nothing that is busy,
/// critical, denied by the user, or needed by something that stays ever goes.
public struct UnloadingPolicy: Sendable {
  /// Units that are remembered at most; the ones seen least lately are forgotten.
  static let memoryLimit = 8192
  /// An action that was not answered within this time is taken for lost.
  static let answerSeconds = 30.0
  /// What a unit's reload is taken to cost where nobody measured it: read from a disk at 200 MB/s, and at least 10 ms.
  static let assumedBytesPerSecond = 200e6
  /// Of free heap, where the kernel makes new pages: 4 GB/s, a microsecond a page.
  static let assumedHeapBytesPerSecond = 4e9
  /// The time ahead that orders what goes for want of memory is the pause that half of the units keep between two uses, within
  /// these seconds: at a time in which nearly all are used, or hardly any, they would all be alike.
  static let orderSeconds = 1.0...600.0
  /// From this probability on a unit that is idle is kept for its return while memory is plentiful.
  static let expectedProbability = 0.5

  /// Taken from the next call on.
  public var settings: UnloadingSettings
  var gate = PressureGate()
  var prior = Prior()
  var known: [ReclaimUnit: Remembered] = [:]
  /// Returns that were regretted, in the last `regretWindowSeconds`; the newest ones.
  private var regrets: [Instant] = []
  private static let regretLimit = 1000

  /// What is remembered of a unit between two looks.
  struct Remembered: Hashable {
    var history = ReuseHistory()
    var regret = Regret()
    var wasLoaded = false
    var lastSeen: Instant
    /// Decided, and no outcome yet: when.
    var asked: Instant?
    var predicted = Bytes.zero
    /// When it went, and what that brought; nil once it is back.
    var gone: Instant?
    var freed = Bytes.zero
    var refaulted = Bytes.zero
    /// Tries in a row that brought nothing back, and when the last one was.
    var vain = Vain()
  }

  public init(settings: UnloadingSettings = UnloadingSettings()) {
    self.settings = settings
  }

  /// What is to be done now, in the order in which it is to be done.
  ///
  /// - Parameters:
  ///   - requests: Units that a rule or a person wants to go whatever their idleness. What forbids it still does.
  ///   - now: Of the same clock as the times in the snapshot.
  public mutating func evaluate(
    _ snapshot: Snapshot, requests: [ReclaimUnit: UnloadReason] = [:], at now: Instant
  ) -> [Decision] {
    review(snapshot, requests: requests, at: now).decisions
  }

  /// `evaluate`, and why everything else stays.
  public mutating func review(
    _ snapshot: Snapshot, requests: [ReclaimUnit: UnloadReason] = [:], at now: Instant
  ) -> Review {
    let shared = SharedUnits(snapshot.units.sorted { $0.unit < $1.unit }, at: now)
    let units = shared.units
    observe(units, at: now)
    let wanted = gate.update(snapshot.memory, settings, at: now)
    let level = snapshot.memory?.level ?? .low
    let horizon = orderHorizon(units, at: now)
    var judged = units.indices.map { judge(units[$0], total: shared.totals[$0], level: level, horizon: horizon, at: now) }
    shared.level(&judged)
    var selection = Selection(units: units, judged: judged, order: DependencyOrder(units), settings: settings)
    if settings.isEnabled {
      selection.take(requests: requests)
      selection.takeClosedModules()
      let underWay = known.values.reduce(Bytes.zero) { $0 + ($1.asked == nil ? .zero : $1.predicted) }
      if wanted > .zero { selection.take(forPressure: level, wanted: wanted - underWay) } else { selection.takeIdle() }
    }
    // Pressure and people before idleness and rules (the seed's 1.0 and 0.8); within each as it was chosen, for nothing may go
    // before what needs it.
    let decisions = selection.decisionsByPriority()
    let review = Review(
      decisions: decisions, judgements: selection.judgements(), wanted: wanted, level: level,
      isPressed: gate.isOpen || wanted > .zero)
    for decision in review.decisions {
      known[decision.unit]?.asked = now
      known[decision.unit]?.predicted = decision.predicted
    }
    return review
  }

  /// Whether memory is to be given back for want of it: what `review` would say of the same reading.
  public func isPressed(by memory: MemoryPressure?, at now: Instant) -> Bool {
    var gate = gate
    return gate.update(memory, settings, at: now) > .zero || gate.isOpen
  }

  private func orderHorizon(_ units: [UnitObservation], at now: Instant) -> Double {
    let pauses = units.compactMap { unit -> Double? in
      guard let history = known[unit.unit]?.history, let last = history.lastUse,
        let rate = history.rate(idle: now.seconds(since: last)), rate > 0
      else { return nil }
      return 1 / rate
    }.sorted()
    guard !pauses.isEmpty else { return Self.orderSeconds.upperBound }
    return min(max(pauses[pauses.count / 2], Self.orderSeconds.lowerBound), Self.orderSeconds.upperBound)
  }

  /// What came of a decision, so that the next one knows.
  public mutating func record(_ outcome: UnloadOutcome, at now: Instant) {
    guard var unit = known[outcome.unit] else { return }
    unit.asked = nil
    unit.vain.note(outcome.result, at: now)
    if case .freed(let bytes) = outcome.result {
      unit.gone = now
      // It may be back before anybody looks.
      unit.wasLoaded = false
      unit.freed = bytes
      unit.refaulted = .zero
    }
    known[outcome.unit] = unit
  }

  /// Uses, returns and refaults since the last look.
  private mutating func observe(_ units: [UnitObservation], at now: Instant) {
    for var unit in units {
      // That a program runs says nothing about whether it wants more heap, nor anything about other units.
      if unit.unit.kind == .heap { unit.lastUsed = nil }
      var entry = known[unit.unit] ?? Remembered(lastSeen: now)
      let isNew = entry.lastSeen == now && !entry.wasLoaded && entry.history.uses == 0
      entry.lastSeen = max(entry.lastSeen, now)
      if let used = unit.lastUsed.map({ min($0, now) }) {
        if let likelihoods = entry.history.likelihoods(ofUse: used) { prior.trust.note(likelihoods) }
        let isReturn = entry.history.note(use: used)
        if entry.history.uses == 1, isNew { prior.noteFirstUse() }
        if isReturn, entry.history.uses == 2 { prior.noteFirstReturn() }
      }
      if unit.isLoaded, let gone = entry.gone { comeBack(&entry, unit, gone: gone, at: now) }
      if let asked = entry.asked, now.seconds(since: asked) >= Self.answerSeconds || !unit.isLoaded { entry.asked = nil }
      entry.wasLoaded = unit.isLoaded
      known[unit.unit] = entry
    }
    forget(at: now)
  }

  /// It went and is in memory: needed again, wholly or by and by.
  private mutating func comeBack(_ entry: inout Remembered, _ unit: UnitObservation, gone: Instant, at now: Instant) {
    // Without an account of what giving back costs nothing is held against it.
    let isRegretted = settings.performanceImpactTracking && now.seconds(since: gone) <= settings.regretWindowSeconds
    if let refaulted = unit.refaulted {
      // Pages that come back one by one: what of it came since the last look.
      let more = refaulted - entry.refaulted
      entry.refaulted = max(entry.refaulted, refaulted)
      guard more > .zero, entry.freed > .zero else {
        if !isRegretted { entry.gone = nil }
        return
      }
      if isRegretted { note(regretAt: now) }
      if isRegretted { entry.regret.raise(at: now, share: Double(more.count) / Double(entry.freed.count)) }
      if !isRegretted || entry.refaulted >= entry.freed { entry.gone = nil }
      return
    }
    // What is paged out stays loaded: only a load or a use afterwards says that it was needed.
    guard !entry.wasLoaded, let last = [unit.loadedAt, unit.lastUsed].compactMap(\.self).max(), last > gone else { return }
    if isRegretted {
      note(regretAt: now)
      entry.regret.raise(at: now)
    }
    entry.gone = nil
  }

  private mutating func note(regretAt now: Instant) {
    if regrets.count >= Self.regretLimit { regrets.removeFirst() }
    regrets.append(now)
  }

  /// Units that were needed again within the time in which that is regretted, in the last such time; at most a thousand.
  public func regrets(at now: Instant) -> Int {
    regrets.count { now.seconds(since: $0) <= settings.regretWindowSeconds }
  }

  /// How often units of this name were seen in use; nil when none is remembered.
  public func uses(ofUnits name: String) -> UInt64? {
    let uses = known.filter { $0.key.name == name }.map(\.value.history.uses)
    return uses.isEmpty ? nil : uses.reduce(0, &+)
  }

  private mutating func forget(at now: Instant) {
    guard known.count > Self.memoryLimit else { return }
    let oldest = known.sorted { ($0.value.lastSeen, $0.key) < ($1.value.lastSeen, $1.key) }
    for (unit, _) in oldest.prefix(known.count - Self.memoryLimit / 2) where known[unit]?.lastSeen != now { known[unit] = nil }
  }
}

/// What was decided about every unit at one moment.
public struct Review: Sendable {
  /// In the order in which they are to be carried out.
  public var decisions: [Decision]
  /// One for each unit, in the order of `ReclaimUnit`.
  public var judgements: [Judgement]
  /// To be given back for want of memory; zero when nothing is.
  public var wanted: Bytes
  public var level: PressureLevel
  public var isPressed: Bool
}
