import Model

/// A setting as a rule has it, until the configuration is read again.
public struct RuleSetting: Hashable, Sendable {
  /// Dotted: `unloading.strategy`.
  public var key: String
  /// As the file would have it.
  public var value: String
  public var rule: String

  public init(key: String, value: String, rule: String) {
    self.key = key
    self.value = value
    self.rule = rule
  }
}

/// What rules can set, by themselves or as part of a profile.
enum RuleSettingKey: Hashable {
  case strategy
  case profile
  case packageStrategy(String)
  case packagePermission(String)
  case memoryPressureThreshold, memoryPressureTarget, memoryPressureCritical, maxUnloadsPerCycle

  static let ofProfiles: [RuleSettingKey] = [
    .strategy, .memoryPressureThreshold, .memoryPressureTarget, .memoryPressureCritical, .maxUnloadsPerCycle,
  ]

  var name: String {
    switch self {
    case .strategy: "unloading.strategy"
    case .profile: "unloading.profile"
    case .packageStrategy(let name): "unloading.packages.\(UnitName.inPath(name)).strategy"
    case .packagePermission(let name): "unloading.packages.\(UnitName.inPath(name)).allow_unload"
    case .memoryPressureThreshold: "unloading.memory_pressure_threshold"
    case .memoryPressureTarget: "unloading.memory_pressure_target"
    case .memoryPressureCritical: "unloading.memory_pressure_critical"
    case .maxUnloadsPerCycle: "unloading.max_unloads_per_cycle"
    }
  }

  /// As the file would have it; nil where it is not set. Which profile made settings cannot be told from them.
  func value(in settings: UnloadingSettings) -> String? {
    switch self {
    case .strategy: settings.strategy
    case .profile: nil
    case .packageStrategy(let name): settings.preferences[name]?.strategy
    case .packagePermission(let name): settings.preferences[name]?.allowUnload.map { "\($0)" }
    case .memoryPressureThreshold: "\(settings.memoryPressureThreshold)"
    case .memoryPressureTarget: "\(settings.memoryPressureTarget)"
    case .memoryPressureCritical: "\(settings.memoryPressureCritical)"
    case .maxUnloadsPerCycle: "\(settings.maxUnloadsPerCycle)"
    }
  }
}

/// Which settings rules have set, and to what.
struct RuleSettings {
  private struct Entry {
    var value: String
    var rule: String
    /// It came with a profile: an action of its own wins over it, whichever was first.
    var isOfProfile = false
  }

  private var entries: [RuleSettingKey: Entry] = [:]

  /// By key.
  var all: [RuleSetting] {
    entries.map { RuleSetting(key: $0.key.name, value: $0.value.value, rule: $0.value.rule) }.sorted { $0.key < $1.key }
  }

  /// The rule that denies a unit, by the unit's name.
  var denials: [String: String] {
    var denials: [String: String] = [:]
    for case (.packagePermission(let name), let entry) in entries where entry.value == "false" { denials[name] = entry.rule }
    return denials
  }

  subscript(key: RuleSettingKey) -> String? { entries[key]?.value }

  /// Whether a rule set it by an action of its own.
  func isOwn(_ key: RuleSettingKey) -> Bool { entries[key].map { !$0.isOfProfile } ?? false }

  mutating func take(_ key: RuleSettingKey, _ value: String, of rule: String) {
    // Another rule that wants the same changes nothing.
    guard entries[key]?.value != value || !isOwn(key) else { return }
    entries[key] = Entry(value: value, rule: rule)
  }

  /// - Parameter changed: The settings with the profile; what is as configured no rule has set.
  mutating func take(_ profile: TaskProfile?, of rule: String, _ changed: UnloadingSettings, configured: UnloadingSettings) {
    entries[.profile] = profile.map { Entry(value: $0.rawValue, rule: rule) }
    for key in RuleSettingKey.ofProfiles where !isOwn(key) {
      let value = key.value(in: changed)
      entries[key] =
        value == key.value(in: configured) ? nil : value.map { Entry(value: $0, rule: rule, isOfProfile: true) }
    }
  }

  /// Ends all that rules have set.
  ///
  /// - Returns: What has another value now, by key.
  mutating func end(_ settings: UnloadingSettings) -> [(key: String, rule: String, old: String, new: String?)] {
    defer { entries = [:] }
    return entries.filter { $0.key.value(in: settings) != $0.value.value }
      .map { ($0.key.name, $0.value.rule, $0.value.value, $0.key.value(in: settings)) }
      .sorted { $0.key < $1.key }
  }
}
