import CSQLite
import Model

/// What is bound to a parameter.
enum SQLiteValue {
  case null
  case integer(Int64)
  /// What is no number is stored as NULL: SQLite has no NaN.
  case real(Double)
  case text(String)

  init(_ value: Int64?) { self = value.map { .integer($0) } ?? .null }
  init(_ value: Double?) { self = value.map { .real($0) } ?? .null }
  init(_ value: String?) { self = value.map { .text($0) } ?? .null }
  /// Saturates: SQLite's whole numbers have a sign.
  init(_ value: UInt64) { self = .integer(Int64(clamping: value)) }
  init(_ value: Bytes?) { self = value.map { SQLiteValue($0.count) } ?? .null }
}

/// A prepared statement; lives as long as its connection.
final class SQLiteStatement {
  private var handle: OpaquePointer?
  private unowned let database: SQLiteDatabase

  init(_ handle: OpaquePointer, of database: SQLiteDatabase) {
    self.handle = handle
    self.database = database
  }

  /// For the connection alone, before it closes.
  func finalize() {
    sqlite3_finalize(handle)
    handle = nil
  }

  /// Runs to the end; rows are passed over.
  func run(_ values: [SQLiteValue]) throws(SQLiteFailure) { try rows(values) { _ in true } }

  /// Calls `body` for each row until it answers false. The row is not to be used afterwards.
  func rows(_ values: [SQLiteValue], _ body: (SQLiteRow) -> Bool) throws(SQLiteFailure) {
    // Answers with the error of the run before, which has been reported.
    defer { sqlite3_reset(handle) }
    for (index, value) in values.enumerated() {
      let code = bind(value, Int32(index + 1))
      guard code == SQLITE_OK else { throw database.failure(code) }
    }
    while true {
      let code = sqlite3_step(handle)
      switch code {
      case SQLITE_ROW: if let handle, !body(SQLiteRow(handle)) { return }
      case SQLITE_DONE: return
      default: throw database.failure(code)
      }
    }
  }

  private func bind(_ value: SQLiteValue, _ index: Int32) -> Int32 {
    guard let handle else { return SQLITE_MISUSE }
    switch value {
    case .null: return sqlite3_bind_null(handle, index)
    case .integer(let number): return sqlite3_bind_int64(handle, index, number)
    case .real(let number): return sqlite3_bind_double(handle, index, number)
    case .text(var text):
      return text.withUTF8 { bytes in
        bytes.withMemoryRebound(to: CChar.self) {
          mlos_sqlite_bind_text(handle, index, $0.baseAddress, Int32(clamping: $0.count))
        }
      }
    }
  }
}

/// The row a statement stands at. Columns count from 0.
struct SQLiteRow {
  private let handle: OpaquePointer

  init(_ handle: OpaquePointer) { self.handle = handle }

  private func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

  func integer(_ column: Int32) -> Int64? { isNull(column) ? nil : sqlite3_column_int64(handle, column) }
  func real(_ column: Int32) -> Double? { isNull(column) ? nil : sqlite3_column_double(handle, column) }

  /// Invalid UTF-8 is mended: a file may have been damaged.
  func text(_ column: Int32) -> String? {
    guard let start = sqlite3_column_text(handle, column) else { return nil }
    let count = Int(sqlite3_column_bytes(handle, column))
    return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }

  func bytes(_ column: Int32) -> Bytes? { integer(column).map { Bytes(UInt64(clamping: $0)) } }
}
