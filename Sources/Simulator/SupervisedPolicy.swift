import Model
import Policy

/// The policy of the supervisor in the simulator: what it decides from is what a snapshot holds, and nothing else. It sees uses
/// only as the time of the latest one, when it looks.
public struct SupervisedPolicy: EvictionPolicy {
  public private(set) var policy: UnloadingPolicy
  private let indexes: [ReclaimUnit: Int]
  private var snapshot: Snapshot

  public init(_ trace: Trace, settings: UnloadingSettings = .init()) {
    policy = UnloadingPolicy(settings: settings)
    let units = trace.units.map { ReclaimUnit($0.kind, $0.name) }
    indexes = Dictionary(uniqueKeysWithValues: units.enumerated().map { ($1, $0) })
    let observations = trace.units.enumerated().map { index, unit in
      UnitObservation(
        units[index], isLoaded: false, bytes: unit.bytes, reloadSeconds: unit.reloadSeconds, needs: unit.needs.map { units[$0] })
    }
    snapshot = Snapshot(memory: nil, units: observations)
  }

  public mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] {
    snapshot.memory = MemoryPressure(used: memory.held, limit: memory.limit, source: "trace", wanted: memory.wanted)
    for unit in memory.units.indices {
      snapshot.units[unit].isLoaded = memory.isLoaded[unit]
      snapshot.units[unit].busy = memory.isBusy(unit, at: now) ? "in-use" : nil
      snapshot.units[unit].lastUsed = memory.lastUsed(unit, at: now).map { Instant(seconds: $0) }
      snapshot.units[unit].loadedAt = memory.isLoaded[unit] ? Instant(seconds: memory.loadedAt[unit]) : nil
    }
    return policy.evaluate(snapshot, at: Instant(seconds: now)).compactMap { indexes[$0.unit] }
  }

  public mutating func evicted(_ unit: Int, outcome: EvictionOutcome, memory: SimulatedMemory, at now: Double) {
    let result: UnloadOutcome.Result =
      switch outcome {
      case .freed(let bytes): .freed(bytes)
      case .busy: .kept("in-use")
      case .needed: .kept("needed")
      case .notLoaded: .kept("not-loaded")
      }
    policy.record(UnloadOutcome(unit: snapshot.units[unit].unit, result: result, seconds: 0), at: Instant(seconds: now))
  }
}
