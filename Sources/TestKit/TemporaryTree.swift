import Glibc

/// A directory tree below the temporary directory, removed with the value. Calls stop the test on an error of the system.
public final class TemporaryTree: Sendable {
  /// Absolute path without links.
  public let path: String

  /// Makes the empty directory.
  public init() {
    var template = Array("/tmp/mlos-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { fatalError("mkdtemp: errno \(errno)") }
    path = String(cString: made)
  }

  deinit { Self.remove(path) }

  /// Writes a file and the directories above it.
  public func write(_ relative: String, _ text: String) { write(relative, Array(text.utf8)) }

  /// Writes a file and the directories above it.
  public func write(_ relative: String, _ bytes: [UInt8]) {
    makeDirectory(relative.split(separator: "/").dropLast().joined(separator: "/"))
    let file = open("\(path)/\(relative)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { fatalError("open \(relative): errno \(errno)") }
    defer { close(file) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + written, $0.count - written) }
      guard count > 0 else { fatalError("write \(relative): errno \(errno)") }
      written += count
    }
  }

  /// Makes a directory and those above it.
  public func makeDirectory(_ relative: String) {
    var current = path
    for part in relative.split(separator: "/") {
      current += "/\(part)"
      guard mkdir(current, 0o755) == 0 || errno == EEXIST else { fatalError("mkdir \(current): errno \(errno)") }
    }
  }

  /// Makes a symbolic link and the directories above it.
  public func link(_ relative: String, to target: String) {
    makeDirectory(relative.split(separator: "/").dropLast().joined(separator: "/"))
    guard symlink(target, "\(path)/\(relative)") == 0 else { fatalError("symlink \(relative): errno \(errno)") }
  }

  private static func remove(_ path: String) {
    // nftw is not usable from Swift without a C callback context; trees of tests are small and this is the whole need.
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      unlink(path)
      return
    }
    if let stream = opendir(path) {
      var names: [String] = []
      while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
      }
      closedir(stream)
      for name in names { remove("\(path)/\(name)") }
    }
    rmdir(path)
  }
}
