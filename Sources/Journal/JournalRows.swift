import Model

// From the columns back to the values. A row whose words are not known (a damaged file) is left out.

extension ReclaimUnit {
  /// From four columns: kind, name, PID, start ticks.
  fileprivate init?(_ row: SQLiteRow, from column: Int32) {
    guard let kind = row.text(column).flatMap(Kind.init(rawValue:)), let name = row.text(column + 1) else { return nil }
    var process: ProcessIdentity?
    if let pid = row.integer(column + 2), let ticks = row.integer(column + 3) {
      process = ProcessIdentity(pid: Int32(clamping: pid), startTicks: UInt64(clamping: ticks))
    }
    self.init(kind, name, in: process)
  }
}

extension Requester {
  /// From three columns: name, uid, PID.
  fileprivate init(_ row: SQLiteRow, from column: Int32) {
    self.init(
      row.text(column) ?? "", uid: row.integer(column + 1).map { UInt32(clamping: $0) },
      pid: row.integer(column + 2).map { Int32(clamping: $0) })
  }
}

extension DecisionRecord {
  static let selection = """
    SELECT id, time, cycle, unit_kind, unit_name, pid, start_ticks, verdict, reason, text, rule, predicted, idle, timeout,
      strategy, bytes, reload, reuse, regret, score, class, used, bound, source, stall, wanted, requester, requester_uid,
      requester_pid FROM decision
    """

  init?(_ row: SQLiteRow) {
    guard let id = row.integer(0), let time = row.real(1), let unit = ReclaimUnit(row, from: 3),
      let verdict = row.text(7).flatMap(Verdict.init(rawValue:)),
      let unitClass = row.text(20).flatMap(UnitClass.init(rawValue:)), let reuse = row.real(17), let regret = row.real(18)
    else { return nil }
    let figures = JudgementFigures(
      idleSeconds: row.real(12), timeoutSeconds: row.real(13) ?? .nan, strategy: row.text(14) ?? "", bytes: row.bytes(15),
      reloadSeconds: row.real(16), reuseProbability: reuse, regret: regret, score: row.real(19),
      unitClass: unitClass)
    var memory: MemoryPressure?
    if let used = row.bytes(21), let bound = row.bytes(22) {
      memory = MemoryPressure(
        used: used, limit: bound, source: row.text(23) ?? "", stall: row.real(24), wanted: row.bytes(25) ?? .zero)
    }
    self.init(
      time: time, cycle: UInt64(clamping: row.integer(2) ?? 0), unit: unit, verdict: verdict, reason: row.text(8) ?? "",
      text: row.text(9) ?? "", rule: row.text(10), predicted: row.bytes(11), figures: figures, memory: memory,
      requester: Requester(row, from: 26))
    self.id = id
  }
}

extension OutcomeRecord {
  static let selection = """
    SELECT id, time, decision, unit_kind, unit_name, pid, start_ticks, result, freed, seconds, obstacle, stayed, reason, text,
      freed_private, freed_proportional, rungs FROM outcome
    """

  init?(_ row: SQLiteRow) {
    guard let id = row.integer(0), let time = row.real(1), let unit = ReclaimUnit(row, from: 3),
      let result = row.text(7).flatMap(Result.init(rawValue:))
    else { return nil }
    self.init(
      time: time, decision: row.integer(2), unit: unit, result: result, freed: row.bytes(8), seconds: row.real(9) ?? 0,
      obstacle: row.text(10), stayed: (row.text(11) ?? "").split(separator: "\n").map(String.init), reason: row.text(12) ?? "",
      text: row.text(13) ?? "")
    freedPrivate = row.bytes(14)
    freedProportional = row.bytes(15)
    rungs = (row.text(16) ?? "").split(separator: "\n").compactMap { RungRecord(text: $0) }
    self.id = id
  }
}

extension RungRecord {
  /// Its line in the column.
  var text: String {
    [rung, freed.map { "\($0.count)" } ?? "", "\(seconds)", refusal ?? ""]
      .map { $0.filter { $0 != "\t" && $0 != "\n" } }.joined(separator: "\t")
  }

  /// Nil for a line that was cut or is damaged.
  init?(text: Substring) {
    let parts = text.split(separator: "\t", omittingEmptySubsequences: false)
    guard parts.count == 4, !parts[0].isEmpty, let seconds = Double(parts[2]) else { return nil }
    self.init(
      rung: String(parts[0]), freed: UInt64(parts[1]).map { Bytes($0) }, seconds: seconds,
      refusal: parts[3].isEmpty ? nil : String(parts[3]))
  }
}

extension ConfigurationChange {
  static let selection = """
    SELECT id, time, key, old, new, origin, requester, requester_uid, requester_pid FROM configuration_change
    """

  init?(_ row: SQLiteRow) {
    guard let id = row.integer(0), let time = row.real(1), let key = row.text(2) else { return nil }
    self.init(
      time: time, key: key, old: row.text(3), new: row.text(4), origin: row.text(5) ?? "", requester: Requester(row, from: 6))
    self.id = id
  }
}

extension JournalNotice {
  static let selection = "SELECT id, time, kind, text, rows, began, ended FROM notice"

  init?(_ row: SQLiteRow) {
    guard let id = row.integer(0), let time = row.real(1), let kind = row.text(2).flatMap(Kind.init(rawValue:)) else {
      return nil
    }
    self.init(
      kind, row.text(3) ?? "", at: time, rows: row.integer(4).map { UInt64(clamping: $0) }, began: row.real(5),
      ended: row.real(6))
    self.id = id
  }
}

extension UnloadTotals {
  static let selection = "SELECT name, unloads, successful, failed, freed, seconds, last_time FROM total"
}

extension SQLiteDatabase {
  /// Rows of `UnloadTotals.selection`.
  func totals(_ text: String, _ values: SQLiteValue...) throws(SQLiteFailure) -> [JournalTotals.Named] {
    func count(_ row: SQLiteRow, _ column: Int32) -> UInt64 { UInt64(clamping: row.integer(column) ?? 0) }
    var result: [JournalTotals.Named] = []
    try prepare(text).rows(values) { row in
      var totals = UnloadTotals()
      totals.unloads = count(row, 1)
      totals.successful = count(row, 2)
      totals.failed = count(row, 3)
      totals.freed = Bytes(count(row, 4))
      totals.seconds = row.real(5) ?? 0
      totals.lastTime = row.real(6)
      result.append(JournalTotals.Named(name: row.text(0) ?? "", totals: totals))
      return true
    }
    return result
  }
}
