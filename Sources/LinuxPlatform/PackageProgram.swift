import Model

/// Rules for files that no package database knows.
enum ProgramRules {
  /// A Python interpreter installed by hand, by pyenv or by conda.
  struct Interpreter {
    var prefix: [UInt8]
    /// `python3.11`.
    var name: String
  }

  /// What of an interpreter a path is: its executable, its library, or its standard library.
  static func interpreter(of path: [UInt8]) -> Interpreter? {
    let base = path.baseName
    let directory = path.parent
    if base.hasPrefix("libpython"), let version = version(after: 9, of: base), directory.baseName.hasPrefix("lib") {
      return Interpreter(prefix: directory.parent, name: "python" + version)
    }
    if directory.hasSuffix("/bin"), base.hasPrefix("python"), let version = version(after: 6, of: base) {
      return Interpreter(prefix: directory.parent, name: "python" + version)
    }
    let parts = path.components
    for index in parts.indices.dropFirst().dropLast() where Array(parts[index]).hasPrefix("python") {
      guard Array(parts[index - 1]).hasPrefix("lib"), let version = version(after: 6, of: Array(parts[index])),
        version.contains(".")
      else { continue }
      return Interpreter(prefix: parts[..<(index - 1)].flatMap { [slash] + $0 }, name: "python" + version)
    }
    return nil
  }

  /// `3`, `3.11`, `3.13t`; nil when no version or more than one stands there.
  private static func version(after start: Int, of name: [UInt8]) -> String? {
    let digits = name[start...].prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
    guard let first = digits.first, first != UInt8(ascii: ".") else { return nil }
    let parts = digits.split(separator: UInt8(ascii: "."))
    let isFreeThreaded = name.dropFirst(start + digits.count).first == UInt8(ascii: "t")
    return parts.prefix(2).map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".") + (isFreeThreaded ? "t" : "")
  }

  /// The full version: from the header file, a virtual environment's description, or the name of the folder.
  static func version(of interpreter: Interpreter, _ root: borrowing RootDirectory) -> String? {
    let header = interpreter.prefix + bytes("/include/\(interpreter.name)/patchlevel.h")
    if let text = try? root.contents(header, limit: 64 << 10), let version = value(after: "#define PY_VERSION", in: text) {
      return version
    }
    if let text = try? root.contents(interpreter.prefix + bytes("/pyvenv.cfg"), limit: 64 << 10),
      let version = value(after: "version =", in: text) ?? value(after: "version_info =", in: text)
    {
      return version
    }
    let folder = String(decoding: interpreter.prefix.baseName, as: UTF8.self)
    let wanted = interpreter.name.dropFirst(6)
    return folder.hasPrefix(wanted + ".") && folder.allSatisfy { $0.isNumber || $0 == "." } ? folder : nil
  }

  private static func value(after key: StaticString, in text: [UInt8]) -> String? {
    var reader = ByteReader(text)
    while !reader.isAtEnd {
      let end = reader.lineEnd() ?? text.count
      if reader.skip(key), reader.current == 0x20 || reader.current == 0x09 {
        let value = text[reader.position..<end].filter { $0 > 0x20 && $0 != UInt8(ascii: "\"") }
        if (1...32).contains(value.count) { return printable(value) }
      }
      reader.position = end + 1
    }
    return nil
  }

  /// Directories that belong to everybody: what lies there is not part of the program next to it.
  private static let shared: Set<[UInt8]> = Set(
    [
      "", "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib",
      "/bin", "/sbin", "/lib", "/lib64", "/usr/lib64", "/tmp", "/var/tmp", "/dev/shm", "/opt", "/srv", "/mnt", "/media",
      "/home", "/root", "/root/bin", "/root/.local", "/root/.local/bin", "/run", "/var", "/var/lib", "/var/cache", "/etc",
      "/data", "/usr/share",
    ].map(bytes))

  private static func isShared(_ directory: [UInt8]) -> Bool {
    if shared.contains(directory) { return true }
    // Somebody's home directory.
    return directory.hasPrefix("/home/") && directory.components.count == 2
  }

  /// Whether a file that no package owns was installed with the program.
  static func belongs(_ path: [UInt8], to program: [UInt8]) -> Bool {
    if path == program { return true }
    let directory = program.parent
    if !isShared(directory), path.parent == directory { return true }
    // /opt/app/bin/app and /opt/app/lib/libapp.so; the same for an interpreter's prefix.
    let name = directory.baseName
    guard name == bytes("bin") || name == bytes("sbin") || name == bytes("libexec") else { return false }
    let prefix = directory.parent
    guard !isShared(prefix), path.isBelow(prefix) else { return false }
    return Array(path.dropFirst(prefix.count + 1)).hasPrefix("lib")
  }

  /// Folders named for their role in a project, not for the project.
  private static let roles: Set<[UInt8]> = Set(
    [
      "bin", "lib", "lib32", "lib64", "libexec", "sbin", "build", "out", "dist", "src", "target", "release", "debug",
      "Release", "Debug", ".libs", "blobs", "snapshots", "share", "cache", ".cache", "x86_64-linux-gnu",
      "aarch64-linux-gnu", "__pycache__", "tmp", "data", "plugins", "modules",
    ].map(bytes))

  /// The project's folder when one can be told, else the file.
  static func fileName(_ path: [UInt8]) -> String {
    var directory = path.parent
    while !isShared(directory) {
      let name = directory.baseName
      if !name.isEmpty, !roles.contains(name) { return printable(name.prefix(128)) }
      directory = directory.parent
    }
    let base = path.baseName
    return base.isEmpty ? "/" : printable(base.prefix(128))
  }
}
