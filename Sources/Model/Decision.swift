/// Why a unit is given back.
public enum UnloadReason: Hashable, Sendable {
  case memoryPressure(PressureLevel)
  /// Idle for longer than its strategy allows; the strategy's name.
  case usagePattern(String)
  /// The user said that it may go.
  case userPreference
  /// Idle for longer than its strategy allows at this level of memory.
  case adaptive(PressureLevel)
  /// More closed modules are kept than the cache may hold.
  case cacheLimit(Int)
  /// A rule of the user's; its name.
  case rule(String)
  /// Asked for by somebody.
  case manual

  /// What the status and the journal show: `Memory pressure unloading (high)`.
  public var text: String {
    switch self {
    case .memoryPressure(let level): "Memory pressure unloading (\(level.rawValue))"
    case .usagePattern(let strategy): "Usage pattern unloading (\(strategy))"
    case .userPreference: "User preference unloading"
    case .adaptive(let level): "Adaptive unloading (\(level.rawValue))"
    case .cacheLimit(let limit): "Module cache limit (\(limit))"
    case .rule(let name): "Rule unloading (\(name))"
    case .manual: "Manual unloading"
    }
  }

  /// The seed factor of the order in which units go: pressure before everything else.
  public var priority: Double {
    switch self {
    case .memoryPressure, .manual: 1.0
    case .usagePattern, .userPreference, .adaptive, .cacheLimit, .rule: 0.8
    }
  }
}

/// The numbers a judgement was made from, for `why`. Nil is not known.
public struct JudgementFigures: Hashable, Sendable {
  public var idleSeconds: Double?
  /// After which it may go for idleness, everything counted in: strategy, level, regret.
  public var timeoutSeconds: Double
  public var strategy: String
  public var bytes: Bytes?
  public var reloadSeconds: Double?
  /// That it is needed again within the time in which that would be regretted, 0 to 1.
  public var reuseProbability: Double
  /// What regret makes of the reload cost: 1 for none.
  public var regret: Double
  /// Bytes back for a second of expected reloading; what has more goes first. Nil when the bytes are not known.
  public var score: Double?
  public var unitClass: UnitClass

  public init(
    idleSeconds: Double?, timeoutSeconds: Double, strategy: String, bytes: Bytes?, reloadSeconds: Double?,
    reuseProbability: Double, regret: Double, score: Double?, unitClass: UnitClass
  ) {
    self.idleSeconds = idleSeconds
    self.timeoutSeconds = timeoutSeconds
    self.strategy = strategy
    self.bytes = bytes
    self.reloadSeconds = reloadSeconds
    self.reuseProbability = reuseProbability
    self.regret = regret
    self.score = score
    self.unitClass = unitClass
  }
}

/// To give one unit back, and why.
public struct Decision: Hashable, Sendable {
  public var unit: ReclaimUnit
  public var reason: UnloadReason
  public var predicted: Bytes
  public var figures: JudgementFigures

  public init(unit: ReclaimUnit, reason: UnloadReason, predicted: Bytes, figures: JudgementFigures) {
    self.unit = unit
    self.reason = reason
    self.predicted = predicted
    self.figures = figures
  }
}

/// Why a unit stays.
public enum KeepReason: Hashable, Sendable {
  case disabled
  case notLoaded
  case userPreference
  case critical
  case busy(String)
  /// Loaded units that need it and stay.
  case neededBy([ReclaimUnit])
  case bytesUnknown
  case savingsTooSmall(minimum: Bytes)
  case useUnknown
  /// Not idle long enough, and no want of memory that would override it.
  case inUse
  /// Its own history says that it comes back soon.
  case expectedSoon
  /// Would go, but enough others went.
  case targetReached
  /// Would go, but this cycle is full; the limit.
  case cycleFull(Int)
  /// Asked to go already, and not yet answered.
  case underWay
  /// Asked a moment ago, and nothing came back: why, in a word of the truth report, and how long until it may be asked again.
  case triedLately(String, secondsLeft: Double)
}

/// What was decided about one unit.
public struct Judgement: Hashable, Sendable {
  public enum Verdict: Hashable, Sendable {
    case unload(UnloadReason)
    case keep(KeepReason)
  }
  public var unit: ReclaimUnit
  public var verdict: Verdict
  public var figures: JudgementFigures

  public init(unit: ReclaimUnit, verdict: Verdict, figures: JudgementFigures) {
    self.unit = unit
    self.verdict = verdict
    self.figures = figures
  }
}

/// What came of a decision, measured afterwards.
public struct UnloadOutcome: Hashable, Sendable {
  public enum Result: Hashable, Sendable {
    /// Memory came back.
    case freed(Bytes)
    /// Nothing came back, and why, in a word of the truth report: `nodelete`, `thread-inside:812`.
    case kept(String)
    /// It was only said what would be done.
    case dryRun
  }
  public var unit: ReclaimUnit
  public var result: Result
  public var seconds: Double

  public init(unit: ReclaimUnit, result: Result, seconds: Double) {
    self.unit = unit
    self.result = result
    self.seconds = seconds
  }
}
