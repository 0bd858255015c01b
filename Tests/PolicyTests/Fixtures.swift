import Model
import Policy

/// A machine of 10 GiB and units of so many MiB, at seconds of a clock that starts at 10,000.
final class Scene {
  var policy = UnloadingPolicy()
  var units: [UnitObservation] = []
  var memory: MemoryPressure?
  var now = 10_000.0

  init() {}

  func copy() -> Scene {
    let other = Scene()
    (other.policy, other.units, other.memory, other.now) = (policy, units, memory, now)
    return other
  }

  static let limit = Bytes.mebibytes(10_240)

  var instant: Instant { Instant(seconds: now) }

  func add(
    _ name: String, mebibytes: UInt64? = 100, idle: Double? = 0, reload: Double? = 1, needs: [String] = [], busy: String? = nil,
    kind: ReclaimUnit.Kind = .package
  ) {
    units.append(
      UnitObservation(
        ReclaimUnit(kind, name), busy: busy, lastUsed: idle.map { Instant(seconds: now - $0) },
        bytes: mebibytes.map { .mebibytes($0) }, reloadSeconds: reload, needs: needs.map { ReclaimUnit(.package, $0) }))
  }

  func use(_ share: Double, stall: Double? = nil, wanted: Bytes = .zero) {
    memory = MemoryPressure(
      used: Bytes(UInt64(share * Double(Self.limit.count))), limit: Self.limit, stall: stall, wanted: wanted)
  }

  var snapshot: Snapshot { Snapshot(memory: memory, units: units) }

  /// Names of what goes now, in order.
  func go(_ requests: [ReclaimUnit: UnloadReason] = [:]) -> [String] {
    policy.evaluate(snapshot, requests: requests, at: instant).map(\.unit.name)
  }

  func review() -> Review { policy.review(snapshot, at: instant) }

  /// What would be said now, with nothing remembered of the question.
  func verdict(_ name: String) -> Judgement.Verdict? {
    var copy = policy
    return copy.review(snapshot, at: instant).judgements.first { $0.unit.name == name }?.verdict
  }

  func reason(_ name: String) -> UnloadReason? {
    if case .unload(let reason)? = verdict(name) { return reason }
    return nil
  }

  func obstacle(_ name: String) -> KeepReason? {
    if case .keep(let reason)? = verdict(name) { return reason }
    return nil
  }

  /// The decision was carried out: the unit is gone and so much came back.
  func unload(_ name: String, freed: Bytes = .mebibytes(100)) {
    for index in units.indices where units[index].unit.name == name {
      units[index].isLoaded = false
      policy.record(UnloadOutcome(unit: units[index].unit, result: .freed(freed), seconds: 0.1), at: instant)
    }
  }

  func load(_ name: String) {
    for index in units.indices where units[index].unit.name == name {
      units[index].isLoaded = true
      units[index].loadedAt = instant
      units[index].lastUsed = instant
    }
  }
}
