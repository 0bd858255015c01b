import Model

/// Where a setting's value comes from. Later cases win over earlier ones.
public enum SettingOrigin: Hashable, Sendable, CustomStringConvertible {
  case standard
  /// Where nobody says otherwise, the profile does.
  case profile(UnloadingProfile)
  case file(String, line: Int)
  case environment(String)
  /// Set while the supervisor ran; who it was, and seconds since 1970.
  case runtime(who: String, when: Int64)
  /// The option, e.g. `--socket`.
  case commandLine(String)

  /// `default`, `profile training`, `/etc/mlos/mlos.yaml:3`, `environment MLOS_LOG_LEVEL`, `run time, by user 1000 at
  /// 2026-02-03T04:05:06Z`, `command line --socket`.
  public var description: String {
    switch self {
    case .standard: "default"
    case .profile(let profile): "profile \(profile.rawValue)"
    case .file(let path, let line): "\(path):\(line)"
    case .environment(let name): "environment \(name)"
    case .runtime(let who, let when): "run time, by \(who) at \(utcText(when))"
    case .commandLine(let option): "command line \(option)"
    }
  }
}

/// A value from the command line.
public struct SettingOverride: Hashable, Sendable {
  /// Dotted name.
  public var key: String
  /// As it was typed.
  public var value: String
  /// The option as it was typed, e.g. `--socket`.
  public var option: String

  /// A value for a key, from an option.
  public init(key: String, value: String, option: String) {
    self.key = key
    self.value = value
    self.option = option
  }
}

/// Every setting with a checked value: `settings.logLevel`, `settings.checkInterval`, ... are the members of `SettingKeys`.
@dynamicMemberLookup
public struct Settings: Sendable, Hashable {
  /// The file in force; nil when there is none.
  public internal(set) var file: String?
  /// The user's rules: those of `mlos.yaml`, those of the files in `rules.d` by name, those of run time. They go together.
  public internal(set) var rules: [Rule] = []
  /// Where each is from, by name.
  public internal(set) var ruleOrigins: [String: RuleOrigin] = [:]
  var entries: [String: Entry]

  struct Entry: Sendable, Hashable {
    var value: any SettingValue
    var origin: SettingOrigin
    /// In the line of its file.
    var column: Int?

    static func == (left: Entry, right: Entry) -> Bool {
      left.value.settingText == right.value.settingText && left.origin == right.origin
    }
    func hash(into hasher: inout Hasher) {
      hasher.combine(value.settingText)
      hasher.combine(origin)
    }
  }

  /// Every setting at its default.
  public init(defaults paths: RuntimePaths) {
    file = nil
    entries = [:]
    for key in SettingKeys.all { entries[key.name] = Entry(value: key.defaultValue(paths), origin: .standard) }
  }

  /// The value of a setting, by the name of its member in `SettingKeys`.
  public subscript<Value>(dynamicMember path: KeyPath<SettingKeys, SettingKey<Value>>) -> Value {
    let key = SettingKeys.shared[keyPath: path]
    guard let value = entries[key.name]?.value as? Value else {
      preconditionFailure("every key of the table has an entry of its own type")
    }
    return value
  }

  /// Beside the agents' socket.
  public var controlSocket: String { RuntimePaths.controlSocket(besideAgentSocket: self.socket) }

  /// Beside it, too: where programs hear that memory is short.
  public var pressureSocket: String { RuntimePaths.pressureSocket(besideAgentSocket: self.socket) }

  /// One setting as people see it.
  public struct Row: Hashable, Sendable {
    /// Dotted name.
    public var key: String
    /// As it would be written in the file.
    public var value: String
    /// `SettingOrigin` in words.
    public var origin: String
    /// What the setting is for.
    public var summary: String
  }

  /// Every setting in the order of the table, and behind them those of names that people chose.
  public func rows() -> [Row] { declarations.compactMap(row) }

  /// One setting by its dotted name; nil for one that there is not, or that nobody has set.
  public func row(_ name: String) -> Row? {
    guard case .setting(let key, _) = SettingKeys.meaning(of: SettingPath(text: name)) else { return nil }
    return row(key)
  }

  /// What a setting is for, whether somebody has set it or not; nil for one that there is not.
  public static func summary(of name: String) -> String? {
    guard case .setting(let key, _) = SettingKeys.meaning(of: SettingPath(text: name)) else { return nil }
    return key.summary
  }

  /// Whether somebody said what the setting is to be.
  public func isGiven(_ name: String) -> Bool { entries[name].map { $0.origin != .standard } ?? false }

  private func row(_ key: any SettingDeclaration) -> Row? {
    entries[key.name].map {
      Row(key: key.name, value: $0.value.settingText, origin: $0.origin.description, summary: key.summary)
    }
  }

  /// Of everything that has a value.
  private var declarations: [any SettingDeclaration] { SettingKeys.all + namedDeclarations }

  /// Of everything in a family: by family, then by name.
  var namedDeclarations: [any SettingDeclaration] {
    let names = entries.keys.filter { SettingKeys.byName[$0] == nil }.sorted()
    return SettingFamily.all.flatMap { family in
      names.filter { $0.hasPrefix(family.section + ".") }.compactMap { name in
        if case .setting(let key, _) = SettingKeys.meaning(of: SettingPath(text: name)) { key } else { nil }
      }
    }
  }

  /// What is in force in a running supervisor that reads `new`: what needs a restart stays as it is.
  public func reloaded(from new: Settings) -> Settings {
    var result = new
    for key in SettingKeys.all where !key.isReloadable { result.entries[key.name] = entries[key.name] }
    return result
  }

  /// Names of the settings whose value is another one in `new`, parted into those a running supervisor can take over and
  /// those that need a restart; each in the order of the table. `rules` stands for all rules.
  public func changes(to new: Settings) -> (reloadable: [String], needRestart: [String]) {
    func isChanged(_ key: any SettingDeclaration) -> Bool {
      entries[key.name]?.value.settingText != new.entries[key.name]?.value.settingText
    }
    let changed = SettingKeys.all.filter(isChanged)
    var named: [String] = []
    for name in (namedDeclarations + new.namedDeclarations).filter(isChanged).map(\.name) where !named.contains(name) {
      named.append(name)
    }
    return (
      changed.filter(\.isReloadable).map(\.name) + named + (rules == new.rules ? [] : ["rules"]),
      changed.filter { !$0.isReloadable }.map(\.name)
    )
  }
}
