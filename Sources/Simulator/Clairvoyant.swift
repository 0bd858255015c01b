import Model

/// Knows all uses to come. With sizes and costs the best choice is NP-hard, so this is a heuristic after Belady (1966): what can be
/// achieved, not what is best; `LowerBound` says below what nobody gets.
public struct Clairvoyant: EvictionPolicy {
  /// What makes a unit go: the farthest next use, weighted.
  public enum Weight: String, Hashable, Sendable, CaseIterable {
    /// Belady's rule, best for units of one size and cost.
    case distance
    /// Seconds to the next use x bytes / reload seconds: the memory that is freed for a second of reloading.
    case savedForCost
    /// Bytes / reload seconds of what is needed again at all.
    case density
  }

  public var weight: Weight
  private let trace: Trace
  /// Times of the uses of each unit, as itself or as a need of others.
  private let uses: [[Double]]
  private var position: [Int]

  public init(_ trace: Trace, weight: Weight = .savedForCost) {
    self.trace = trace
    self.weight = weight
    let closures = trace.closures
    var uses = Array(repeating: [Double](), count: trace.units.count)
    for event in trace.events { for unit in closures[event.unit] { uses[unit].append(event.time) } }
    self.uses = uses
    position = Array(repeating: 0, count: uses.count)
  }

  public mutating func used(_ unit: Int, wasLoaded: Bool, memory: SimulatedMemory, at now: Double) { position[unit] += 1 }

  /// How much it should go: infinite for what is never used again.
  private func score(_ unit: Int, at now: Double) -> Double {
    guard position[unit] < uses[unit].count else { return .infinity }
    let distance = uses[unit][position[unit]] - now
    let density = Double(trace.units[unit].bytes.count) / max(trace.units[unit].reloadSeconds, 1e-6)
    return switch weight {
    case .distance: distance
    case .savedForCost: distance * density
    case .density: density
    }
  }

  public mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] {
    let excess = memory.excess
    guard excess > .zero else { return [] }
    var victims = memory.victims(freeing: excess, at: now) { -score($0, at: now) }
    var spare = victims.reduce(Bytes.zero) { $0 + trace.units[$1].bytes } - excess
    // A large unit that went last may have made earlier, smaller ones needless: the most expensive stays first.
    for unit in victims.sorted(by: { (score($0, at: now), $0) < (score($1, at: now), $1) }) {
      let bytes = trace.units[unit].bytes
      let needsOthers = trace.units[unit].needs.contains { victims.contains($0) }
      guard bytes <= spare, !needsOthers else { continue }
      spare = spare - bytes
      victims.removeAll { $0 == unit }
    }
    return victims
  }
}
