import Model

/// Puts what waits into the tables.
struct JournalWriting {
  let database: SQLiteDatabase
  let limits: JournalLimits

  /// In one transaction. Small, so that on a disk that is almost full something of a long queue still finds room.
  private static let chunk = 512

  /// Writes the queue, from its beginning; what has been committed is no longer in it, also after an error.
  /// - Returns: Rows and buckets written.
  func write(_ queue: inout JournalQueue, nextDecision: inout Int64, at time: Double) throws(SQLiteFailure) -> Int {
    var written = 0
    while !queue.rows.isEmpty {
      let rows = Array(queue.rows.prefix(Self.chunk))
      // Counted over for each attempt: what was refused in one that was rolled back has not been refused yet.
      var refused: [JournalQueue.Row] = []
      var next = nextDecision
      try database.transaction { () throws(SQLiteFailure) in
        var totals: [TotalKey: UnloadTotals] = [:]
        for row in rows {
          do throws(SQLiteFailure) {
            try insert(row, &next, &totals)
          } catch {
            // One row that the tables do not take must not keep all others out for ever.
            guard error.kind == .row else { throw error }
            refused.append(row)
          }
        }
        try add(totals)
      }
      nextDecision = next
      queue.removeRows(rows.count)
      for row in refused { queue.refuse(row, at: time) }
      written += rows.count - refused.count
    }
    while !queue.buckets.isEmpty {
      let keys = queue.buckets.keys.sorted().prefix(Self.chunk)
      var refused: UInt64 = 0
      try database.transaction { () throws(SQLiteFailure) in
        refused = 0
        for key in keys {
          guard let bucket = queue.buckets[key] else { continue }
          if let series = try series(key.name) {
            try merge(bucket, resolution: MetricBucket.resolutions[0], series: series, start: key.start)
          } else {
            refused += UInt64(bucket.count)
          }
        }
      }
      queue.removeBuckets(keys)
      if refused > 0 { queue.lose(refused, at: time, why: "more than \(limits.metricNames) names of metrics") }
      written += keys.count
    }
    let (totals, loss) = (queue.totals, queue.loss)
    if !totals.isEmpty || loss != nil {
      try database.transaction { () throws(SQLiteFailure) in
        try add(totals)
        if let loss { try insert(JournalNotice(loss, at: time)) }
      }
      queue.removeTotals()
      queue.removeLoss()
    }
    return written
  }

  private func insert(
    _ row: JournalQueue.Row, _ nextDecision: inout Int64, _ totals: inout [TotalKey: UnloadTotals]
  ) throws(SQLiteFailure) {
    switch row {
    case .decision(var decision):
      if decision.id == 0 {
        decision.id = nextDecision
        nextDecision += 1
      }
      try insert(decision)
    case .outcome(let outcome):
      try insert(outcome)
      for key in TotalKey.keys(of: outcome) { totals[key, default: UnloadTotals()].count(outcome) }
    case .change(let change): try insert(change)
    case .notice(let notice): try insert(notice)
    }
  }

  private func insert(_ row: DecisionRecord) throws(SQLiteFailure) {
    let figures = row.figures
    try database.run(
      """
      INSERT INTO decision (id, time, cycle, unit_kind, unit_name, pid, start_ticks, verdict, reason, text, rule, predicted,
        idle, timeout, strategy, bytes, reload, reuse, regret, score, class, used, bound, source, stall, wanted,
        requester, requester_uid, requester_pid)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      .integer(row.id), .real(row.time), SQLiteValue(row.cycle), .text(row.unit.kind.rawValue), .name(row.unit.name),
      .pid(row.unit.process), .startTicks(row.unit.process), .text(row.verdict.rawValue), .name(row.reason),
      .limited(row.text), .limited(row.rule), SQLiteValue(row.predicted), SQLiteValue(figures.idleSeconds),
      .real(figures.timeoutSeconds), .name(figures.strategy), SQLiteValue(figures.bytes), SQLiteValue(figures.reloadSeconds),
      .real(figures.reuseProbability), .real(figures.regret), SQLiteValue(figures.score), .text(figures.unitClass.rawValue),
      SQLiteValue(row.memory?.used), SQLiteValue(row.memory?.limit), .limited(row.memory?.source),
      SQLiteValue(row.memory?.stall), SQLiteValue(row.memory?.wanted), .name(row.requester.name), .uid(row.requester),
      .pid(row.requester))
  }

  /// The decision may be lost or forgotten: then the outcome stands alone.
  private func insert(_ row: OutcomeRecord) throws(SQLiteFailure) {
    try database.run(
      """
      INSERT INTO outcome (time, decision, unit_kind, unit_name, pid, start_ticks, result, freed, seconds, obstacle, stayed,
        reason, text, freed_private, freed_proportional, rungs)
      VALUES (?, (SELECT id FROM decision WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      .real(row.time), SQLiteValue(row.decision), .text(row.unit.kind.rawValue), .name(row.unit.name), .pid(row.unit.process),
      .startTicks(row.unit.process), .text(row.result.rawValue), SQLiteValue(row.freed), .real(row.seconds),
      .limited(row.obstacle), .text(row.stayed.joined(separator: "\n").limited(toBytes: TextLimit.list)), .name(row.reason),
      .limited(row.text), SQLiteValue(row.freedPrivate), SQLiteValue(row.freedProportional),
      .text(row.rungs.map(\.text).joined(separator: "\n").limited(toBytes: TextLimit.list)))
  }

  private func insert(_ row: ConfigurationChange) throws(SQLiteFailure) {
    try database.run(
      """
      INSERT INTO configuration_change (time, key, old, new, origin, requester, requester_uid, requester_pid)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      """,
      .real(row.time), .name(row.key), .limited(row.old), .limited(row.new), .limited(row.origin), .name(row.requester.name),
      .uid(row.requester), .pid(row.requester))
  }

  private func insert(_ row: JournalNotice) throws(SQLiteFailure) {
    try database.run(
      "INSERT INTO notice (time, kind, text, rows, began, ended) VALUES (?, ?, ?, ?, ?, ?)",
      .real(row.time), .text(row.kind.rawValue), .limited(row.text), SQLiteValue(row.rows.map { Int64(clamping: $0) }),
      SQLiteValue(row.began), SQLiteValue(row.ended))
  }

  /// In the transaction of the outcomes that are counted.
  private func add(_ totals: [TotalKey: UnloadTotals]) throws(SQLiteFailure) {
    for var key in totals.keys.sorted() {
      guard let more = totals[key], more.unloads > 0 else { continue }
      if try find(key) == nil,
        try database.number("SELECT count(*) FROM total WHERE scope = ?", .text(key.scope.rawValue)) ?? 0
          >= Int64(limits.totalNames)
      {
        key.name = TotalKey.others
      }
      var sum = try find(key) ?? UnloadTotals()
      sum.add(more)
      try database.run(
        "INSERT OR REPLACE INTO total (scope, name, unloads, successful, failed, freed, seconds, last_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        .text(key.scope.rawValue), .text(key.name), SQLiteValue(sum.unloads), SQLiteValue(sum.successful),
        SQLiteValue(sum.failed), SQLiteValue(sum.freed), .real(sum.seconds), .real(sum.lastTime ?? 0))
    }
  }

  private func find(_ key: TotalKey) throws(SQLiteFailure) -> UnloadTotals? {
    try database.totals("\(UnloadTotals.selection) WHERE scope = ? AND name = ?", .text(key.scope.rawValue), .text(key.name))
      .first?.totals
  }

  /// The number of a metric; nil for a new name when there are enough.
  private func series(_ name: String) throws(SQLiteFailure) -> Int64? {
    if let known = try database.number("SELECT id FROM series WHERE name = ?", .text(name)) { return known }
    guard try database.number("SELECT count(*) FROM series") ?? 0 < Int64(limits.metricNames) else { return nil }
    try database.run("INSERT INTO series (name) VALUES (?)", .text(name))
    return try database.number("SELECT id FROM series WHERE name = ?", .text(name))
  }

  /// Adds to a bucket, or begins it.
  func merge(_ bucket: MetricBucket, resolution: Int64, series: Int64, start: Int64) throws(SQLiteFailure) {
    try database.run(
      """
      INSERT INTO bucket (resolution, series, start, count, sum, min, max, last, last_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET count = count + excluded.count, sum = sum + excluded.sum, min = min(min, excluded.min),
        max = max(max, excluded.max), last = iif(excluded.last_time >= last_time, excluded.last, last),
        last_time = max(last_time, excluded.last_time)
      """,
      .integer(resolution), .integer(series), .integer(start), .integer(bucket.count), .finite(bucket.sum), .real(bucket.min),
      .real(bucket.max), .real(bucket.last), .real(bucket.lastTime))
  }
}

extension JournalQueue {
  /// A row that the tables did not take.
  mutating func refuse(_ row: Row, at time: Double) {
    lose(1, at: time, why: "not storable")
    if case .outcome(let outcome) = row { count(outcome) }
  }
}

extension JournalNotice {
  init(_ loss: JournalQueue.Loss, at time: Double) {
    self.init(
      .lost, "\(loss.rows) rows lost between \(utcStamp(loss.began)) and \(utcStamp(loss.ended)): \(loss.why)", at: time,
      rows: loss.rows, began: loss.began, ended: loss.ended)
  }
}

extension SQLiteValue {
  fileprivate static func name(_ text: String) -> SQLiteValue { .text(text.limited(toBytes: TextLimit.name)) }
  fileprivate static func limited(_ text: String?) -> SQLiteValue { SQLiteValue(text?.limited(toBytes: TextLimit.text)) }
  fileprivate static func pid(_ process: ProcessIdentity?) -> SQLiteValue { SQLiteValue(process.map { Int64($0.pid) }) }
  fileprivate static func startTicks(_ process: ProcessIdentity?) -> SQLiteValue {
    process.map { SQLiteValue($0.startTicks) } ?? .null
  }
  fileprivate static func uid(_ who: Requester) -> SQLiteValue { SQLiteValue(who.uid.map { Int64($0) }) }
  fileprivate static func pid(_ who: Requester) -> SQLiteValue { SQLiteValue(who.pid.map { Int64($0) }) }
  /// Sums of finite numbers may leave the range: the largest stands for more.
  fileprivate static func finite(_ number: Double) -> SQLiteValue {
    .real(min(max(number, -Double.greatestFiniteMagnitude), Double.greatestFiniteMagnitude))
  }
}
