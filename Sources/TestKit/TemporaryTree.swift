import Glibc

/// A directory tree below the temporary directory, removed with the value. Calls stop the test on an error of the system.
public final class TemporaryTree: Sendable {
  /// Absolute path without links.
  public let path: String

  /// Makes the empty directory.
  ///
  /// - Parameter folder: Where; /tmp often lies in memory.
  public init(in folder: String = "/tmp") {
    var template = Array("\(folder)/mlos-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { fatalError("mkdtemp: errno \(errno)") }
    path = String(cString: made)
  }

  deinit { Self.remove(path, in: AT_FDCWD) }

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

  /// By descriptor, one name at a time: paths in a tree may be longer than the system takes in one call.
  private static func remove(_ name: UnsafePointer<CChar>, in parent: Int32) {
    if unlinkat(parent, name, 0) == 0 { return }
    let directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard directory >= 0, let stream = fdopendir(directory) else { return }
    var names: [[CChar]] = []
    while let entry = readdir(stream) {
      let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { $0.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } }
      if bytes != [0x2E], bytes != [0x2E, 0x2E] { names.append(bytes + [0]) }
    }
    for name in names { remove(name, in: directory) }
    closedir(stream)
    unlinkat(parent, name, AT_REMOVEDIR)
  }
}
