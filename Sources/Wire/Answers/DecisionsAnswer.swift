/// `GET /api/v1/decisions[?name=NAME&pid=PID&from=TIME&to=TIME&limit=N&cursor=CURSOR]`: newest first.
public struct DecisionsAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.decisions/1"
  public var schema = DecisionsAnswer.schema
  public var decisions: [DecisionRow]
  /// Pass as `cursor` for those before these; null when there are none.
  public var next: Known<String>

  public init(decisions: [DecisionRow], next: Known<String>) {
    self.decisions = decisions
    self.next = next
  }
}

/// A decision as it was recorded, and what came of it.
public struct DecisionRow: Codable, Sendable, Hashable {
  public var id: Int64
  public var at: Double
  /// Which round of deciding it was, counted since the start of its supervisor.
  public var cycle: UInt64
  public var name: String
  /// `package`, `closed-module`, `heap`, `plugin`, `model`, `process`.
  public var kind: String
  public var pid: Known<Int32>
  /// `unload` or `keep`.
  public var verdict: String
  /// A stable word.
  public var reason: String
  /// The reason for people.
  public var text: String
  /// The user's rule that decided.
  public var rule: Known<String>
  public var predictedBytes: Known<UInt64>
  public var idleSeconds: Known<Double>
  public var timeoutSeconds: Known<Double>
  public var strategy: String
  public var unitClass: String
  public var reloadSeconds: Known<Double>
  public var reuseProbability: Double
  public var regret: Double
  public var score: Known<Double>
  public var memory: Known<RecordedMemory>
  public var requester: RequesterRow
  /// Oldest first.
  public var outcomes: [OutcomeRow]

  public init(
    id: Int64, at: Double, cycle: UInt64, name: String, kind: String, pid: Known<Int32>, verdict: String, reason: String,
    text: String, rule: Known<String>, predictedBytes: Known<UInt64>, idleSeconds: Known<Double>, timeoutSeconds: Known<Double>,
    strategy: String, unitClass: String, reloadSeconds: Known<Double>, reuseProbability: Double, regret: Double,
    score: Known<Double>, memory: Known<RecordedMemory>, requester: RequesterRow, outcomes: [OutcomeRow]
  ) {
    self.id = id
    self.at = at
    self.cycle = cycle
    self.name = name
    self.kind = kind
    self.pid = pid
    self.verdict = verdict
    self.reason = reason
    self.text = text
    self.rule = rule
    self.predictedBytes = predictedBytes
    self.idleSeconds = idleSeconds
    self.timeoutSeconds = timeoutSeconds
    self.strategy = strategy
    self.unitClass = unitClass
    self.reloadSeconds = reloadSeconds
    self.reuseProbability = reuseProbability
    self.regret = regret
    self.score = score
    self.memory = memory
    self.requester = requester
    self.outcomes = outcomes
  }
}

/// The memory a decision was made by.
public struct RecordedMemory: Codable, Sendable, Hashable {
  public var usedBytes: UInt64
  public var limitBytes: UInt64
  /// `machine`, or the control group whose limit binds.
  public var source: String
  public var stall: Known<Double>

  public init(usedBytes: UInt64, limitBytes: UInt64, source: String, stall: Known<Double>) {
    self.usedBytes = usedBytes
    self.limitBytes = limitBytes
    self.source = source
    self.stall = stall
  }
}

/// Who asked.
public struct RequesterRow: Codable, Sendable, Hashable {
  /// `schedule`, `user 1000`.
  public var name: String
  public var uid: Known<UInt32>
  public var pid: Known<Int32>

  public init(name: String, uid: Known<UInt32>, pid: Known<Int32>) {
    self.name = name
    self.uid = uid
    self.pid = pid
  }
}

/// What came of a decision.
public struct OutcomeRow: Codable, Sendable, Hashable {
  public var at: Double
  /// `freed`, `kept`, `dry-run`.
  public var result: String
  /// Measured.
  public var freedBytes: Known<UInt64>
  /// Of the whole process.
  public var freedPrivateBytes: Known<UInt64>
  public var freedProportionalBytes: Known<UInt64>
  public var seconds: Double
  /// Why nothing came back.
  public var obstacle: Known<String>
  /// What stayed, and why.
  public var stayed: [String]
  /// What each rung of the ladder did, in its order.
  public var rungs: [RungOutcomeRow]

  public init(
    at: Double, result: String, freedBytes: Known<UInt64>, freedPrivateBytes: Known<UInt64> = Known(nil),
    freedProportionalBytes: Known<UInt64> = Known(nil), seconds: Double, obstacle: Known<String>, stayed: [String],
    rungs: [RungOutcomeRow] = []
  ) {
    self.at = at
    self.result = result
    self.freedBytes = freedBytes
    self.freedPrivateBytes = freedPrivateBytes
    self.freedProportionalBytes = freedProportionalBytes
    self.rungs = rungs
    self.seconds = seconds
    self.obstacle = obstacle
    self.stayed = stayed
  }
}

/// `GET /api/v1/changes[?from=TIME&to=TIME&limit=N&cursor=CURSOR]`: settings that changed while a supervisor ran, newest first.
public struct ChangesAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.changes/1"
  public var schema = ChangesAnswer.schema
  public var changes: [ChangeRow]
  public var next: Known<String>

  public init(changes: [ChangeRow], next: Known<String>) {
    self.changes = changes
    self.next = next
  }
}

public struct ChangeRow: Codable, Sendable, Hashable {
  public var id: Int64
  public var at: Double
  public var key: String
  /// Null when it was not set.
  public var old: Known<String>
  public var new: Known<String>
  /// Where the new value comes from.
  public var origin: String
  public var requester: RequesterRow

  public init(
    id: Int64, at: Double, key: String, old: Known<String>, new: Known<String>, origin: String, requester: RequesterRow
  ) {
    self.id = id
    self.at = at
    self.key = key
    self.old = old
    self.new = new
    self.origin = origin
    self.requester = requester
  }
}

/// What one rung of the ladder did.
public struct RungOutcomeRow: Codable, Sendable, Hashable {
  public var rung: String
  /// Resident.
  public var freedBytes: Known<UInt64>
  public var seconds: Double
  /// Why it was not carried out.
  public var refusal: Known<String>

  public init(rung: String, freedBytes: Known<UInt64>, seconds: Double, refusal: Known<String>) {
    self.rung = rung
    self.freedBytes = freedBytes
    self.seconds = seconds
    self.refusal = refusal
  }
}

/// `GET /api/v1/notices[?from=TIME&to=TIME&limit=N&cursor=CURSOR]`: what the journal says about itself, newest first.
public struct NoticesAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.notices/1"
  public var schema = NoticesAnswer.schema
  public var notices: [NoticeRow]
  public var next: Known<String>

  public init(notices: [NoticeRow], next: Known<String>) {
    self.notices = notices
    self.next = next
  }
}

public struct NoticeRow: Codable, Sendable, Hashable {
  public var id: Int64
  public var at: Double
  /// `lost`: rows that found no room; `replaced`: a damaged journal was set aside; `vanished`: the file was taken away.
  public var kind: String
  public var text: String
  /// How many were lost.
  public var lostRows: Known<UInt64>

  public init(id: Int64, at: Double, kind: String, text: String, lostRows: Known<UInt64>) {
    self.id = id
    self.at = at
    self.kind = kind
    self.text = text
    self.lostRows = lostRows
  }
}
