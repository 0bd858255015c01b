/// Who asked for something: a person through the control socket, or MLOS itself.
public struct Requester: Hashable, Sendable {
  /// `schedule`, `pressure`, or the name of a user or program.
  public var name: String
  /// As the kernel told, nil for MLOS itself.
  public var uid: UInt32?
  public var pid: Int32?

  public init(_ name: String, uid: UInt32? = nil, pid: Int32? = nil) {
    self.name = name
    self.uid = uid
    self.pid = pid
  }
}

/// A judgement as it is remembered: in words, since its program may be older or newer than the one that reads it.
public struct DecisionRecord: Hashable, Sendable {
  public enum Verdict: String, Hashable, Sendable, Codable, CaseIterable {
    case unload
    case keep
  }

  /// Given by the journal, above 0; 0 as long as it has not been appended.
  public var id: Int64 = 0
  /// Wall-clock seconds since 1970.
  public var time: Double
  /// Which round of deciding it was, counted since the supervisor's start.
  public var cycle: UInt64
  public var unit: ReclaimUnit
  public var verdict: Verdict
  /// A word: `memory-pressure`, `busy`.
  public var reason: String
  /// For people: `Memory pressure unloading (high)`, `busy: thread-inside:812`.
  public var text: String
  /// The user's rule that decided; nil when none did.
  public var rule: String?
  /// Bytes that are expected back; nil when that is not known, and for what stays.
  public var predicted: Bytes?
  public var figures: JudgementFigures
  /// Nil when it could not be read.
  public var memory: MemoryPressure?
  public var requester: Requester

  public init(
    time: Double, cycle: UInt64, unit: ReclaimUnit, verdict: Verdict, reason: String, text: String, rule: String? = nil,
    predicted: Bytes?, figures: JudgementFigures, memory: MemoryPressure?, requester: Requester
  ) {
    self.time = time
    self.cycle = cycle
    self.unit = unit
    self.verdict = verdict
    self.reason = reason
    self.text = text
    self.rule = rule
    self.predicted = predicted
    self.figures = figures
    self.memory = memory
    self.requester = requester
  }

  /// What was judged in a round, with the memory it was judged by.
  public init(_ judgement: Judgement, time: Double, cycle: UInt64, memory: MemoryPressure?, requester: Requester) {
    let verdict: Verdict
    let reason: String
    let text: String
    var rule: String?
    switch judgement.verdict {
    case .unload(let why):
      (verdict, reason, text) = (.unload, why.recordWord, why.text)
      if case .rule(let name) = why { rule = name }
    case .keep(let why): (verdict, reason, text) = (.keep, why.recordWord, why.recordText)
    }
    self.init(
      time: time, cycle: cycle, unit: judgement.unit, verdict: verdict, reason: reason, text: text, rule: rule,
      predicted: verdict == .unload ? judgement.figures.bytes : nil, figures: judgement.figures, memory: memory,
      requester: requester)
  }
}

/// What came of an unload, as it is remembered.
public struct OutcomeRecord: Hashable, Sendable {
  public enum Result: String, Hashable, Sendable, Codable, CaseIterable {
    /// Memory came back.
    case freed
    /// Nothing came back.
    case kept
    /// It was only said what would be done.
    case dryRun = "dry-run"
  }

  /// Given by the journal, above 0; 0 as long as it has not been appended.
  public var id: Int64 = 0
  /// Of the decision it came of; nil when there was none, or when it has been forgotten.
  public var decision: Int64?
  /// Wall-clock seconds since 1970, of the end.
  public var time: Double
  public var unit: ReclaimUnit
  public var result: Result
  /// Measured; nil unless memory came back.
  public var freed: Bytes?
  /// Of the whole process, private and proportional; nil where they were not measured.
  public var freedPrivate: Bytes?
  public var freedProportional: Bytes?
  /// What each rung of the ladder did, in its order.
  public var rungs: [RungRecord] = []
  public var seconds: Double
  /// Why nothing came back, a word of the truth report; nil when something did.
  public var obstacle: String?
  /// What stayed, and why: `libfoo.so: nodelete`.
  public var stayed: [String]
  /// Why it was to go: word and text of the decision's reason.
  public var reason: String
  public var text: String

  public init(
    _ outcome: UnloadOutcome, of decision: Int64?, because reason: UnloadReason, stayed: [String] = [], time: Double
  ) {
    self.decision = decision
    self.time = time
    unit = outcome.unit
    seconds = outcome.seconds
    self.stayed = stayed
    self.reason = reason.recordWord
    text = reason.text
    switch outcome.result {
    case .freed(let bytes): (result, freed) = (.freed, bytes)
    case .kept(let why): (result, obstacle) = (.kept, why)
    case .dryRun: result = .dryRun
    }
  }

  public init(
    time: Double, decision: Int64?, unit: ReclaimUnit, result: Result, freed: Bytes?, seconds: Double, obstacle: String?,
    stayed: [String], reason: String, text: String
  ) {
    self.time = time
    self.decision = decision
    self.unit = unit
    self.result = result
    self.freed = freed
    self.seconds = seconds
    self.obstacle = obstacle
    self.stayed = stayed
    self.reason = reason
    self.text = text
  }
}

/// What a rung did, as it is remembered.
public struct RungRecord: Hashable, Sendable {
  public var rung: String
  /// Resident bytes; nil when they were not measured.
  public var freed: Bytes?
  public var seconds: Double
  /// Why it was not carried out, in a word; nil when it was.
  public var refusal: String?

  public init(rung: String, freed: Bytes?, seconds: Double, refusal: String?) {
    self.rung = rung
    self.freed = freed
    self.seconds = seconds
    self.refusal = refusal
  }
}

extension OutcomeRecord {
  /// What came of a reclaim in one process.
  public init(_ report: ReclaimReport, unit: ReclaimUnit, because reason: UnloadReason, time: Double) {
    let freed = report.cameBack ?? .zero
    self.init(
      UnloadOutcome(
        unit: unit, result: freed > .zero ? .freed(freed) : .kept(report.obstacle ?? "not-measured"), seconds: report.seconds),
      of: nil, because: reason,
      stayed: report.remainders.filter { !$0.name.isEmpty }.map { "\($0.name): \($0.reason)" }, time: time)
    freedPrivate = report.freedPrivate
    freedProportional = report.freedProportional
    rungs = report.rungs.map {
      RungRecord(rung: $0.rung.rawValue, freed: $0.freed, seconds: $0.agentSeconds ?? $0.seconds, refusal: $0.refusal)
    }
  }
}

/// A setting that got another value while the program ran.
public struct ConfigurationChange: Hashable, Sendable {
  /// Given by the journal, above 0; 0 as long as it has not been appended.
  public var id: Int64 = 0
  /// Wall-clock seconds since 1970.
  public var time: Double
  /// `unloading.strategy`.
  public var key: String
  /// Nil when it was not set, or is no longer.
  public var old: String?
  public var new: String?
  /// Where the new value comes from, as `mlos config show --origin` says it.
  public var origin: String
  public var requester: Requester

  public init(time: Double, key: String, old: String?, new: String?, origin: String, requester: Requester) {
    self.time = time
    self.key = key
    self.old = old
    self.new = new
    self.origin = origin
    self.requester = requester
  }
}

/// A number that was measured at a time.
public struct MetricSample: Hashable, Sendable {
  /// `memory.used`.
  public var name: String
  public var value: Double
  /// Wall-clock seconds since 1970.
  public var time: Double

  public init(_ name: String, _ value: Double, at time: Double) {
    self.name = name
    self.value = value
    self.time = time
  }
}

extension UnloadReason {
  /// The word it is remembered by.
  public var recordWord: String {
    switch self {
    case .memoryPressure: "memory-pressure"
    case .usagePattern: "usage-pattern"
    case .userPreference: "user-preference"
    case .adaptive: "adaptive"
    case .cacheLimit: "cache-limit"
    case .rule: "rule"
    case .manual: "manual"
    }
  }
}

extension KeepReason {
  /// The word it is remembered by.
  public var recordWord: String {
    switch self {
    case .disabled: "disabled"
    case .notLoaded: "not-loaded"
    case .userPreference: "user-preference"
    case .critical: "critical"
    case .busy: "busy"
    case .neededBy: "needed-by"
    case .bytesUnknown: "bytes-unknown"
    case .savingsTooSmall: "savings-too-small"
    case .useUnknown: "use-unknown"
    case .inUse: "in-use"
    case .expectedSoon: "expected-soon"
    case .targetReached: "target-reached"
    case .cycleFull: "cycle-full"
    case .underWay: "under-way"
    case .triedLately: "tried-lately"
    }
  }

  /// The words people read in the history.
  public var recordText: String {
    switch self {
    case .disabled: "unloading is disabled"
    case .notLoaded: "not in memory"
    case .userPreference: "the user wants it kept"
    case .critical: "critical: never unloaded"
    case .busy(let why): "busy: \(why)"
    case .neededBy(let units):
      "needed by \(units.prefix(8).map(\.description).joined(separator: ", "))\(units.count > 8 ? ", ..." : "")"
    case .bytesUnknown: "not known what it would give back"
    case .savingsTooSmall(let minimum): "would give back less than \(minimum)"
    case .useUnknown: "not known when it was last used"
    case .inUse: "not idle long enough"
    case .expectedSoon: "expected to be needed again soon"
    case .targetReached: "enough others went"
    case .cycleFull(let limit): "\(limit) others go in this cycle"
    case .underWay: "asked to go already"
    case .triedLately(let why, _): "asked a moment ago, and gave nothing back: \(why)"
    }
  }
}
