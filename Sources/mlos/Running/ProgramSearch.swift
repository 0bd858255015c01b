import Glibc

/// Finds a program the way execvp(3) does. Names and paths are bytes: they need not be UTF-8.
enum ProgramSearch {
  enum Finding: Equatable {
    case found([UInt8])
    case notFound
    /// Something is there, but it cannot be executed.
    case notExecutable([UInt8])
  }

  enum FileState { case missing, notExecutable, executable }

  /// - Parameter path: The value of PATH; nil when it is not set.
  static func find(_ name: [UInt8], path: [UInt8]?, look: ([UInt8]) -> FileState) -> Finding {
    let slash = UInt8(ascii: "/")
    guard !name.isEmpty else { return .notFound }
    guard !name.contains(slash) else {
      return switch look(name) {
      case .executable: .found(name)
      case .notExecutable: .notExecutable(name)
      case .missing: .notFound
      }
    }
    var refused: [UInt8]?
    let directories = path ?? Array("/bin:/usr/bin".utf8)
    for directory in directories.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false) {
      // An empty entry is the current directory.
      let candidate = (directory.isEmpty ? [UInt8(ascii: ".")] : Array(directory)) + [slash] + name
      switch look(candidate) {
      case .executable: return .found(candidate)
      case .notExecutable: refused = refused ?? candidate
      case .missing: continue
      }
    }
    return refused.map { .notExecutable($0) } ?? .notFound
  }

  static func look(_ path: [UInt8]) -> FileState { withCString(path) { look($0) } }

  static func look(_ path: UnsafePointer<CChar>) -> FileState {
    var status = stat()
    guard stat(path, &status) == 0 else { return errno == EACCES ? .notExecutable : .missing }
    guard status.st_mode & S_IFMT == S_IFREG else { return .notExecutable }
    // With the effective user, as execve(2) asks.
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? .executable : .notExecutable
  }
}
