import Model

/// Every setting there is. Parsing, environment names, validation, `config show` and the reference page derive from this
/// table: a new setting is one more line here, documented by its summary.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
public struct SettingKeys: Sendable {
  public let socket = SettingKey<String>(
    "socket", defaultNote: "`/run/mlos/agent.sock` for root; else `$XDG_RUNTIME_DIR/mlos/agent.sock`", reloadable: false,
    "Socket the agents report to; the control socket `control.sock` is made beside it",
    expectation: "an absolute path of at most \(RuntimePaths.socketPathLimit) bytes", check: RuntimePaths.faultOfSocket
  ) { $0.agentSocket }
  public let logLevel = SettingKey<LogLevel>(
    "log.level", default: .info, reloadable: true, "Least severe message to log")
  public let logFormat = SettingKey<LogFormat>(
    "log.format", default: .json, reloadable: true, "JSON objects for machines or text for people, one a line")
  public let logFile = SettingKey<String>(
    "log.file", default: "", reloadable: true, "File to append the log to; empty is standard error",
    expectation: "an absolute path, or empty",
    check: { $0.isEmpty || $0.hasPrefix("/") ? nil : "must be an absolute path or empty, not '\(quotable($0))'" })
  public let observeInterval = SettingKey<Duration>(
    "observe.interval", default: .seconds(60), in: .zero ... .seconds(86400), reloadable: true,
    "Time between scans of which memory was used; 0 is never")
  public let checkInterval = SettingKey<Duration>(
    "check.interval", default: .seconds(1), in: .milliseconds(100) ... .seconds(60), reloadable: true,
    "Time between looks at what the agents wrote")
  public let agentsLimit = SettingKey<Int>(
    "agents.limit", default: 4096, in: 1...65536, unit: "agents", reloadable: true, "Most agents connected at once")
  public let eventsCapacity = SettingKey<Int>(
    "events.capacity", default: 10_000, in: 100...1_000_000, unit: "events", reloadable: false,
    "Events kept in memory; older ones are forgotten and counted")
  public let httpLimitBody = SettingKey<Bytes>(
    "http.limit.body", default: .kibibytes(64), in: .kibibytes(1) ... .mebibytes(64), reloadable: true,
    "Largest request body the control API reads")

  static let shared = SettingKeys()

  /// Every declaration, in the order of the table.
  public static let all: [any SettingDeclaration] =
    Mirror(reflecting: shared).children.compactMap { $0.value as? any SettingDeclaration }

  static let byName: [String: any SettingDeclaration] = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

  static let byEnvironmentName: [String: any SettingDeclaration] =
    Dictionary(uniqueKeysWithValues: all.map { ($0.environmentName, $0) })

  /// `log`, `http`, `http.limit`: names that stand for a mapping of further keys.
  static let sections: Set<String> = {
    var sections: Set<String> = []
    for declaration in all {
      let parts = declaration.name.split(separator: ".")
      for length in 1..<max(parts.count, 1) { sections.insert(parts.prefix(length).joined(separator: ".")) }
    }
    return sections
  }()

  /// Variables that MLOS reads and that are no settings.
  public static let otherVariables: [(name: String, summary: String)] = [
    ("MLOS_CONFIG", "Configuration file to read instead of the default one; it must exist"),
    ("MLOS_AGENT_LIBRARY", "Agent library that `mlos run` preloads"),
    ("MLOS_AGENT_DISABLE", "1 keeps the agent out of a program that would preload it"),
    ("MLOS_AGENT_THREAD", "never keeps the agent from starting its control thread"),
    ("MLOS_AGENT_IGNORE_VALGRIND", "1 keeps the agent on under valgrind, for measuring it"),
  ]
}
