import Model

/// Which rows, newest first. Nil is every.
public struct JournalQuery: Hashable, Sendable {
  /// The most that one query answers.
  public static let largestLimit = 10_000

  /// Wall-clock seconds since 1970: from here on, and before that.
  public var from: Double?
  public var to: Double?
  /// Of a unit; of a setting for configuration changes.
  public var name: String?
  public var pid: Int32?
  /// Of decisions only.
  public var verdict: DecisionRecord.Verdict?
  public var limit: Int
  /// Where the answer before this one ended.
  public var cursor: JournalCursor?

  public init(
    from: Double? = nil, to: Double? = nil, name: String? = nil, pid: Int32? = nil, verdict: DecisionRecord.Verdict? = nil,
    limit: Int = 100, after cursor: JournalCursor? = nil
  ) {
    self.from = from
    self.to = to
    self.name = name
    self.pid = pid
    self.verdict = verdict
    self.limit = limit
    self.cursor = cursor
  }

  var bounded: Int { max(1, min(limit, Self.largestLimit)) }
}

/// A place between two rows; holds while rows are added and forgotten.
public struct JournalCursor: Hashable, Sendable, CustomStringConvertible {
  var time: Double
  var id: Int64

  init(time: Double, id: Int64) {
    self.time = time
    self.id = id
  }

  /// From its description; nil for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let time = Double(parts[0]), time.isFinite, let id = Int64(parts[1]) else { return nil }
    self.init(time: time, id: id)
  }

  public var description: String { "\(time)/\(id)" }
}

/// Rows, and where to go on; nil when these were the last.
public struct JournalPage<Row: Hashable & Sendable>: Hashable, Sendable {
  public var rows: [Row]
  public var next: JournalCursor?
}

/// The last judgement of a unit, and what came of it.
public struct JudgedUnit: Hashable, Sendable {
  public var decision: DecisionRecord
  /// Oldest first.
  public var outcomes: [OutcomeRecord]
}

extension Journal {
  public func decisions(_ query: JournalQuery) throws(JournalError) -> JournalPage<DecisionRecord> {
    var conditions = Conditions(query, name: "unit_name", hasProcess: true)
    conditions.add("verdict = ?", query.verdict.map { .text($0.rawValue) })
    return try page(DecisionRecord.selection, conditions, query, DecisionRecord.init) { ($0.time, $0.id) }
  }

  public func outcomes(_ query: JournalQuery) throws(JournalError) -> JournalPage<OutcomeRecord> {
    try page(
      OutcomeRecord.selection, Conditions(query, name: "unit_name", hasProcess: true), query, OutcomeRecord.init
    ) { ($0.time, $0.id) }
  }

  public func configurationChanges(_ query: JournalQuery) throws(JournalError) -> JournalPage<ConfigurationChange> {
    try page(
      ConfigurationChange.selection, Conditions(query, name: "key", hasProcess: false), query, ConfigurationChange.init
    ) { ($0.time, $0.id) }
  }

  public func notices(_ query: JournalQuery) throws(JournalError) -> JournalPage<JournalNotice> {
    try page(JournalNotice.selection, Conditions(query, name: nil, hasProcess: false), query, JournalNotice.init) {
      ($0.time, $0.id)
    }
  }

  /// What came of a decision, oldest first.
  public func outcomes(of decision: Int64) throws(JournalError) -> [OutcomeRecord] {
    try reading { database throws(SQLiteFailure) in
      var found: [OutcomeRecord] = []
      try database.prepare("\(OutcomeRecord.selection) WHERE decision = ? ORDER BY time, id LIMIT 100").rows([.integer(decision)])
      {
        if let row = OutcomeRecord($0) { found.append(row) }
        return true
      }
      return found
    }
  }

  /// The last judgement of each unit of a name, newest first, of its last 2,000 judgements: a name may live in many processes.
  public func lastJudgements(of name: String, limit: Int = 20) throws(JournalError) -> [JudgedUnit] {
    var found: [DecisionRecord] = []
    var seen: Set<ReclaimUnit> = []
    try reading { database throws(SQLiteFailure) in
      try database.prepare("\(DecisionRecord.selection) WHERE unit_name = ? ORDER BY time DESC, id DESC LIMIT 2000")
        .rows([.text(name.limited(toBytes: TextLimit.name))]) {
          if let row = DecisionRecord($0), seen.insert(row.unit).inserted { found.append(row) }
          return found.count < max(1, min(limit, 1000))
        }
    }
    var result: [JudgedUnit] = []
    for decision in found { result.append(JudgedUnit(decision: decision, outcomes: try outcomes(of: decision.id))) }
    return result
  }

  /// Counted since the journal began.
  public func totals() throws(JournalError) -> JournalTotals {
    try reading { database throws(SQLiteFailure) in
      var result = JournalTotals()
      result.all = try database.totals("\(UnloadTotals.selection) WHERE scope = 'all'").first?.totals ?? UnloadTotals()
      result.byWord = try database.totals("\(UnloadTotals.selection) WHERE scope = 'word' ORDER BY name LIMIT 10000")
      result.byReason = try database.totals("\(UnloadTotals.selection) WHERE scope = 'reason' ORDER BY name LIMIT 10000")
      return result
    }
  }

  /// Of the units of a name; nil when none has been asked to go.
  public func totals(ofUnits name: String) throws(JournalError) -> UnloadTotals? {
    try reading { database throws(SQLiteFailure) in
      try database.totals(
        "\(UnloadTotals.selection) WHERE scope = 'unit' AND name = ?", .text(name.limited(toBytes: TextLimit.name))
      ).first?.totals
    }
  }

  /// By the names of units, sorted.
  public func totalsByUnit() throws(JournalError) -> [JournalTotals.Named] {
    try reading { database throws(SQLiteFailure) in
      try database.totals("\(UnloadTotals.selection) WHERE scope = 'unit' ORDER BY name LIMIT 10000")
    }
  }

  private func page<Row: Hashable & Sendable>(
    _ selection: String, _ conditions: Conditions, _ query: JournalQuery, _ make: (SQLiteRow) -> Row?,
    _ place: (Row) -> (Double, Int64)
  ) throws(JournalError) -> JournalPage<Row> {
    try reading { database throws(SQLiteFailure) in
      var rows: [Row] = []
      // One more than asked for tells whether there are more.
      try database.prepare("\(selection)\(conditions.text) ORDER BY time DESC, id DESC LIMIT ?")
        .rows(conditions.values + [.integer(Int64(query.bounded) + 1)]) {
          if let row = make($0) { rows.append(row) }
          return true
        }
      let hasMore = rows.count > query.bounded
      if hasMore { rows.removeLast() }
      let last = rows.last.map(place)
      return JournalPage(rows: rows, next: hasMore ? last.map { JournalCursor(time: $0.0, id: $0.1) } : nil)
    }
  }
}

/// A WHERE made of constant pieces; what was asked for is bound.
private struct Conditions {
  private var pieces: [String] = []
  private(set) var values: [SQLiteValue] = []

  init(_ query: JournalQuery, name: String?, hasProcess: Bool) {
    add("time >= ?", query.from.map { .real($0) })
    add("time < ?", query.to.map { .real($0) })
    if let name { add("\(name) = ?", query.name.map { .text($0.limited(toBytes: TextLimit.name)) }) }
    if hasProcess { add("pid = ?", query.pid.map { .integer(Int64($0)) }) }
    if let cursor = query.cursor {
      pieces.append("(time, id) < (?, ?)")
      values += [.real(cursor.time), .integer(cursor.id)]
    }
  }

  mutating func add(_ piece: String, _ value: SQLiteValue?) {
    guard let value else { return }
    pieces.append(piece)
    values.append(value)
  }

  var text: String { pieces.isEmpty ? "" : " WHERE \(pieces.joined(separator: " AND "))" }
}
