import Model
import Policy

/// What the supervisor keeps for deciding what is given back.
struct Unloading {
  var policy: UnloadingPolicy
  /// As configured; what rules set comes on top of it, until the configuration is read again.
  private(set) var configured: UnloadingSettings
  var rules = RuleWork()
  var setByRules = RuleSettings()
  var pressure = PressureWork()
  /// Monotonic time of the next look.
  var nextCheck: UInt64 = 0
  var cycle: UInt64 = 0
  /// Stalls at the last look, and when that was.
  private var stalls: (microseconds: UInt64, at: UInt64)?
  /// What was recorded last of a unit, so that a decision which stands is not recorded once a minute.
  var recorded: [ReclaimUnit: (reason: UnloadReason, at: UInt64)] = [:]
  /// What is being carried out.
  var acting: Set<ReclaimUnit> = []
  /// Resident bytes that were left of a unit when it went: what is there beyond that has come back.
  var left: [ReclaimUnit: Bytes] = [:]
  var reloads = ReloadCost()
  /// The last of the devices that are being measured, one after the other.
  var measuring: Task<Void, Never>?

  init(settings: UnloadingSettings, rules: [Rule]) {
    configured = settings
    policy = UnloadingPolicy(settings: settings)
    take(settings, rules)
  }

  mutating func take(_ settings: UnloadingSettings, _ rules: [Rule]) {
    configured = settings
    policy.settings = settings
    self.rules.take(rules)
  }

  /// With the share of the time since the last look in which something waited.
  func complete(_ memory: MemoryPressure?, stalled: UInt64?, at now: UInt64) -> MemoryPressure? {
    guard var memory else { return nil }
    memory.stall = pressure.toldStall
    guard let stalls, let stalled, now > stalls.at, stalled >= stalls.microseconds else { return memory }
    memory.stall = max(memory.stall ?? 0, min(1, Double(stalled - stalls.microseconds) * 1e3 / Double(now - stalls.at)))
    return memory
  }

  mutating func remember(stalled: UInt64?, at now: UInt64) { stalls = stalled.map { ($0, now) } }

  /// An hour: so often a decision that stands is recorded again.
  static let repeatAfter: UInt64 = 3_600_000_000_000

  /// Whether this is new, or old enough to be said again.
  mutating func isWorthRecording(_ decision: Decision, at now: UInt64) -> Bool {
    if let before = recorded[decision.unit], before.reason == decision.reason, now &- before.at < Self.repeatAfter {
      return false
    }
    recorded[decision.unit] = (decision.reason, now)
    return true
  }

  /// Forgets what is there no more.
  mutating func keep(only units: some Sequence<ReclaimUnit>) {
    let present = Set(units)
    recorded = recorded.filter { present.contains($0.key) }
    left = left.filter { present.contains($0.key) }
  }
}

extension ProcessView {
  /// Packages of one process as units, one a name; what the kernel and MLOS provide is none.
  func units(_ reloads: ReloadCost) -> [UnitObservation] {
    var units: [String: UnitObservation] = [:]
    var needs: [String: Set<ReclaimUnit>] = [:]
    var shares: [String: UnitObservation.Together] = [:]
    /// Of which a part lies where nobody knows how long reading takes.
    var unmeasured: Set<String> = []
    for (index, object) in inventory.objects.enumerated() {
      let package = package(of: object.file)
      guard package.kind != .runtime else { continue }
      let identity = ReclaimUnit(.package, package.name, in: facts.identity)
      var unit = units[package.name] ?? UnitObservation(identity, bytes: .zero)
      // Clean and of this process alone: the only pages that come back when one process lets go, without a swap.
      unit.bytes = (unit.bytes ?? .zero) + object.droppable.alone
      shares[package.name, default: .init(bytes: .zero, reloadSeconds: 0)].bytes += object.droppable.together
      if let alone = reloads.seconds(object.droppable.alone, of: object.file),
        let together = reloads.seconds(object.droppable.together, of: object.file)
      {
        unit.reloadSeconds = (unit.reloadSeconds ?? 0) + alone
        shares[package.name]?.reloadSeconds? += together
      } else {
        unmeasured.insert(package.name)
      }
      unit.lastUsed = [unit.lastUsed, lastUsed(object).map { Instant(nanoseconds: $0) }].compactMap(\.self).max()
      unit.loadedAt = [unit.loadedAt, since(object).map { Instant(nanoseconds: $0) }].compactMap(\.self).max()
      units[package.name] = unit
      for dependent in graph.dependents[index] {
        let other = self.package(of: inventory.objects[dependent].file).name
        if other != package.name { needs[other, default: []].insert(identity) }
      }
    }
    return units.map { name, unit in
      var unit = unit
      unit.needs = needs[name]?.sorted() ?? []
      unit.together = shares[name].flatMap { $0.bytes > unit.bytes ?? .zero ? $0 : nil }
      if unmeasured.contains(name) {
        unit.reloadSeconds = nil
        unit.together?.reloadSeconds = nil
      }
      return unit
    }.sorted { $0.unit < $1.unit }
  }

  /// Since when it was surely there without being seen in use: its last load, else the begin of the observation.
  private func since(_ object: Inventory.Object) -> UInt64? {
    let told = object.agents.filter { !$0.wasThereAtStart }.map(\.lastLoad).max()
    return told ?? untold.time(of: object.file) ?? lastUse.beganAt
  }
}

extension Supervisor {
  /// Takes what a scan has read anyway.
  func noteUnits(_ pid: Int32, _ mappings: [Mapping], at moment: Moment) {
    guard unloading.policy.settings.isEnabled, let view = view(of: pid, mappings, at: moment) else { return }
    measureReloads(view, at: moment)
    processes[pid]?.units = refaulted(view)
    noteHeap(pid, mappings, at: moment)
  }

  /// Units, and what of each has come back since it went.
  func refaulted(_ view: ProcessView) -> [UnitObservation] {
    var units = view.units(unloading.reloads)
    guard unloading.policy.settings.performanceImpactTracking, !unloading.left.isEmpty else { return units }
    var resident: [String: Bytes] = [:]
    for object in view.inventory.objects {
      resident[view.package(of: object.file).name, default: .zero] += object.usage.fileBacked
    }
    for index in units.indices {
      guard let left = unloading.left[units[index].unit] else { continue }
      units[index].refaulted = (resident[units[index].unit.name] ?? .zero) - left
    }
    return units
  }

  /// The regular look: decides, and records what is new.
  func decide(at moment: Moment) {
    defer { recorder?.flush(at: moment.wall) }
    let settings = unloading.policy.settings
    let isDue = moment.monotonic >= unloading.nextCheck
    guard settings.isEnabled, isDue || unloading.rules.isDue(at: moment.monotonic) else { return }
    let stalled = meter?.stalledMicroseconds()
    let memory = unloading.complete(meter?.pressure(), stalled: stalled, at: moment.monotonic)
    let heaps = processes.keys.compactMap { heapUnit(of: $0, at: moment) }
    let units = (processes.values.flatMap(\.units) + heaps).map { unit in
      var unit = unit
      let isReclaiming = unit.unit.process.map { reclaiming.contains($0.pid) } ?? false
      if isReclaiming || unloading.acting.contains(unit.unit) { unit.busy = "under-way" }
      return unit
    }
    let now = Instant(nanoseconds: moment.monotonic)
    let snapshot = Snapshot(memory: memory, units: units)
    let requests = fireRules(snapshot, at: moment)
    guard isDue || !requests.isEmpty else { return }
    if isDue {
      unloading.nextCheck = moment.monotonic &+ UInt64(max(settings.checkIntervalSeconds, 1) * 1e9)
      unloading.remember(stalled: stalled, at: moment.monotonic)
      if unloading.pressure.isSampleDue(every: settings.checkIntervalSeconds, at: moment.monotonic) {
        recorder?.record(samples(memory, at: moment.wall))
      }
      heed(memory, at: moment)
    }
    let review = unloading.policy.review(snapshot, requests: requests, at: now)
    unloading.keep(only: units.map(\.unit))
    if !review.decisions.isEmpty { unloading.cycle += 1 }
    carryOut(review.decisions, memory, at: moment)
  }

  public func plan(name: String?) async -> PlanSnapshot {
    let moment = now()
    var units: [UnitObservation] = []
    for pid in processes.keys.sorted() {
      // One unreadable process must not hide the others; it is counted.
      guard let view = try? view(of: pid, at: moment) else { continue }
      let found = refaulted(view)
      processes[pid]?.units = found
      units += found + [heapUnit(of: pid, at: moment)].compactMap(\.self)
    }
    let memory = unloading.complete(meter?.pressure(), stalled: meter?.stalledMicroseconds(), at: moment.monotonic)
    var policy = unloading.policy
    let review = policy.review(Snapshot(memory: memory, units: units), at: Instant(nanoseconds: moment.monotonic))
    let order = Dictionary(
      review.decisions.enumerated().map { ($1.unit, $0 + 1) }, uniquingKeysWith: { first, _ in first })
    let used = Dictionary(units.map { ($0.unit, $0.lastUsed) }, uniquingKeysWith: { first, _ in first })
    let rows = review.judgements.filter { name == nil || $0.unit.name == name }.map { judgement in
      PlanRow(
        judgement: judgement, order: order[judgement.unit], processName: processName(of: judgement.unit),
        lastUsedAt: (used[judgement.unit] ?? nil).map { moment.wallTime(ofMonotonic: $0.nanoseconds) })
    }
    return PlanSnapshot(
      takenAt: moment.wall, settings: policy.settings, configured: unloading.configured, memory: memory, wanted: review.wanted,
      isPressed: review.isPressed, deniedByRule: unloading.setByRules.denials,
      rows: rows.sorted { ($0.order ?? .max, $0.judgement.unit) < ($1.order ?? .max, $1.judgement.unit) },
      names: Set(units.map(\.unit.name)).sorted())
  }

  private func processName(of unit: ReclaimUnit) -> String {
    unit.process.flatMap { processes[$0.pid]?.facts.name } ?? ""
  }

  private func samples(_ memory: MemoryPressure?, at wall: Double) -> [MetricSample] {
    let resident = processes.values.reduce(Bytes.zero) { $0 + $1.facts.resident }
    var samples = [
      MetricSample("processes.watched", Double(processes.count), at: wall),
      MetricSample("processes.resident", Double(resident.count), at: wall),
    ]
    guard let memory else { return samples }
    samples.append(MetricSample("memory.used", Double(memory.used.count), at: wall))
    samples.append(MetricSample("memory.level", memory.share, at: wall))
    if let swap = meter?.swapUsed() { samples.append(MetricSample("swap.used", Double(swap.count), at: wall)) }
    if let stall = memory.stall { samples.append(MetricSample("memory.stall", stall, at: wall)) }
    return samples
  }
}
