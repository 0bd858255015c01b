import Glibc

/// Finds a program the way execvp(3) does.
enum ProgramSearch {
  enum Finding: Equatable {
    case found(String)
    case notFound
    /// Something is there, but it cannot be executed.
    case notExecutable(String)
  }

  enum FileState { case missing, notExecutable, executable }

  /// - Parameter path: The value of PATH; nil when it is not set.
  static func find(_ name: String, path: String?, look: (String) -> FileState) -> Finding {
    guard !name.isEmpty else { return .notFound }
    guard !name.contains("/") else {
      return switch look(name) {
      case .executable: .found(name)
      case .notExecutable: .notExecutable(name)
      case .missing: .notFound
      }
    }
    var refused: String?
    for directory in (path ?? "/bin:/usr/bin").split(separator: ":", omittingEmptySubsequences: false) {
      // An empty entry is the current directory.
      let candidate = directory.isEmpty ? "./\(name)" : "\(directory)/\(name)"
      switch look(candidate) {
      case .executable: return .found(candidate)
      case .notExecutable: refused = refused ?? candidate
      case .missing: continue
      }
    }
    return refused.map { .notExecutable($0) } ?? .notFound
  }

  static func look(_ path: String) -> FileState {
    var status = stat()
    guard stat(path, &status) == 0 else { return errno == EACCES ? .notExecutable : .missing }
    guard status.st_mode & S_IFMT == S_IFREG else { return .notExecutable }
    // With the effective user, as execve(2) asks.
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? .executable : .notExecutable
  }
}
