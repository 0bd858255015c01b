import CSQLite

/// An open journal: the file, and SQLite on it.
final class JournalStore {
  let file: JournalFile
  let database: SQLiteDatabase
  /// The new name of what was found damaged at this place.
  let movedAside: String?

  /// Up to this size all of a file is checked when it is opened.
  static let checkedBytes: UInt64 = 32 << 20

  /// Opens the journal, makes it where it is missing, moves a damaged one aside.
  /// - Parameter isSuspect: It was found damaged while in use, and is moved aside without another look.
  static func open(
    path: String, limits: JournalLimits, at time: Double, isSuspect: Bool = false
  ) throws(JournalError) -> JournalStore {
    let file = try JournalFile(path: path)
    do throws(JournalError) {
      if isSuspect { throw JournalError(.damaged, "\(file.path): found damaged while it was in use") }
      return try JournalStore(file, limits: limits, movedAside: nil)
    } catch {
      guard error.code == .damaged else {
        // What could not be filled must not stand in the way as an empty file.
        if file.isNew { file.remove() }
        throw error
      }
    }
    let moved = try file.moveAside(at: time)
    return try JournalStore(try JournalFile(path: path), limits: limits, movedAside: moved)
  }

  private init(_ file: JournalFile, limits: JournalLimits, movedAside: String?) throws(JournalError) {
    self.file = file
    self.movedAside = movedAside
    let path = file.path
    try Self.checkHeader(of: file)
    if file.size.log > 0 { try Self.checkLog(of: path) }
    let opened = try translating(path) { () throws(SQLiteFailure) in try SQLiteDatabase(path: path) }
    database = opened
    do throws(JournalError) {
      opened.setBusyTimeout(milliseconds: limits.busyMilliseconds)
      try Self.checkMark(of: opened, path)
      try translating(path) { () throws(SQLiteFailure) in
        // Before anything is written: what is moved aside stays as it was found.
        if file.size.main <= Self.checkedBytes, let complaint = try opened.text("PRAGMA quick_check(1)"), complaint != "ok" {
          throw SQLiteFailure(code: SQLITE_CORRUPT, message: complaint)
        }
        try Self.configure(opened)
        try JournalSchema.migrate(opened)
      }
    } catch {
      opened.close()
      throw error
    }
    file.secure()
  }

  deinit { database.close() }

  /// What the first bytes tell, before SQLite is let at the file: it would read the log into it.
  private static func checkHeader(of file: JournalFile) throws(JournalError) {
    guard file.size.main > 0 else { return }
    guard let header = try file.header() else { throw JournalError(.notAJournal, "\(file.path): not a database") }
    guard header.isDatabase else {
      // Its mark, or the zeros that some file systems leave after a crash: it was one. All else is somebody's file.
      if header.isBlank || header.applicationID == JournalSchema.applicationID {
        throw JournalError(.damaged, "\(file.path): its beginning is damaged")
      }
      throw JournalError(.notAJournal, "\(file.path): not a database")
    }
    if header.applicationID == JournalSchema.applicationID, header.userVersion > JournalSchema.migrations.count {
      throw newer(header.userVersion, file.path)
    }
    if header.applicationID != 0, header.applicationID != JournalSchema.applicationID {
      throw JournalError(.notAJournal, "\(file.path): another program's database")
    }
  }

  /// A later version may have got no further than the log. Looked at without moving the log into the file.
  private static func checkLog(of path: String) throws(JournalError) {
    let database = try translating(path) { () throws(SQLiteFailure) in try SQLiteDatabase(path: path, readOnly: true) }
    defer { database.close() }
    try checkMark(of: database, path)
  }

  /// Whose database it is, and of which version; one without a table belongs to nobody yet.
  private static func checkMark(of database: SQLiteDatabase, _ path: String) throws(JournalError) {
    let (mark, version, tables) = try translating(path) { () throws(SQLiteFailure) in
      (
        try database.number("PRAGMA application_id") ?? 0, try database.number("PRAGMA user_version") ?? 0,
        try database.number("SELECT count(*) FROM sqlite_schema") ?? 0
      )
    }
    guard mark == Int64(JournalSchema.applicationID) else {
      if mark == 0, version == 0, tables == 0 { return }
      throw JournalError(.notAJournal, "\(path): another program's database")
    }
    if version > Int64(JournalSchema.migrations.count) { throw newer(Int32(clamping: version), path) }
  }

  private static func newer(_ version: Int32, _ path: String) -> JournalError {
    let known = JournalSchema.migrations.count
    return JournalError(
      .newer, "\(path): written by a later MLOS (version \(version), this one knows \(known)); it is left as it is")
  }

  /// Pages that were freed can be given back; the log and the cache stay small; what was committed survives the process.
  private static func configure(_ database: SQLiteDatabase) throws(SQLiteFailure) {
    // Before the first table, and before the log: later it would take a copy of the whole file.
    if try database.number("SELECT count(*) FROM sqlite_schema") == 0 {
      try database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    }
    let mode = try database.text("PRAGMA journal_mode = WAL")
    guard mode == "wal" else {
      throw SQLiteFailure(code: SQLITE_CANTOPEN, message: "no write-ahead log can be kept here (\(mode ?? "no mode"))")
    }
    try database.execute(
      """
      PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
      PRAGMA temp_store = MEMORY; PRAGMA secure_delete = OFF; PRAGMA cache_size = -1024;
      PRAGMA wal_autocheckpoint = \(logPages); PRAGMA journal_size_limit = \(logPages * 4096)
      """)
  }

  /// Pages of the log after which it is moved into the file: 1 MiB.
  static let logPages = 256
}

/// SQLite's failure as the journal's, with the path in it.
func translating<Value>(_ path: String, _ body: () throws(SQLiteFailure) -> Value) throws(JournalError) -> Value {
  do throws(SQLiteFailure) {
    return try body()
  } catch {
    throw JournalError(error, path: path)
  }
}
