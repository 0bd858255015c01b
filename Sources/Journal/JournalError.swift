/// Why a journal could not be opened, read or written.
public struct JournalError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What a caller can react to.
  public enum Code: String, Hashable, Sendable, CaseIterable {
    /// A later version of MLOS wrote it. It has not been touched.
    case newer
    /// The file is something else: no database, or another program's. It has not been touched.
    case notAJournal = "not-a-journal"
    /// The file, or the way to it, may be in the hands of another user.
    case unsafe
    /// The user of this process may not use the file or its folder.
    case notPermitted = "not-permitted"
    /// The folder is missing.
    case notFound = "not-found"
    /// The folder, or the disk, takes no writing.
    case readOnly = "read-only"
    /// No room on the disk.
    case full
    /// Another process keeps its journal there, or holds the file longer than is waited.
    case inUse = "in-use"
    /// The content is not what it must be.
    case damaged
    /// It has been closed.
    case closed
    case failed
  }

  public var code: Code
  /// One line for people, with the path in it.
  public var description: String

  init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }

  /// Whether another attempt can succeed without somebody doing something about the file itself.
  public var mayPass: Bool {
    switch code {
    case .readOnly, .full, .inUse, .notFound, .notPermitted, .failed: true
    case .newer, .notAJournal, .unsafe, .damaged, .closed: false
    }
  }
}

extension JournalError {
  init(_ failure: SQLiteFailure, path: String) {
    let code: Code =
      switch failure.kind {
      case .full: .full
      case .readOnly: .readOnly
      case .busy: .inUse
      case .damaged: .damaged
      case .row, .other: .failed
      }
    self.init(code, "\(path): \(failure)")
  }
}
