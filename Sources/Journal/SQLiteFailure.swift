import CSQLite
import Glibc

/// What SQLite answered instead of OK.
struct SQLiteFailure: Error, CustomStringConvertible {
  /// What the journal does about it.
  enum Kind {
    /// No room, or over a limit of sizes.
    case full
    /// The disk or the folder takes no writing.
    case readOnly
    /// Another program holds the file.
    case busy
    /// The file's content is not what it must be.
    case damaged
    /// This row cannot be stored; others can.
    case row
    case other
  }

  /// Extended: the primary code is the low byte.
  var code: Int32
  /// errno of the system call that failed, 0 when none did.
  var systemError: Int32 = 0
  var message: String

  var kind: Kind {
    switch (code & 0xFF, systemError) {
    // Without room a map of the log's index ends in SQLITE_IOERR with ENOSPC; a limit of the file's size in EFBIG.
    case (SQLITE_FULL, _), (SQLITE_IOERR, ENOSPC), (SQLITE_IOERR, EDQUOT), (SQLITE_IOERR, EFBIG): .full
    case (SQLITE_READONLY, _), (SQLITE_IOERR, EROFS), (SQLITE_CANTOPEN, EROFS), (SQLITE_CANTOPEN, EACCES): .readOnly
    case (SQLITE_CANTOPEN, ENOSPC), (SQLITE_CANTOPEN, EDQUOT), (SQLITE_IOERR, EACCES), (SQLITE_IOERR, EPERM):
      systemError == ENOSPC || systemError == EDQUOT ? .full : .readOnly
    case (SQLITE_BUSY, _), (SQLITE_LOCKED, _): .busy
    case (SQLITE_CORRUPT, _), (SQLITE_NOTADB, _): .damaged
    case (SQLITE_CONSTRAINT, _), (SQLITE_TOOBIG, _), (SQLITE_MISMATCH, _): .row
    default: .other
    }
  }

  var description: String { systemError == 0 ? message : "\(message): \(systemText(systemError))" }
}
