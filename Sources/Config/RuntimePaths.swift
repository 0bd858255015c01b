import Glibc

/// Where the sockets and the configuration of a user are.
public struct RuntimePaths: Hashable, Sendable {
  /// Of the sockets, the log of an embedded supervisor and its lock.
  public var directory: String
  /// The configuration file read when none is named; it need not exist.
  public var configurationFile: String
  /// What outlives a restart.
  public var stateDirectory: String
  /// What a relative path of a configuration file is relative to: the place of a setting is shown to people elsewhere.
  public var workingDirectory = "/"

  /// - Parameters:
  ///   - user: Effective user id.
  ///   - environment: `XDG_RUNTIME_DIR`, `XDG_CONFIG_HOME`, `XDG_STATE_HOME`, `STATE_DIRECTORY` and `HOME` are looked at; a relative path in them is ignored, as
  ///     the XDG Base Directory Specification asks.
  ///   - exists: Whether something is at a path.
  public init(user: UInt32, environment: [String: String], exists: (String) -> Bool) {
    func absolute(_ name: String) -> String? {
      guard let path = environment[name], path.hasPrefix("/") else { return nil }
      return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }
    let system = "/etc/mlos/mlos.yaml"
    // systemd.exec(5): several are separated by colons; it makes them.
    let service = absolute("STATE_DIRECTORY").map { String($0.prefix { $0 != ":" }) }
    guard user != 0 else {
      directory = "/run/mlos"
      configurationFile = system
      stateDirectory = service ?? "/var/lib/mlos"
      return
    }
    if let runtime = absolute("XDG_RUNTIME_DIR") {
      directory = "\(runtime)/mlos"
    } else {
      directory = exists("/run/user/\(user)") ? "/run/user/\(user)/mlos" : "/tmp/mlos-\(user)"
    }
    let home = absolute("XDG_CONFIG_HOME") ?? absolute("HOME").map { "\($0)/.config" }
    let own = home.map { "\($0)/mlos/mlos.yaml" }
    configurationFile = own.flatMap { exists($0) ? $0 : nil } ?? system
    let states = absolute("XDG_STATE_HOME") ?? absolute("HOME").map { "\($0)/.local/state" }
    stateDirectory = service ?? states.map { "\($0)/mlos" } ?? directory
  }

  /// Of this process.
  public static func current(environment: [String: String]) -> RuntimePaths {
    var paths = RuntimePaths(user: geteuid(), environment: environment) { access($0, F_OK) == 0 }
    // Nil where the folder was removed, or may not be looked at.
    if let folder = getcwd(nil, 0) {
      paths.workingDirectory = String(cString: folder)
      free(folder)
    } else {
      paths.workingDirectory = ""
    }
    return paths
  }

  /// Where agents connect when nothing else is configured.
  public var agentSocket: String { "\(directory)/agent.sock" }

  /// The control socket that belongs to an agents' socket: beside it.
  public static func controlSocket(besideAgentSocket path: String) -> String { directory(of: path) + "/control.sock" }

  /// Where programs hear that memory is short: beside it, too.
  public static func pressureSocket(besideAgentSocket path: String) -> String { directory(of: path) + "/memory.sock" }

  /// The configuration file to read: `option` (`--config`), else `MLOS_CONFIG`, both of which must exist, else the default.
  public func chosenFile(option: String?, environment: [String: String]) -> (path: String, isRequired: Bool) {
    if let option { return (absolute(option), true) }
    if let path = environment["MLOS_CONFIG"], !path.isEmpty { return (absolute(path), true) }
    return (configurationFile, false)
  }

  private func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), !path.isEmpty, workingDirectory.hasPrefix("/") else { return path }
    var relative = path[...]
    while relative.hasPrefix("./") { relative = relative.dropFirst(2).drop { $0 == "/" } }
    return workingDirectory + (workingDirectory.hasSuffix("/") ? "" : "/") + relative
  }

  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "" }
    return String(path[..<slash])
  }

  /// sizeof sun_path less the final NUL, unix(7).
  static let socketPathLimit = 107

  /// What is wrong with the path of the agents' socket; nil for nothing. The control socket beside it must fit too.
  static let faultOfSocket: @Sendable (String) -> String? = { path in
    guard path.hasPrefix("/"), !path.hasSuffix("/") else {
      return "must be the absolute path of a socket, not '\(quotable(path))'"
    }
    let control = controlSocket(besideAgentSocket: path)
    guard path != control else { return "must not be named control.sock: that is the control socket beside it" }
    guard path != pressureSocket(besideAgentSocket: path) else {
      return "must not be named memory.sock: there programs hear of pressure"
    }
    let longest = max(path.utf8.count, control.utf8.count)
    return longest <= socketPathLimit
      ? nil : "is too long for a socket: \(longest) bytes with control.sock beside it, at most \(socketPathLimit)"
  }
}
