/// Forgets what is too old or too much, a bounded piece at a time, and gives the room back to the disk.
struct Retention {
  /// The tables of rows, in the order in which they are emptied when all are equally old.
  private enum Table: Int, CaseIterable {
    case decision
    case outcome
    case notice
    case change

    var oldest: String {
      switch self {
      case .decision: "SELECT min(time) FROM decision"
      case .outcome: "SELECT min(time) FROM outcome"
      case .notice: "SELECT min(time) FROM notice"
      case .change: "SELECT min(time) FROM configuration_change"
      }
    }
    var count: String {
      switch self {
      case .decision: "SELECT count(*) FROM decision"
      case .outcome: "SELECT count(*) FROM outcome"
      case .notice: "SELECT count(*) FROM notice"
      case .change: "SELECT count(*) FROM configuration_change"
      }
    }
    /// The oldest before a time (NULL: of all), at most so many.
    var delete: String {
      let name =
        switch self {
        case .decision: "decision"
        case .outcome: "outcome"
        case .notice: "notice"
        case .change: "configuration_change"
        }
      return """
        DELETE FROM \(name) WHERE id IN
          (SELECT id FROM \(name) WHERE ?1 IS NULL OR time < ?1 ORDER BY time, id LIMIT ?2)
        """
    }
    func rows(_ limits: JournalLimits) -> Int {
      switch self {
      case .decision: limits.decisionRows
      case .outcome: limits.outcomeRows
      case .notice: limits.noticeRows
      case .change: limits.configurationRows
      }
    }
    func seconds(_ limits: JournalLimits) -> Double {
      switch self {
      case .decision: limits.decisionSeconds
      case .outcome: limits.outcomeSeconds
      case .notice, .change: limits.configurationSeconds
      }
    }
  }

  /// Rows in one transaction: well below a tenth of a second.
  private static let chunk: Int64 = 2048
  /// Taken for the size in one run at most: more than a full queue brings.
  private static let rowsForSize: Int64 = 16_384
  private static let interval = 60.0
  private static let rowsBetween = 1024

  private var writtenSince = 0
  private var lastRun: Double?

  /// The next run is due at once: another file has been opened.
  mutating func begin() { lastRun = nil }

  mutating func written(_ rows: Int) { writtenSince += rows }

  mutating func run(_ store: JournalStore, _ limits: JournalLimits, at time: Double) throws(SQLiteFailure) {
    if let lastRun, abs(time - lastRun) < Self.interval, writtenSince < Self.rowsBetween { return }
    let database = store.database
    for table in Table.allCases {
      try delete(from: table, before: time - table.seconds(limits), atMost: Self.chunk, database)
      // The seconds between two runs may have brought more than one chunk.
      let excess = (try database.number(table.count) ?? 0) - Int64(table.rows(limits))
      if excess > 0 { try delete(from: table, before: nil, atMost: min(excess, Self.chunk * 4), database) }
    }
    try MetricRollup(database: database, limits: limits).run(at: time)
    try keepSize(store, limits)
    lastRun = time
    writtenSince = 0
  }

  private func delete(
    from table: Table, before time: Double?, atMost count: Int64, _ database: SQLiteDatabase
  ) throws(SQLiteFailure) {
    // NaN would be stored as NULL, which stands for all.
    if let time, time.isNaN { return }
    try database.transaction { () throws(SQLiteFailure) in
      try database.run(table.delete, SQLiteValue(time), .integer(count))
    }
  }

  /// The file shrinks when much of it is free, and always when it is too large; a log of its usual size is counted in.
  private func keepSize(_ store: JournalStore, _ limits: JournalLimits) throws(SQLiteFailure) {
    let database = store.database
    let pageSize = UInt64(clamping: try database.number("PRAGMA page_size") ?? 4096)
    let log = min(UInt64(JournalStore.logPages) * pageSize, limits.bytes / 4)
    let allowed = Int64(clamping: (limits.bytes - log) / pageSize)
    // A row takes about 256 bytes: a sixteenth of a small file at a time, so that not all of it goes.
    let chunk = min(max(Int64(clamping: limits.bytes / 16 / 256), 64), Self.chunk)
    for _ in 0..<Self.rowsForSize / chunk {
      let pages = try database.number("PRAGMA page_count") ?? 0
      let free = try database.number("PRAGMA freelist_count") ?? 0
      if pages - free <= allowed { break }
      // Nothing left that may go.
      guard try deleteOldest(chunk, database) else { break }
    }
    let pages = try database.number("PRAGMA page_count") ?? 0
    let free = try database.number("PRAGMA freelist_count") ?? 0
    let isTooLarge = pages > allowed
    guard free > 0, isTooLarge || free > max(64, pages / 8) else { return }
    try database.execute("PRAGMA incremental_vacuum(\(isTooLarge ? free : min(free, 1024)))")
    try database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
  }

  /// A chunk of the oldest: decisions, outcomes and metrics by their age; what the journal says of itself, and what people changed,
  /// only after all of those.
  private func deleteOldest(_ count: Int64, _ database: SQLiteDatabase) throws(SQLiteFailure) -> Bool {
    var ages: [(time: Double, table: Table?)] = []
    for table in [Table.decision, .outcome] {
      if let time = try database.real(table.oldest) { ages.append((time, table)) }
    }
    let rollup = MetricRollup(database: database, limits: JournalLimits())
    if let time = try rollup.oldest() { ages.append((Double(time), nil)) }
    if ages.isEmpty {
      for table in [Table.notice, .change] {
        if let time = try database.real(table.oldest) { ages.append((time, table)) }
      }
    }
    guard let oldest = ages.min(by: { ($0.time, $0.table?.rawValue ?? 9) < ($1.time, $1.table?.rawValue ?? 9) }) else {
      return false
    }
    if let table = oldest.table {
      try delete(from: table, before: nil, atMost: count, database)
    } else {
      try rollup.deleteOldest(from: Int64(oldest.time))
    }
    return true
  }
}
