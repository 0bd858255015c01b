import Model

/// What one policy made of one trace. Sums over the whole trace; seconds and bytes are the model's, not a machine's.
public struct Measures: Hashable, Sendable {
  public var uses = 0
  /// Uses that found everything in memory.
  public var hits = 0
  /// Units brought into memory, first times included.
  public var loads = 0
  /// Loads of what had been in memory before.
  public var reloads = 0
  /// What the reloads took. First loads cost every policy the same and are not in it.
  public var reloadSeconds = 0.0
  public var firstLoadSeconds = 0.0
  public var evictions = 0
  public var byteSeconds = 0.0
  public var peak = Bytes.zero
  public var secondsOverLimit = 0.0
  public var byteSecondsOverLimit = 0.0
  /// Evictions of units in use that were asked for; refused.
  public var busyEvictions = 0
  /// Evictions of units that something loaded needs; refused.
  public var neededEvictions = 0
  /// Sum over the loads that waited: what was freed beyond what the load lacked.
  public var beyondTarget = Bytes.zero
  /// Reloads within ten minutes after the unload.
  public var thrash = 0
  /// Uses sent elsewhere. Their loads are in `reloadSeconds`, as the other machine pays them, and hold no memory here.
  public var refusedUses = 0

  public init() {}

  public static let thrashSeconds = 600.0
}
