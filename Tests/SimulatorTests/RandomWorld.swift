import Model
import Policy
import Simulator

/// Makes snapshots that no machine would show in this order: everything the policy reads changes at random between two looks, and
/// outcomes are measured, refused, late or lost.
struct RandomWorld {
  var random: RandomSource
  var settings = UnloadingSettings()
  var units: [UnitObservation] = []
  var memory: MemoryPressure?
  var now = Instant(seconds: 1000)
  /// For each unit, its place in the list of those that need each other: they go together.
  private(set) var ring: [ReclaimUnit: Int] = [:]

  init(seed: UInt64) {
    random = RandomSource(seed: seed)
    makeUnits()
    makeSettings()
  }

  private mutating func makeUnits() {
    let count = 4 + random.below(6)
    for index in 0..<count {
      let kind = ReclaimUnit.Kind.allCases[random.below(ReclaimUnit.Kind.allCases.count)]
      let process = random.chance(0.5) ? ProcessIdentity(pid: Int32(index % 3 + 1), startTicks: 1) : nil
      // Some names are shared by several units.
      let unit = ReclaimUnit(kind, "unit-\(random.chance(0.2) ? 0 : index)", in: process)
      guard !units.contains(where: { $0.unit == unit }) else { continue }
      units.append(UnitObservation(unit, isLoaded: random.chance(0.5)))
    }
    for index in units.indices where index > 0 && random.chance(0.4) { units[index].needs = [units[random.below(index)].unit] }
    // Rarely two units need each other, and something needs what is not there.
    if units.count > 2, random.chance(0.2), units[1].needs == [units[0].unit] {
      units[0].needs = [units[1].unit]
      ring = [units[0].unit: 0, units[1].unit: 0]
    }
    if random.chance(0.1) { units[units.count - 1].needs.append(ReclaimUnit(.package, "missing")) }
  }

  private mutating func makeSettings() {
    settings.maxUnloadsPerCycle = random.below(6)
    settings.strategy = ["aggressive", "balanced", "conservative", "unknown"][random.below(4)]
    settings.enableAdaptiveUnloading = random.chance(0.7)
    settings.enableUsagePatternUnloading = random.chance(0.8)
    settings.enableMemoryPressureUnloading = random.chance(0.9)
    settings.enableUserPreferenceUnloading = random.chance(0.8)
    settings.moduleCacheLimit = random.below(4)
    settings.isEnabled = random.chance(0.97)
    if random.chance(0.1) { settings.memoryPressureTarget = random.unit() }
    for unit in units where random.chance(0.4) {
      settings.preferences[unit.unit.name] = UnitPreference(
        strategy: random.chance(0.3) ? "aggressive" : nil, allowUnload: [nil, true, false][random.below(3)],
        unitClass: [nil, .critical, .important, .optional][random.below(4)])
    }
  }

  var snapshot: Snapshot { Snapshot(memory: memory, units: units) }

  /// Time passes, mostly forwards.
  mutating func step() {
    switch random.below(200) {
    case 0: now = Instant(seconds: random.uniform(0...1e6))
    case 1: now = Instant(nanoseconds: .max)
    case 2: now = Instant(nanoseconds: 0)
    default:
      now = now == Instant(nanoseconds: .max) ? Instant(seconds: 1e6) : now.advanced(bySeconds: random.logUniform(0.1...400))
    }
    for index in units.indices { stepUnit(index) }
    memory = random.chance(0.05) ? nil : randomMemory()
  }

  private mutating func stepUnit(_ index: Int) {
    let dice = random.below(100)
    if dice < 10 { units[index].isLoaded = true }
    if dice < 25 { units[index].lastUsed = now }
    if dice == 26 { units[index].lastUsed = random.chance(0.5) ? nil : Instant(seconds: random.uniform(0...2e6)) }
    if dice == 27 { units[index].loadedAt = random.chance(0.5) ? nil : now }
    if dice >= 30, dice < 36 { units[index].busy = dice < 32 ? "thread-inside:\(dice)" : nil }
    if dice >= 40, dice < 46 {
      units[index].bytes = random.chance(0.1) ? nil : Bytes(UInt64(random.logUniform(1e5...1e9)))
    }
    if dice == 50 { units[index].bytes = Bytes(.max >> UInt64(random.below(3))) }
    if dice == 60 {
      units[index].reloadSeconds = [nil, 0, -1, .nan, .infinity, 0.1, 5][random.below(7)]
    }
    if dice == 70 { units[index].refaulted = random.chance(0.5) ? nil : Bytes(UInt64(random.below(1 << 30))) }
  }

  private mutating func randomMemory() -> MemoryPressure {
    let limit = random.chance(0.02) ? Bytes(random.chance(0.5) ? 0 : .max) : Bytes(4_000_000_000)
    let wanted = random.chance(0.15) ? Bytes(UInt64(random.logUniform(1e6...2e9))) : .zero
    return MemoryPressure(
      used: Bytes(UInt64(random.unit() * 4.4e9)), limit: limit, stall: random.chance(0.5) ? nil : random.unit(), wanted: wanted)
  }

  /// What comes of a decision: carried out, refused, or never answered.
  mutating func act(on decision: Decision) -> UnloadOutcome? {
    guard let index = units.firstIndex(where: { $0.unit == decision.unit }) else { return nil }
    switch random.below(10) {
    case 0: return nil
    case 1: return UnloadOutcome(unit: decision.unit, result: .kept("nodelete"), seconds: 0.1)
    case 2: return UnloadOutcome(unit: decision.unit, result: .dryRun, seconds: 0)
    default:
      units[index].isLoaded = false
      return UnloadOutcome(unit: decision.unit, result: .freed(decision.predicted), seconds: 0.1)
    }
  }
}
