/// `GET /api/v1/plan[?name=NAME]`
public struct PlanAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.plan/1"
  public var schema = PlanAnswer.schema
  public var takenAt: Double
  /// False: nothing is unloaded whatever the rows say.
  public var enabled: Bool
  /// False when what is decided is only recorded (`unloading.dry_run`), and when nothing is enabled.
  public var acts: Bool
  /// Name of the strategy for units without one of their own.
  public var strategy: String
  public var memory: Known<PlanMemory>
  /// To be given back now for want of memory; 0 when nothing is.
  public var wantedBytes: UInt64
  /// Whether memory is short, so that units go before their time.
  public var isPressed: Bool
  /// Those that go first, in their order; the others by name.
  public var units: [PlanUnit]

  public init(
    takenAt: Double, enabled: Bool, acts: Bool, strategy: String, memory: Known<PlanMemory>, wantedBytes: UInt64, isPressed: Bool,
    units: [PlanUnit]
  ) {
    self.takenAt = takenAt
    self.enabled = enabled
    self.acts = acts
    self.strategy = strategy
    self.memory = memory
    self.wantedBytes = wantedBytes
    self.isPressed = isPressed
    self.units = units
  }
}

/// Memory in use against the limit that binds.
public struct PlanMemory: Codable, Sendable, Hashable {
  public var usedBytes: UInt64
  public var limitBytes: UInt64
  /// `machine`, or the control group whose limit binds.
  public var source: String
  /// `low`, `medium`, `high`, `critical`.
  public var level: String
  /// Shares of the limit, 0 to 1: where unloading begins when it is held, begins at once, and ends.
  public var threshold: Double
  public var critical: Double
  public var target: Double
  /// Seconds for which the threshold must be held.
  public var thresholdSeconds: Double
  /// Share of the time since the last look in which something waited for memory.
  public var stall: Known<Double>

  public init(
    usedBytes: UInt64, limitBytes: UInt64, source: String, level: String, threshold: Double, critical: Double, target: Double,
    thresholdSeconds: Double, stall: Known<Double>
  ) {
    self.usedBytes = usedBytes
    self.limitBytes = limitBytes
    self.source = source
    self.level = level
    self.threshold = threshold
    self.critical = critical
    self.target = target
    self.thresholdSeconds = thresholdSeconds
    self.stall = stall
  }
}

/// What was decided about one unit, and from which numbers.
public struct PlanUnit: Codable, Sendable, Hashable {
  public var name: String
  /// `package`, `closed-module`, `plugin`, `model`.
  public var kind: String
  /// Null for what is not inside one watched process.
  public var pid: Known<Int32>
  public var processName: String
  /// `unload` or `keep`.
  public var verdict: String
  /// Its place among those that go, from 1.
  public var order: Known<Int>
  /// A stable word: `usage-pattern`, `user-preference`, `needed-by`, ...
  public var reason: String
  /// The reason in a sentence, with its numbers.
  public var explanation: String
  /// What would have to change for the other verdict; empty when nothing would do.
  public var otherwise: String
  /// What would come back.
  public var bytes: Known<UInt64>
  public var lastUsedAt: Known<Double>
  public var idleSeconds: Known<Double>
  /// After so many seconds of idleness it may go, everything counted in; null when it never goes for idleness.
  public var timeoutSeconds: Known<Double>
  public var strategy: String
  /// `critical`, `important`, `optional`.
  public var unitClass: String
  public var reloadSeconds: Known<Double>
  /// That it is used again within the time in which its going would be regretted, 0 to 1.
  public var reuseProbability: Double
  /// By how much its reload counts for more, having been needed again soon after it went: 1 for not at all.
  public var regret: Double
  /// Bytes back for a second of expected reloading: what has more goes first.
  public var score: Known<Double>

  public init(
    name: String, kind: String, pid: Known<Int32>, processName: String, verdict: String, order: Known<Int>, reason: String,
    explanation: String, otherwise: String, bytes: Known<UInt64>, lastUsedAt: Known<Double>, idleSeconds: Known<Double>,
    timeoutSeconds: Known<Double>, strategy: String, unitClass: String, reloadSeconds: Known<Double>, reuseProbability: Double,
    regret: Double, score: Known<Double>
  ) {
    self.name = name
    self.kind = kind
    self.pid = pid
    self.processName = processName
    self.verdict = verdict
    self.order = order
    self.reason = reason
    self.explanation = explanation
    self.otherwise = otherwise
    self.bytes = bytes
    self.lastUsedAt = lastUsedAt
    self.idleSeconds = idleSeconds
    self.timeoutSeconds = timeoutSeconds
    self.strategy = strategy
    self.unitClass = unitClass
    self.reloadSeconds = reloadSeconds
    self.reuseProbability = reuseProbability
    self.regret = regret
    self.score = score
  }
}
