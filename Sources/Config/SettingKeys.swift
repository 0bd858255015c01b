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
  public let journalPath = SettingKey<String>(
    "journal.path",
    defaultNote: "`/var/lib/mlos/journal.db` for root; else `mlos/journal.db` in `$XDG_STATE_HOME` or `~/.local/state`",
    reloadable: false,
    "File that remembers decisions, changes of settings and figures; empty keeps none",
    expectation: "an absolute path, or empty",
    check: {
      $0.isEmpty || $0.hasPrefix("/") && !$0.hasSuffix("/")
        ? nil : "must be the absolute path of a file or empty, not '\(quotable($0))'"
    }
  ) { "\($0.stateDirectory)/journal.db" }
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

  public let unloadingEnabled = SettingKey<Bool>(
    "unloading.enabled", default: true, reloadable: true, "Whether anything is given back without being asked for")
  public let unloadingDryRun = SettingKey<Bool>(
    "unloading.dry_run", default: false, reloadable: true, "Whether what is decided is recorded only, and nothing is touched")
  public let unloadingStrategy = SettingKey<StrategyName>(
    "unloading.strategy", default: StrategyName("balanced"), reloadable: true,
    "Strategy of packages without one of their own")
  public let unloadingProfile = SettingKey<UnloadingProfile>(
    "unloading.profile", default: .none, reloadable: true,
    "Kind of work; sets strategy, threshold, target, critical share and unloads per cycle where nothing else does")
  public let unloadingCheckInterval = SettingKey<Duration>(
    "unloading.check_interval", default: .seconds(60), in: .seconds(1) ... .seconds(86400), reloadable: true,
    "Time between decisions")
  public let unloadingAggressiveTimeout = SettingKey<Duration>(
    "unloading.aggressive_timeout", default: .seconds(300), in: SettingFamily.timeouts, reloadable: true,
    "Time a package may be idle under the strategy aggressive")
  public let unloadingBalancedTimeout = SettingKey<Duration>(
    "unloading.balanced_timeout", default: .seconds(900), in: SettingFamily.timeouts, reloadable: true,
    "Time a package may be idle under the strategy balanced")
  public let unloadingConservativeTimeout = SettingKey<Duration>(
    "unloading.conservative_timeout", default: .seconds(1800), in: SettingFamily.timeouts, reloadable: true,
    "Time a package may be idle under the strategy conservative")
  public let unloadingMemoryPressureThreshold = SettingKey<Fraction>(
    "unloading.memory_pressure_threshold", default: .percent(80), in: .percent(5) ... .percent(100), reloadable: true,
    "Share of the limit above which memory is given back")
  public let unloadingMemoryPressureTarget = SettingKey<Fraction>(
    "unloading.memory_pressure_target", default: .percent(70), in: .percent(1) ... .percent(99), reloadable: true,
    "Share of the limit at which that ends")
  public let unloadingMemoryPressureCritical = SettingKey<Fraction>(
    "unloading.memory_pressure_critical", default: .percent(85), in: .percent(5) ... .percent(100), reloadable: true,
    "Share of the limit above which it begins at once")
  public let unloadingMemoryPressureTimeout = SettingKey<Duration>(
    "unloading.memory_pressure_timeout", default: .seconds(60), in: .zero ... .seconds(3600), reloadable: true,
    "Time above the threshold before memory is given back")
  public let unloadingEnableMemoryPressureUnloading = SettingKey<Bool>(
    "unloading.enable_memory_pressure_unloading", default: true, reloadable: true, "Give back when memory is short")
  public let unloadingEnableUsagePatternUnloading = SettingKey<Bool>(
    "unloading.enable_usage_pattern_unloading", default: true, reloadable: true, "Give back what is idle")
  public let unloadingEnableUserPreferenceUnloading = SettingKey<Bool>(
    "unloading.enable_user_preference_unloading", default: true, reloadable: true,
    "Give back early what its user allows to go")
  public let unloadingEnableAdaptiveUnloading = SettingKey<Bool>(
    "unloading.enable_adaptive_unloading", default: true, reloadable: true,
    "Shorten the time a package may be idle as memory fills")
  public let unloadingPerformanceImpactTracking = SettingKey<Bool>(
    "unloading.performance_impact_tracking", default: true, reloadable: true,
    "Keep account of what giving back costs")
  public let unloadingMaxUnloadsPerCycle = SettingKey<Int>(
    "unloading.max_unloads_per_cycle", default: 5, in: 1...1000, unit: "packages", reloadable: true,
    "Most packages given back by one decision")
  public let unloadingMinMemorySavingsThreshold = SettingKey<Bytes>(
    "unloading.min_memory_savings_threshold", default: .mebibytes(1), in: .zero ... .mebibytes(1 << 20), reloadable: true,
    "What brings back less is not touched")
  public let unloadingModuleCacheLimit = SettingKey<Int>(
    "unloading.module_cache_limit", default: 100, in: 0...100_000, unit: "modules", reloadable: true,
    "Most modules kept after their program has closed them")
  public let unloadingRegretWindow = SettingKey<Duration>(
    "unloading.regret_window", default: .seconds(600), in: .seconds(1) ... .seconds(86400), reloadable: true,
    "What is needed again within this time should not have gone, and stays longer next time")

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
