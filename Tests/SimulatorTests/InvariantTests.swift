import Model
import Policy
import Simulator
import Testing

/// What must hold of every decision whatever was shown to the policy, over a million looks at random worlds.
///
/// The checks take the settings and the snapshot only, never the policy's own word.
@Suite struct InvariantTests {
  /// At a world; its settings and units stay, everything else changes.
  static let looks = 500
  static let worlds = 2000

  /// In parts that run beside each other.
  @Test("decisions keep to what forbids them", arguments: 0..<8)
  func randomWorlds(part: Int) {
    var decided = 0
    for seed in stride(from: part, to: Self.worlds, by: 8) {
      var world = RandomWorld(seed: UInt64(seed))
      var policy = UnloadingPolicy(settings: world.settings)
      for look in 0..<Self.looks {
        world.step()
        let before = policy
        let decisions = policy.evaluate(world.snapshot, at: world.now)
        decided += decisions.count
        if let broken = Self.broken(decisions, world.snapshot, world.settings, ring: world.ring) {
          Issue.record("seed \(seed), look \(look): \(broken)")
          return
        }
        if look % 4 == 0, !Self.isRepeated(decisions, before, &world) {
          Issue.record("seed \(seed), look \(look): another order of the units decides otherwise")
          return
        }
        for decision in decisions {
          guard let outcome = world.act(on: decision) else { continue }
          policy.record(outcome, at: world.now)
        }
      }
    }
    // Worlds in which nothing ever goes would prove nothing.
    #expect(decided > Self.worlds / 8 * Self.looks / 100)
  }

  /// The same policy decides the same of the same units in another order.
  private static func isRepeated(_ decisions: [Decision], _ policy: UnloadingPolicy, _ world: inout RandomWorld) -> Bool {
    var policy = policy
    var permuted = world.snapshot
    permuted.units = world.random.shuffled(permuted.units.count).map { permuted.units[$0] }
    let again = policy.evaluate(permuted, at: world.now)
    // A reload time that is no number is not equal to itself, so figures are compared by what they lead to.
    return again.count == decisions.count
      && zip(again, decisions).allSatisfy {
        $0.unit == $1.unit && $0.reason == $1.reason && $0.predicted == $1.predicted && $0.figures.score == $1.figures.score
      }
  }

  /// The first rule that was broken, in words.
  static func broken(
    _ decisions: [Decision], _ snapshot: Snapshot, _ settings: UnloadingSettings, ring: [ReclaimUnit: Int]
  ) -> String? {
    let units = Dictionary(uniqueKeysWithValues: snapshot.units.map { ($0.unit, $0) })
    var gone: Set<ReclaimUnit> = []
    for decision in decisions {
      guard let unit = units[decision.unit] else { return "\(decision.unit) is not there" }
      guard gone.insert(decision.unit).inserted else { return "\(decision.unit) goes twice" }
      // One that is too small goes with what it needs only.
      let goesAlong = decisions.contains { unit.needs.contains($0.unit) }
      if let fault = forbidden(unit, decision, settings, goesAlong: goesAlong) { return "\(decision.unit) \(fault)" }
    }
    gone = []
    for decision in decisions {
      gone.insert(decision.unit)
      // A package of which nothing is left in memory has gone.
      let staying = snapshot.units.filter {
        $0.isLoaded && $0.needs.contains(decision.unit) && !gone.contains($0.unit)
          && !($0.unit.kind == .package && $0.bytes == .zero)
      }
      // Units that need each other go one after the other, but both.
      let wrong = staying.first { dependent in
        let isTogether = ring[dependent.unit] != nil && ring[dependent.unit] == ring[decision.unit]
        return !(isTogether && decisions.contains { $0.unit == dependent.unit })
      }
      if let wrong { return "\(decision.unit) goes before \(wrong.unit), which needs it" }
    }
    if !settings.isEnabled, !decisions.isEmpty { return "something goes though nothing may" }
    let counted = decisions.filter { if case .cacheLimit = $0.reason { false } else { true } }
    // What has one name goes in several processes as one.
    let names = Set(counted.map { ReclaimUnit($0.unit.kind, $0.unit.name) })
    if names.count > settings.maxUnloadsPerCycle { return "\(names.count) go in one cycle" }
    return beyondTarget(decisions, snapshot, settings, ring: ring)
  }

  private static func forbidden(_ unit: UnitObservation, _ decision: Decision, _ settings: UnloadingSettings, goesAlong: Bool)
    -> String?
  {
    let preference = settings.preferences[unit.unit.name] ?? UnitPreference()
    guard unit.isLoaded else { return "is not loaded" }
    if let busy = unit.busy { return "is in use: \(busy)" }
    if preference.unitClass == .critical { return "is critical" }
    if preference.allowUnload == false { return "was denied by the user" }
    guard let bytes = unit.bytes else { return "has no known bytes" }
    if bytes != decision.predicted { return "brings \(bytes), not \(decision.predicted)" }
    if unit.unit.kind != .closedModule, bytes < max(settings.minMemorySavingsThreshold, Bytes(1)), !goesAlong {
      return "brings too little"
    }
    return nil
  }

  /// Under want of memory, without its largest unit the rest must not be enough. Units that need each other count as one.
  private static func beyondTarget(
    _ decisions: [Decision], _ snapshot: Snapshot, _ settings: UnloadingSettings, ring: [ReclaimUnit: Int]
  ) -> String? {
    let forPressure = decisions.filter { if case .memoryPressure = $0.reason { true } else { false } }
    guard !forPressure.isEmpty else { return nil }
    guard let memory = snapshot.memory else { return "want of memory without its figures" }
    guard settings.enableMemoryPressureUnloading else { return "want of memory though that is off" }
    let target = Bytes(UInt64(min(settings.memoryPressureTarget * Double(memory.limit.count), 0x1p63)))
    let missing = memory.wanted == .zero ? .zero : memory.used + memory.wanted - memory.limit
    let wanted = max(memory.used - target, missing)
    guard wanted > .zero else { return "nothing is wanted" }
    let inRing = forPressure.filter { ring[$0.unit] != nil }.reduce(Bytes.zero) { $0 + $1.predicted }
    // Nor do those that are too small by themselves, and go along.
    let needs = Dictionary(uniqueKeysWithValues: snapshot.units.map { ($0.unit, $0.needs) })
    let minimum = max(settings.minMemorySavingsThreshold, Bytes(1))
    let small = forPressure.filter { $0.predicted < minimum && !(needs[$0.unit] ?? []).isEmpty }
    let along = small.reduce(Bytes.zero) { $0 + $1.predicted }
    let largest = max(inRing, forPressure.map(\.predicted).max() ?? .zero) + along
    let sum = forPressure.reduce(Bytes.zero) { $0 + $1.predicted }
    return sum - largest < wanted ? nil : "\(sum) go where \(wanted) are wanted and the largest is \(largest)"
  }

  /// The same over whole histories: the engine refuses and counts what must not be asked for.
  @Test("on every workload nothing in use or needed is asked for, twice alike", arguments: Workload.allCases)
  func workloads(workload: Workload) {
    for seed in 1...2 as ClosedRange<UInt64> {
      let trace = workload.trace(seed: seed, units: 12, hours: 2)
      for share in [0.3, 0.6] {
        let first = Simulation.run(trace, limit: trace.bytes(share: share), policy: .mlos())
        #expect(first.busyEvictions == 0)
        #expect(first.neededEvictions == 0)
        #expect(first == Simulation.run(trace, limit: trace.bytes(share: share), policy: .mlos()))
      }
    }
  }
}
