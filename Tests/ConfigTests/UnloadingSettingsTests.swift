import Model
import Testing

@testable import Config

@Suite struct UnloadingSettingsTests {
  /// What the contract calls each setting, and what it is where nobody says otherwise: types and values as Policy has them.
  static let contract: [(name: String, standard: String, reaches: @Sendable (UnloadingSettings) -> Bool)] = [
    ("lazy_loading_unloading_enabled", "true", { $0.isEnabled }),
    ("lazy_loading_unloading_strategy", "balanced", { $0.strategy == "balanced" }),
    ("lazy_loading_unloading_check_interval", "60s", { $0.checkIntervalSeconds == 60.0 }),
    ("lazy_loading_unloading_aggressive_timeout", "300s", { $0.aggressiveTimeoutSeconds == 300.0 }),
    ("lazy_loading_unloading_balanced_timeout", "900s", { $0.balancedTimeoutSeconds == 900.0 }),
    ("lazy_loading_unloading_conservative_timeout", "1800s", { $0.conservativeTimeoutSeconds == 1800.0 }),
    ("lazy_loading_unloading_memory_pressure_threshold", "0.8", { $0.memoryPressureThreshold == 0.8 }),
    ("lazy_loading_unloading_memory_pressure_timeout", "60s", { $0.memoryPressureTimeoutSeconds == 60.0 }),
    ("lazy_loading_unloading_enable_memory_pressure_unloading", "true", { $0.enableMemoryPressureUnloading }),
    ("lazy_loading_unloading_enable_usage_pattern_unloading", "true", { $0.enableUsagePatternUnloading }),
    ("lazy_loading_unloading_enable_user_preference_unloading", "true", { $0.enableUserPreferenceUnloading }),
    ("lazy_loading_unloading_enable_adaptive_unloading", "true", { $0.enableAdaptiveUnloading }),
    ("lazy_loading_unloading_performance_impact_tracking", "true", { $0.performanceImpactTracking }),
    ("lazy_loading_unloading_max_unloads_per_cycle", "5", { $0.maxUnloadsPerCycle == 5 }),
    ("lazy_loading_unloading_min_memory_savings_threshold", "1MiB", { $0.minMemorySavingsThreshold.count == 1_048_576 }),
  ]

  @Test("every setting of the contract is there under its own name, with its default and a variable") func names() throws {
    let settings = Settings(defaults: testPaths)
    let policy = UnloadingSettings(settings)
    for (name, standard, reaches) in Self.contract {
      let key = "unloading." + name.dropFirst("lazy_loading_unloading_".count)
      let row = try #require(settings.row(key), "\(key)")
      #expect(row.value == standard)
      #expect(reaches(policy), "\(name)")
      let declaration = try #require(SettingKeys.byName[key])
      #expect(declaration.environmentName == "MLOS_" + name.dropFirst("lazy_loading_".count).uppercased())
      #expect(declaration.isReloadable)
    }
    #expect(policy == UnloadingSettings())
  }

  @Test("every setting reaches Policy") func mapping() throws {
    let text = """
      unloading:
        enabled: no
        strategy: Night
        check_interval: 10
        aggressive_timeout: 1
        balanced_timeout: 2
        conservative_timeout: 3
        memory_pressure_threshold: 60%
        memory_pressure_target: 50%
        memory_pressure_critical: 70%
        memory_pressure_timeout: 4
        enable_memory_pressure_unloading: no
        enable_usage_pattern_unloading: no
        enable_user_preference_unloading: no
        enable_adaptive_unloading: no
        performance_impact_tracking: no
        max_unloads_per_cycle: 6
        min_memory_savings_threshold: 7
        module_cache_limit: 8
        regret_window: 9
        strategies: {NIGHT: 8h, x-1: 1s}
        packages:
          torch: {strategy: AGGRESSIVE, allow_unload: no, class: optional}
          zope.interface: {allow_unload: yes}
      unloading.packages."a.b \\"c\\"".class: critical
      """
    var expected = UnloadingSettings()
    expected.isEnabled = false
    expected.strategy = "night"
    expected.checkIntervalSeconds = 10
    (expected.aggressiveTimeoutSeconds, expected.balancedTimeoutSeconds, expected.conservativeTimeoutSeconds) = (1, 2, 3)
    (expected.memoryPressureThreshold, expected.memoryPressureTarget, expected.memoryPressureCritical) = (0.6, 0.5, 0.7)
    expected.memoryPressureTimeoutSeconds = 4
    expected.enableMemoryPressureUnloading = false
    expected.enableUsagePatternUnloading = false
    expected.enableUserPreferenceUnloading = false
    expected.enableAdaptiveUnloading = false
    expected.performanceImpactTracking = false
    expected.maxUnloadsPerCycle = 6
    expected.minMemorySavingsThreshold = Bytes(7)
    expected.moduleCacheLimit = 8
    expected.regretWindowSeconds = 9
    expected.customStrategies = [
      UnloadingStrategy(name: "night", timeoutSeconds: 28800), UnloadingStrategy(name: "x-1", timeoutSeconds: 1),
    ]
    expected.preferences = [
      "torch": UnitPreference(strategy: "aggressive", allowUnload: false, unitClass: .optional),
      "zope.interface": UnitPreference(allowUnload: true), "a.b \"c\"": UnitPreference(unitClass: .critical),
    ]
    let settings = try load(text).get()
    #expect(UnloadingSettings(settings) == expected)
    #expect(settings.row("unloading.packages.\"zope.interface\".allow_unload")?.origin == "f:24")
    let named = settings.rows().map(\.key).drop { $0 != "unloading.regret_window" }.dropFirst()
    #expect(
      Array(named) == [
        "unloading.strategies.night", "unloading.strategies.x-1", "unloading.packages.\"a.b \\\"c\\\"\".class",
        "unloading.packages.\"zope.interface\".allow_unload", "unloading.packages.torch.allow_unload",
        "unloading.packages.torch.class", "unloading.packages.torch.strategy",
      ])
  }

  @Test(
    "what is wrong below a name that people chose is named with its place",
    arguments: [
      (
        "unloading.strategies: {night: 999999999d}",
        "f:1:31: 'unloading.strategies.night' must be a duration such as 60, 500ms or 5m, 1s to 2592000s, not '999999999d'"
      ),
      ("unloading.strategies: {night: 0.5}", "f:1:31: 'unloading.strategies.night' must be 1s to 2592000s, not 500ms"),
      (
        "unloading.strategies: {night: -5}",
        "f:1:31: 'unloading.strategies.night' must be a duration such as 60, 500ms or 5m, 1s to 2592000s, not '-5'"
      ),
      (
        "unloading.strategies: {Balanced: 5}",
        "f:1:24: 'unloading.strategies.balanced': the name 'Balanced' is always there; its time is set by unloading.balanced_timeout"
      ),
      (
        "unloading.strategies: {a b: 5}",
        "f:1:24: 'unloading.strategies.a b': the name 'a b' must be of letters, digits, '-' and '_'"
      ),
      (
        "unloading.strategies: {a.b: 5}",
        "f:1:24: 'unloading.strategies.\"a.b\"': the name 'a.b' must be of letters, digits, '-' and '_'"
      ),
      ("unloading.strategies: {n: 5, N: 6}", "f:1:30: key 'unloading.strategies.n' is given more than once; first in line 1"),
      ("unloading.strategies: 5", "f:1:23: 'unloading.strategies' must be a mapping (it holds unloading.strategies.NAME)"),
      (
        "unloading: {packages: {torch: {stratgy: x}}}",
        "f:1:32: unknown key 'unloading.packages.torch.stratgy'; did you mean 'unloading.packages.torch.strategy'?"
      ),
      (
        "unloading: {packages: {torch: {zzzzzz: x}}}",
        "f:1:32: unknown key 'unloading.packages.torch.zzzzzz'; 'unloading.packages' holds unloading.packages.NAME.strategy, "
          + "unloading.packages.NAME.allow_unload, unloading.packages.NAME.class"
      ),
      (
        "unloading: {packages: {torch: aggressive}}",
        "f:1:31: 'unloading.packages.torch' must be a mapping (it holds unloading.packages.torch.strategy, "
          + "unloading.packages.torch.allow_unload, unloading.packages.torch.class)"
      ),
      (
        "unloading: {packages: {torch: {class: vital}}}",
        "f:1:39: 'unloading.packages.torch.class' must be one of critical, important or optional, not 'vital'"
      ),
      ("unloading: {packages: {\"\": {class: critical}}}", "f:1:24: 'unloading.packages.\"\"': the name '' must not be empty"),
      (
        "unloading: {packages: {t: {strategy: aggresive}}}",
        "f:1:28: 'unloading.packages.t.strategy' (f:1): there is no strategy 'aggresive'; did you mean 'aggressive'?"
      ),
      (
        "unloading: {strategy: zzz}",
        "f:1:13: 'unloading.strategy' (f:1): there is no strategy 'zzz'; there are aggressive, balanced, conservative"
      ),
      (
        "unloading: {strategies: {zzzz: 1}, packages: {t: {strategy: zzz}}}",
        "f:1:51: 'unloading.packages.t.strategy' (f:1): there is no strategy 'zzz'; did you mean 'zzzz'?"
      ),
    ])
  func named(text: String, complaint: String) { #expect(load(text).complaints == [complaint]) }

  @Test("settings that cannot hold together are named, both with their origins") func contradictions() {
    func complaints(_ text: String, _ environment: [String: String] = [:], _ overrides: [SettingOverride] = []) -> [String] {
      load(text, environment: environment, overrides: overrides).complaints
    }
    #expect(
      complaints("unloading: {memory_pressure_target: 80%}") == [
        "f:1:13: 'unloading.memory_pressure_target' must be below 'unloading.memory_pressure_threshold': they are 0.8 (f:1) "
          + "and 0.8 (default)"
      ])
    #expect(
      complaints(
        "unloading:\n  memory_pressure_critical: 50%", ["MLOS_UNLOADING_MEMORY_PRESSURE_THRESHOLD": "0.51"],
        [SettingOverride(key: "unloading.memory_pressure_target", value: "0.6", option: "--target")]) == [
          "command line --target: 'unloading.memory_pressure_target' must be below 'unloading.memory_pressure_threshold': they are "
            + "0.6 (command line --target) and 0.51 (environment MLOS_UNLOADING_MEMORY_PRESSURE_THRESHOLD)",
          "environment MLOS_UNLOADING_MEMORY_PRESSURE_THRESHOLD: 'unloading.memory_pressure_threshold' must not be above "
            + "'unloading.memory_pressure_critical': they are 0.51 (environment MLOS_UNLOADING_MEMORY_PRESSURE_THRESHOLD) and "
            + "0.5 (f:2)",
        ])
    #expect(
      complaints("unloading: {aggressive_timeout: 901, conservative_timeout: 899}") == [
        "f:1:13: 'unloading.aggressive_timeout' must not be above 'unloading.balanced_timeout': they are 901s (f:1) and "
          + "900s (default)",
        "f:1:38: 'unloading.balanced_timeout' must not be above 'unloading.conservative_timeout': they are 900s (default) and "
          + "899s (f:1)",
      ])
    #expect(complaints("unloading: {memory_pressure_threshold: 85%, aggressive_timeout: 900, conservative_timeout: 900}") == [])
    // A value that was refused contradicts nothing.
    #expect(complaints("unloading: {memory_pressure_target: 80%, regret_window: 0}").count == 1)
  }

  @Test("a profile sets what nobody else set, and says so", arguments: TaskProfile.allCases) func profiles(profile: TaskProfile)
    throws
  {
    let settings = try load("unloading: {profile: \(profile.rawValue)}").get()
    #expect(UnloadingSettings(settings) == profile.applied(to: UnloadingSettings()))
    #expect(settings.row("unloading.max_unloads_per_cycle")?.origin == "profile \(profile.rawValue)")
    let own = try load("unloading: {profile: \(profile.rawValue), max_unloads_per_cycle: 7}").get()
    #expect(own.row("unloading.max_unloads_per_cycle")?.value == "7")
    #expect(try settings.with(profile: nil, chosenBy: "rule x", at: 0).rows().map(\.value) == load("").get().rows().map(\.value))
    let chosen = try load("").get().with(profile: profile, chosenBy: "rule x", at: 0)
    #expect(chosen.rows().map(\.value) == settings.rows().map(\.value))
    #expect(chosen.row("unloading.profile")?.origin == "run time, by rule x at 1970-01-01T00:00:00Z")
  }

  @Test("a profile that contradicts what somebody set is named") func profileContradicts() throws {
    #expect(
      load("unloading: {memory_pressure_threshold: 0.8, profile: training}").complaints == [
        "f:1:13: 'unloading.memory_pressure_target' must be below 'unloading.memory_pressure_threshold': they are "
          + "0.85 (profile training) and 0.8 (f:1)"
      ])
    let own = try load("unloading: {memory_pressure_threshold: 0.8}").get()
    #expect(throws: ConfigErrors.self) { try own.with(profile: .training, chosenBy: "rule x", at: 0) }
    let fixed = try load(overrides: [SettingOverride(key: "unloading.profile", value: "none", option: "--profile")]).get()
    #expect(try fixed.with(profile: .training, chosenBy: "rule x", at: 0) == fixed)
  }

  @Test("the page about the configuration says what the profiles set") func profilePage() throws {
    let page = try String(contentsOf: ReferenceTests.root.appending(path: "docs/reference/configuration.md"), encoding: .utf8)
    let applied = try ["inference", "training", "analysis"].map { try load("unloading: {profile: \($0)}").get() }
    for key in [
      "strategy", "memory_pressure_threshold", "memory_pressure_target", "memory_pressure_critical", "max_unloads_per_cycle",
    ] {
      let values = applied.map { "`\($0.row("unloading.\(key)")?.value ?? "")`" }.joined(separator: " | ")
      #expect(page.contains("| `unloading.\(key)` | \(values) |"))
    }
    let snippets = page.components(separatedBy: "```yaml\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
    for snippet in snippets { #expect(load(snippet).complaints == [], "\(snippet)") }
  }

  @Test(
    "shares",
    arguments: [
      ("0.8", 0.8, "0.8"), ("80%", 0.8, "0.8"), ("85 %", 0.85, "0.85"), ("1", 1, "1"), ("0", 0, "0"), ("12.5%", 0.125, "0.125"),
      ("80", 80, "80"), ("0.000000001", 1e-9, "0.000000001"), ("-1", nil, ""), ("1e-1", nil, ""), ("%", nil, ""),
      ("80%%", nil, ""),
      ("nan", nil, ""), ("", nil, ""), ("99999999999999999999", nil, ""),
    ] as [(String, Double?, String)])
  func shares(text: String, value: Double?, shown: String) {
    let fraction = Fraction(settingText: text)
    #expect(fraction?.value == value)
    if let fraction {
      #expect(fraction.settingText == shown)
      #expect(Fraction(settingText: shown) == fraction)
      #expect(Fraction(fraction.value) == fraction)
    }
  }

  @Test(
    "dotted names",
    arguments: [
      ("a.b", ["a", "b"]), ("a.\"b.c\".d", ["a", "b.c", "d"]), ("a.\"b\\\"\\\\\".c", ["a", "b\"\\", "c"]), ("a", ["a"]),
      ("a..b", ["a..b"]), (".a", [".a"]), ("a.", ["a."]), ("a.\"b", ["a.\"b"]), ("a.\"b\"c", ["a.\"b\"c"]),
      ("a.\"\"", ["a.\"\""]),
      ("", [""]), ("a.\"\\n\"", ["a.\"\\n\""]),
    ])
  func paths(text: String, parts: [String]) {
    let path = SettingPath(text: text)
    #expect(path.parts == parts)
    #expect(SettingPath(text: path.text) == path || parts == [""])
  }

  @Test("changes of named settings and of rules are told, and taken over") func changes() throws {
    let rules = "rules: [{name: a, when: swap.used > 1, then: collect}]\n"
    let old = try load("unloading: {strategies: {n: 5}, packages: {b: {class: critical}}}").get()
    let new = try load(rules + "unloading: {strategies: {n: 6}, packages: {a: {class: critical}}}").get()
    let names = ["unloading.packages.b.class", "unloading.packages.a.class"]
    #expect(old.changes(to: new).reloadable == ["unloading.strategies.n"] + names + ["rules"])
    #expect(old.changes(to: old).reloadable == [])
    let reloaded = old.reloaded(from: new)
    #expect(reloaded.rules == new.rules && reloaded.row("unloading.packages.b.class") == nil)
  }
}
