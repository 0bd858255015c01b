import Model
import Testing

@testable import Config

@Suite struct SettingsTests {
  /// A value of every key that is not its default, and one it refuses.
  static let samples: [(key: String, good: String, shown: String, bad: String)] = [
    ("socket", "/run/other/agent.sock", "/run/other/agent.sock", "agent.sock"),
    ("log.level", "debug", "debug", "loud"),
    ("log.format", "TEXT", "text", "xml"),
    ("log.file", "/var/log/mlos.log", "/var/log/mlos.log", "mlos.log"),
    ("journal.path", "/srv/mlos/journal.db", "/srv/mlos/journal.db", "/srv/mlos/"),
    ("observe.interval", "5m", "300s", "2d"),
    ("check.interval", "0.5", "500ms", "-1"),
    ("agents.limit", "16", "16", "65537"),
    ("events.capacity", "100", "100", "99"),
    ("http.limit.body", "1MiB", "1MiB", "64KB"),
    ("unloading.enabled", "off", "false", "maybe"),
    ("unloading.dry_run", "yes", "true", "perhaps"),
    ("unloading.strategy", "AGGRESSIVE", "aggressive", "not one"),
    ("unloading.profile", "training", "training", "fun"),
    ("unloading.check_interval", "5", "5s", "0"),
    ("unloading.aggressive_timeout", "60", "60s", "31d"),
    ("unloading.balanced_timeout", "20m", "1200s", "-900"),
    ("unloading.conservative_timeout", "1d", "86400s", "0.5"),
    ("unloading.memory_pressure_threshold", "82%", "0.82", "80"),
    ("unloading.memory_pressure_target", "0.5", "0.5", "100%"),
    ("unloading.memory_pressure_critical", "90%", "0.9", "1.01"),
    ("unloading.memory_pressure_timeout", "0", "0s", "2h"),
    ("unloading.enable_memory_pressure_unloading", "no", "false", "2"),
    ("unloading.enable_usage_pattern_unloading", "FALSE", "false", "''"),
    ("unloading.enable_user_preference_unloading", "0", "false", "null and void"),
    ("unloading.enable_adaptive_unloading", "false", "false", "adaptive"),
    ("unloading.performance_impact_tracking", "off", "false", "--"),
    ("unloading.max_unloads_per_cycle", "1", "1", "0"),
    ("unloading.min_memory_savings_threshold", "1048577", "1048577", "2T"),
    ("unloading.module_cache_limit", "0", "0", "-1"),
    ("unloading.regret_window", "10", "10s", "0"),
  ]

  @Test("the table of samples names every key") func complete() {
    #expect(Self.samples.map(\.key) == SettingKeys.all.map(\.name))
  }

  @Test("every key is read from every source, which it remembers", arguments: samples)
  func sources(key: String, good: String, shown: String, bad: String) throws {
    let name = "MLOS_" + key.uppercased().replacing(".", with: "_")
    let nested = Self.nested(key, good)
    for (settings, origin) in [
      (load("# comment\n\(key): \(good)"), "f:2"), (load(nested), "f:\(key.split(separator: ".").count)"),
      (load(environment: [name: good]), "environment \(name)"),
      (load(overrides: [SettingOverride(key: key, value: good, option: "--x")]), "command line --x"),
    ] {
      let row = try #require(try settings.get().rows().first { $0.key == key })
      #expect(row.value == shown)
      #expect(row.origin == origin)
    }
  }

  @Test("every key refuses a bad value in every source", arguments: samples)
  func refusals(key: String, good: String, shown: String, bad: String) {
    let name = "MLOS_" + key.uppercased().replacing(".", with: "_")
    for (settings, place) in [
      (load("\(key): \(bad)"), "f:1:\(key.count + 3): "), (load(environment: [name: bad]), "environment \(name): "),
      (load(overrides: [SettingOverride(key: key, value: bad, option: "--x")]), "command line --x: "),
    ] {
      #expect(settings.complaints.count == 1)
      #expect(settings.complaints.allSatisfy { $0.hasPrefix(place + "'\(key)' ") })
    }
  }

  private static func nested(_ key: String, _ value: String) -> String {
    let parts = key.split(separator: ".")
    return parts.enumerated().map { index, part in
      String(repeating: "  ", count: index) + part + ":" + (index == parts.count - 1 ? " \(value)" : "")
    }.joined(separator: "\n")
  }

  @Test("default, file, environment, command line: the later one wins") func precedence() throws {
    let file = "agents: {limit: 1}\nevents: {capacity: 111}\ncheck: {interval: 2}"
    let environment = ["MLOS_AGENTS_LIMIT": "2", "MLOS_EVENTS_CAPACITY": "222", "HOME": "/root"]
    let option = SettingOverride(key: "agents.limit", value: "3", option: "--agents")
    let settings = try load(file, environment: environment, overrides: [option]).get()
    #expect(settings.agentsLimit == 3)
    #expect(settings.eventsCapacity == 222)
    #expect(settings.checkInterval == .seconds(2))
    #expect(settings.observeInterval == .seconds(60))
    #expect(settings.httpLimitBody == .kibibytes(64))
    #expect(settings.logLevel == .info)
    #expect(settings.socket == "/run/user/1000/mlos/agent.sock")
    #expect(settings.controlSocket == "/run/user/1000/mlos/control.sock")
    let origins = settings.rows().filter { $0.origin != "default" }.map { "\($0.key) \($0.origin)" }
    #expect(
      origins == ["check.interval f:3", "agents.limit command line --agents", "events.capacity environment MLOS_EVENTS_CAPACITY"])
  }

  @Test("mistakes of all sources come together") func together() {
    let settings = load("x: 1", environment: ["MLOS_X": "1"], overrides: [SettingOverride(key: "y", value: "", option: "--y")])
    #expect(settings.complaints.count == 3)
  }

  @Test(
    "an unknown variable is named with the nearest one; the others MLOS reads are let through",
    arguments: [
      ("MLOS_LOG_LEVL", "environment MLOS_LOG_LEVL: unknown variable; did you mean 'MLOS_LOG_LEVEL'?"),
      ("MLOS_SOCKT", "environment MLOS_SOCKT: unknown variable; did you mean 'MLOS_SOCKET'?"),
      ("MLOS_AGENT_DISABLED", "environment MLOS_AGENT_DISABLED: unknown variable; did you mean 'MLOS_AGENT_DISABLE'?"),
      ("MLOS_QQQ", "environment MLOS_QQQ: unknown variable"), ("MLOS_CONFIG", nil), ("MLOS_AGENT_THREAD", nil),
      ("MLOSX", nil),
    ] as [(String, String?)])
  func variables(name: String, complaint: String?) {
    #expect(load(environment: [name: "1"]).complaints == (complaint.map { [$0] } ?? []))
  }

  @Test("a socket must leave room for the control socket beside it") func socketPath() {
    let long = "/" + String(repeating: "a", count: 95)
    func complaints(_ path: String) -> [String] { load(environment: ["MLOS_SOCKET": path]).complaints }
    #expect(complaints("\(long)/a.s").count == 1)
    #expect(complaints("/tmp/control.sock").count == 1)
    #expect(complaints("/tmp/").count == 1)
    #expect(complaints("/a.sock") == [])
  }

  @Test("a change says what needs a restart") func changes() throws {
    let old = try load("agents: {limit: 1}").get()
    let new = try load("events: {capacity: 100}\nlog: {level: info}").get()
    #expect(old.changes(to: new).reloadable == ["agents.limit"])
    #expect(old.changes(to: new).needRestart == ["events.capacity"])
    #expect(old == old && old != new)
    let reloaded = old.reloaded(from: new)
    #expect(reloaded.agentsLimit == new.agentsLimit && reloaded.eventsCapacity == old.eventsCapacity)
    // Said again at every reload until the restart.
    #expect(reloaded.changes(to: new) == ([], ["events.capacity"]))
  }
}
