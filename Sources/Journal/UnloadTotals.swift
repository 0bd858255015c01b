import Model

/// Unloads counted since the journal began, pruned rows included. A dry run is none.
public struct UnloadTotals: Hashable, Sendable {
  public var unloads: UInt64 = 0
  /// Memory came back.
  public var successful: UInt64 = 0
  public var failed: UInt64 = 0
  public var freed: Bytes = .zero
  public var seconds = 0.0
  /// Wall-clock seconds since 1970 of the last one.
  public var lastTime: Double?

  public init() {}

  /// Nil as long as there was none.
  public var averageFreed: Bytes? { unloads == 0 ? nil : Bytes(freed.count / unloads) }
  public var averageSeconds: Double? { unloads == 0 ? nil : seconds / Double(unloads) }
  /// 0 to 1.
  public var successRate: Double? { unloads == 0 ? nil : Double(successful) / Double(unloads) }

  mutating func count(_ outcome: OutcomeRecord) {
    guard outcome.result != .dryRun else { return }
    unloads += 1
    if outcome.result == .freed { successful += 1 } else { failed += 1 }
    freed += outcome.freed ?? .zero
    if outcome.seconds.isFinite, outcome.seconds > 0 { seconds += outcome.seconds }
    lastTime = max(lastTime ?? outcome.time, outcome.time)
  }

  mutating func add(_ other: UnloadTotals) {
    unloads += other.unloads
    successful += other.successful
    failed += other.failed
    freed += other.freed
    seconds += other.seconds
    lastTime = [lastTime, other.lastTime].compactMap { $0 }.max()
  }
}

/// Totals of all unloads, and by why they were asked for.
public struct JournalTotals: Hashable, Sendable {
  public struct Named: Hashable, Sendable {
    public var name: String
    public var totals: UnloadTotals
  }
  public var all = UnloadTotals()
  /// By the reason's word: `memory-pressure`. Sorted by name.
  public var byWord: [Named] = []
  /// By the reason's text: `Memory pressure unloading (high)`. Sorted by name.
  public var byReason: [Named] = []

  public init() {}
}

/// What a row of totals is about.
struct TotalKey: Hashable, Comparable {
  enum Scope: String, Comparable {
    case all
    case word
    case reason
    case unit
    static func < (left: Scope, right: Scope) -> Bool { left.rawValue < right.rawValue }
  }
  /// Stands for the names that there was no room for.
  static let others = "(others)"

  var scope: Scope
  var name: String

  static func < (left: TotalKey, right: TotalKey) -> Bool { (left.scope, left.name) < (right.scope, right.name) }

  /// All that an outcome counts for.
  static func keys(of outcome: OutcomeRecord) -> [TotalKey] {
    [
      TotalKey(scope: .all, name: ""), TotalKey(scope: .word, name: outcome.reason.limited(toBytes: TextLimit.name)),
      TotalKey(scope: .reason, name: outcome.text.limited(toBytes: TextLimit.name)),
      TotalKey(scope: .unit, name: outcome.unit.name.limited(toBytes: TextLimit.name)),
    ]
  }
}
