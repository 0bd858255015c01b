import Model

/// What the simulator asks of a policy. Units are indexes into the trace; times are seconds since its start.
public protocol EvictionPolicy {
  /// A use of `unit` begins, or of something that needs it; it is in memory by now.
  /// - Parameter wasLoaded: False when it had to be loaded for this use.
  mutating func used(_ unit: Int, wasLoaded: Bool, memory: SimulatedMemory, at now: Double)

  /// What is to go, in this order. Asked at every check, and again and again while a load waits and something went.
  mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int]

  /// What came of it: a unit left memory, or was in use or needed and stays.
  mutating func evicted(_ unit: Int, outcome: EvictionOutcome, memory: SimulatedMemory, at now: Double)

  /// When it wants to be asked beside the checks at fixed intervals, as a timer would.
  func wake(_ memory: SimulatedMemory, after now: Double) -> Double?

  /// Whether a load that does not fit is sent away, to be served elsewhere.
  mutating func refusesLoad(_ memory: SimulatedMemory, at now: Double) -> Bool
}

public enum EvictionOutcome: Hashable, Sendable {
  case freed(Bytes)
  case busy
  case needed
  case notLoaded
}

extension EvictionPolicy {
  public mutating func used(_ unit: Int, wasLoaded: Bool, memory: SimulatedMemory, at now: Double) {}
  public mutating func evicted(_ unit: Int, outcome: EvictionOutcome, memory: SimulatedMemory, at now: Double) {}
  public func wake(_ memory: SimulatedMemory, after now: Double) -> Double? { nil }
  public mutating func refusesLoad(_ memory: SimulatedMemory, at now: Double) -> Bool { false }
}
