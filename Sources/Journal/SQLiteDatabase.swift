import CSQLite

/// One connection to SQLite. Not for two threads at once: it is opened without SQLite's own lock.
///
/// The statements it has prepared are kept: the module has a few dozen texts, all of them constants.
final class SQLiteDatabase {
  private var handle: OpaquePointer?
  private var statements: [String: SQLiteStatement] = [:]

  /// - Parameter path: Absolute, and without symbolic links: one found on the way is an error.
  init(path: String, readOnly: Bool = false) throws(SQLiteFailure) {
    let mode = readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE
    let code = sqlite3_open_v2(
      path, &handle, mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, nil)
    guard code == SQLITE_OK, let handle else {
      let failure = failure(code)
      close()
      throw failure
    }
    _ = mlos_sqlite_set_defensive(handle)
    if readOnly { _ = mlos_sqlite_keep_log_on_close(handle) }
  }

  deinit { close() }

  /// Ends the connection; everything prepared goes with it. Asked again it does nothing.
  func close() {
    for statement in statements.values { statement.finalize() }
    statements = [:]
    if let handle { sqlite3_close_v2(handle) }
    handle = nil
  }

  /// The statement of this text, kept for the next time. The text is a constant of ours, never made of what came from outside.
  func prepare(_ text: String) throws(SQLiteFailure) -> SQLiteStatement {
    if let statement = statements[text] { return statement }
    var prepared: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, text, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
    guard code == SQLITE_OK, let prepared else {
      // The text is ours and right: a table or column that is not there has been damaged, which quick_check does not see.
      var failure = failure(code)
      if failure.code == SQLITE_ERROR { failure.code = SQLITE_CORRUPT }
      throw failure
    }
    let statement = SQLiteStatement(prepared, of: self)
    statements[text] = statement
    return statement
  }

  /// Runs one or more statements without parameters; rows are passed over.
  func execute(_ text: String) throws(SQLiteFailure) {
    let code = sqlite3_exec(handle, text, nil, nil, nil)
    guard code == SQLITE_OK else { throw failure(code) }
  }

  /// All of it or nothing. The lock for writing is taken first, so that nothing fails for it later.
  func transaction(_ body: () throws(SQLiteFailure) -> Void) throws(SQLiteFailure) {
    try run("BEGIN IMMEDIATE")
    do throws(SQLiteFailure) {
      try body()
      try run("COMMIT")
    } catch {
      // Some errors have rolled back already, and then this one fails: there is nothing more to undo.
      try? run("ROLLBACK")
      throw error
    }
  }

  /// Runs a statement to its end.
  func run(_ text: String, _ values: SQLiteValue...) throws(SQLiteFailure) { try prepare(text).run(values) }

  /// The whole number in the first column of the first row; nil without a row, or for NULL.
  func number(_ text: String, _ values: SQLiteValue...) throws(SQLiteFailure) -> Int64? {
    var result: Int64?
    try prepare(text).rows(values) { row in
      result = row.integer(0)
      return false
    }
    return result
  }

  /// As `number`, for REAL.
  func real(_ text: String, _ values: SQLiteValue...) throws(SQLiteFailure) -> Double? {
    var result: Double?
    try prepare(text).rows(values) { row in
      result = row.real(0)
      return false
    }
    return result
  }

  /// The text in the first column of the first row.
  func text(_ text: String) throws(SQLiteFailure) -> String? {
    var result: String?
    try prepare(text).rows([]) { row in
      result = row.text(0)
      return false
    }
    return result
  }

  /// How long a statement waits for another program's lock.
  func setBusyTimeout(milliseconds: Int32) { sqlite3_busy_timeout(handle, milliseconds) }

  /// What the connection says about an error. Ask at once.
  func failure(_ code: Int32) -> SQLiteFailure {
    guard let handle else { return SQLiteFailure(code: code, message: String(cString: sqlite3_errstr(code))) }
    let hasCall = [SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_READONLY].contains(code & 0xFF)
    return SQLiteFailure(
      code: code, systemError: hasCall ? sqlite3_system_errno(handle) : 0, message: String(cString: sqlite3_errmsg(handle)))
  }
}
