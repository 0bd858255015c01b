import Model

/// Least frequently used first, with dynamic aging: a unit's key is its uses since it was loaded plus the key of what was evicted
/// last, so that what was popular once does not stay for ever.
///
/// LFU-DA: Arlitt, Cherkasova, Dilley, Friedrich, Jin, "Evaluating content management techniques for Web proxy caches" (2000);
/// `heap LFUDA` of Squid.
public struct LeastFrequentlyUsed: EvictionPolicy {
  private var base: InflatedPriority

  public init(_ trace: Trace) { base = InflatedPriority(weights: trace.units.map { _ in 1 }) }

  public mutating func used(_ unit: Int, wasLoaded: Bool, memory: SimulatedMemory, at now: Double) {
    base.used(unit, wasLoaded: wasLoaded)
  }

  public mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] {
    memory.victims(freeing: memory.excess, at: now) { base.priority[$0] }
  }

  public mutating func evicted(_ unit: Int, outcome: EvictionOutcome, memory: SimulatedMemory, at now: Double) {
    if case .freed = outcome { base.evicted(unit) }
  }
}

/// GreedyDual-Size-Frequency: key = age + uses x reload seconds / bytes; the smallest goes and its key becomes the age.
///
/// Cherkasova, "Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching policy", HPL-98-69R1 (1998), after Cao
/// and Irani's GreedyDual-Size (1997). Knows each use, which a supervisor that looks once a minute does not.
public struct GreedyDualSizeFrequency: EvictionPolicy {
  private var base: InflatedPriority

  public init(_ trace: Trace) {
    base = InflatedPriority(weights: trace.units.map { $0.reloadSeconds / Double(max($0.bytes.count, 1)) })
  }

  public mutating func used(_ unit: Int, wasLoaded: Bool, memory: SimulatedMemory, at now: Double) {
    base.used(unit, wasLoaded: wasLoaded)
  }

  public mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] {
    memory.victims(freeing: memory.excess, at: now) { base.priority[$0] }
  }

  public mutating func evicted(_ unit: Int, outcome: EvictionOutcome, memory: SimulatedMemory, at now: Double) {
    if case .freed = outcome { base.evicted(unit) }
  }
}

/// Uses since the load, weighted, above an age that rises with each eviction.
private struct InflatedPriority {
  let weights: [Double]
  var priority: [Double]
  var uses: [Double]
  var age = 0.0

  init(weights: [Double]) {
    self.weights = weights
    priority = weights.map { _ in 0 }
    uses = priority
  }

  mutating func used(_ unit: Int, wasLoaded: Bool) {
    uses[unit] = wasLoaded ? uses[unit] + 1 : 1
    priority[unit] = age + uses[unit] * weights[unit]
  }

  mutating func evicted(_ unit: Int) { age = max(age, priority[unit]) }
}
