import Glibc

/// Finds libmlosagent.so and writes LD_PRELOAD.
enum AgentLibrary {
  static let name = "libmlosagent.so"

  /// Where it may be, best first.
  ///
  /// - Parameters:
  ///   - executable: Of this command, resolved.
  ///   - architecture: Debian's multiarch triplet.
  static func candidates(executable: String?, architecture: String) -> [String] {
    let directory = executable.flatMap { path in path.lastIndex(of: "/").map { String(path[..<$0]) } }
    return (directory.map { ["\($0)/\(name)", "\($0)/../lib/mlos/\(name)"] } ?? [])
      + ["/usr/lib/mlos/\(name)", "/usr/lib/\(architecture)/mlos/\(name)"]
  }

  /// The library to preload: `option`, else `variable` (MLOS_AGENT_LIBRARY), else the first candidate there is. One that is
  /// named must be there. ld.so(8) splits LD_PRELOAD at blanks and colons, so a path with one cannot be used.
  static func choose(
    option: String?, variable: String?, candidates: [String], isReadable: (String) -> Bool
  ) -> Result<String, Problem> {
    let named = [("--agent", option), ("MLOS_AGENT_LIBRARY", variable)].first { $0.1?.isEmpty == false }
    let path: String
    if let (source, value) = named, let value {
      path = absolutePath(value)
      guard isReadable(path) else { return .failure(Problem("\(source) names \(path), which is no library that can be read")) }
    } else {
      guard let found = candidates.first(where: isReadable) else {
        return .failure(Problem("\(name) is not in \(candidates.joined(separator: ", "))"))
      }
      path = found
    }
    guard !path.contains(where: { $0 == ":" || $0.isWhitespace }) else {
      return .failure(Problem("\(path) cannot be preloaded: there is a blank or a colon in it"))
    }
    return .success(path)
  }

  /// An ELF file that may be read: with anything else ld.so complains on the program's standard error and goes on without it.
  static func isReadable(_ path: String) -> Bool {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var magic: [UInt8] = [0, 0, 0, 0]
    return read(descriptor, &magic, 4) == 4 && magic == [0x7F, 0x45, 0x4C, 0x46]
  }

  /// LD_PRELOAD with the agent first and everything else as it was, byte for byte; an agent that is in it already is not named
  /// twice.
  static func preload(agent: String, existing: [UInt8]?) -> [UInt8] {
    let others = entries(existing).filter { !isAgent($0) }
    return Array(([Array(agent.utf8)[...]] + others).joined(separator: [separator]))
  }

  /// LD_PRELOAD without the agent; nil when nothing is left.
  static func withoutAgent(_ existing: [UInt8]?) -> [UInt8]? {
    let others = entries(existing).filter { !isAgent($0) }
    return others.isEmpty ? nil : Array(others.joined(separator: [separator]))
  }

  private static let separator = UInt8(ascii: ":")
  private static func entries(_ value: [UInt8]?) -> [ArraySlice<UInt8>] {
    (value ?? []).split { $0 == separator || $0 == UInt8(ascii: " ") }
  }
  private static func isAgent(_ entry: ArraySlice<UInt8>) -> Bool {
    let name = Array(Self.name.utf8)
    return entry.elementsEqual(name) || entry.suffix(name.count + 1).elementsEqual([UInt8(ascii: "/")] + name)
  }

  static var architecture: String {
    #if arch(arm64)
      "aarch64-linux-gnu"
    #else
      "x86_64-linux-gnu"
    #endif
  }

  /// This command's own file.
  static func ownExecutable() -> String? {
    guard let resolved = realpath("/proc/self/exe", nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}

/// Why `run` cannot do its part.
struct Problem: Error, Equatable {
  var message: String
  init(_ message: String) { self.message = message }
}
