import Model

extension Settings {
  /// What a profile sets: the keys, and where Policy keeps the values.
  private struct ProfileKey {
    var name: String
    var value: @Sendable (UnloadingSettings) -> (any SettingValue)?
  }

  private static let profileKeys: [ProfileKey] = {
    let keys = SettingKeys.shared
    return [
      ProfileKey(name: keys.unloadingStrategy.name) { StrategyName($0.strategy) },
      ProfileKey(name: keys.unloadingMemoryPressureThreshold.name) { Fraction($0.memoryPressureThreshold) },
      ProfileKey(name: keys.unloadingMemoryPressureTarget.name) { Fraction($0.memoryPressureTarget) },
      ProfileKey(name: keys.unloadingMemoryPressureCritical.name) { Fraction($0.memoryPressureCritical) },
      ProfileKey(name: keys.unloadingMaxUnloadsPerCycle.name) { $0.maxUnloadsPerCycle },
    ]
  }()

  /// Puts the profile's values where nobody gave one.
  mutating func applyProfile() {
    let profile = self.unloadingProfile
    guard let task = profile.task else { return }
    let standard = UnloadingSettings()
    let applied = task.applied(to: standard)
    for key in Self.profileKeys {
      guard entries[key.name]?.origin == .standard, let value = key.value(applied),
        value.settingText != key.value(standard)?.settingText
      else { continue }
      entries[key.name] = Entry(value: value, origin: .profile(profile))
    }
  }

  /// These settings under another profile, as a rule may choose it: what people set themselves stays, and a profile of the
  /// command line does.
  ///
  /// - Throws: What does not go together then.
  public func with(profile: TaskProfile?, chosenBy who: String, at when: Int64) throws(ConfigErrors) -> Settings {
    if case .commandLine = entries[SettingKeys.shared.unloadingProfile.name]?.origin { return self }
    var result = self
    for key in Self.profileKeys {
      if case .profile = entries[key.name]?.origin, let declaration = SettingKeys.byName[key.name] {
        result.entries[key.name] = Entry(
          value: declaration.defaultValue(RuntimePaths(user: 0, environment: [:]) { _ in false }), origin: .standard)
      }
    }
    result.entries[SettingKeys.shared.unloadingProfile.name] = Entry(
      value: UnloadingProfile(profile), origin: .runtime(who: who, when: when))
    result.applyProfile()
    let errors = result.contradictions()
    guard errors.isEmpty else { throw ConfigErrors(errors) }
    return result
  }

  /// Settings that are right one by one and cannot hold together.
  func contradictions() -> [ConfigError] {
    let keys = SettingKeys.shared
    let (target, threshold, critical) = (
      keys.unloadingMemoryPressureTarget.name, keys.unloadingMemoryPressureThreshold.name,
      keys.unloadingMemoryPressureCritical.name
    )
    let (aggressive, balanced, conservative) = (
      keys.unloadingAggressiveTimeout.name, keys.unloadingBalancedTimeout.name, keys.unloadingConservativeTimeout.name
    )
    return [
      pair(target, "must be below", threshold, self.unloadingMemoryPressureTarget < self.unloadingMemoryPressureThreshold),
      pair(
        threshold, "must not be above", critical, self.unloadingMemoryPressureThreshold <= self.unloadingMemoryPressureCritical),
      pair(aggressive, "must not be above", balanced, self.unloadingAggressiveTimeout <= self.unloadingBalancedTimeout),
      pair(balanced, "must not be above", conservative, self.unloadingBalancedTimeout <= self.unloadingConservativeTimeout),
    ].compactMap { $0 } + unknownStrategies()
  }

  private func pair(_ left: String, _ words: String, _ right: String, _ holds: Bool) -> ConfigError? {
    guard !holds, let first = entries[left], let second = entries[right] else { return nil }
    let blamed = first.origin.rank > second.origin.rank ? first : second
    return ConfigError(
      code: .contradiction, source: source(of: blamed),
      message: "'\(left)' \(words) '\(right)': they are \(first.value.settingText) (\(first.origin)) and "
        + "\(second.value.settingText) (\(second.origin))")
  }

  private func unknownStrategies() -> [ConfigError] {
    let named = entries.compactMap { name, entry in (entry.value as? StrategyName).map { (name, entry, $0.name) } }
    return named.sorted { $0.0 < $1.0 }.compactMap { name, entry, strategy in
      unknownStrategyMessage(strategy).map {
        ConfigError(code: .unknownName, source: source(of: entry), message: "'\(name)' (\(entry.origin)): \($0)")
      }
    }
  }

  private func unknownStrategyMessage(_ name: String) -> String? {
    let names = UnloadingSettings(self).strategies.map(\.name)
    guard !names.contains(name) else { return nil }
    let shown = names.prefix(20).joined(separator: ", ") + (names.count > 20 ? ", ..." : "")
    return "there is no strategy '\(quotable(name))'; "
      + (nearestName(to: name, among: names).map { "did you mean '\($0)'?" } ?? "there are \(shown)")
  }

  /// Where a mistake with a value is to be mended.
  private func source(of entry: Entry) -> ConfigError.Source {
    switch entry.origin {
    case .file(let path, let line): .file(path, line: line, column: entry.column)
    case .environment(let name): .environment(name)
    case .runtime(let who, _): .runtime(who: who)
    case .commandLine(let option): .commandLine(option)
    case .profile:
      // A profile is somebody's choice too; the defaults go together.
      entries[SettingKeys.shared.unloadingProfile.name].map { source(of: $0) } ?? .file("default", line: nil, column: nil)
    case .standard: .file("default", line: nil, column: nil)
    }
  }

  /// Takes the rules of all files, when they go together and with the settings.
  ///
  /// - Parameter others: Rules whose place nobody asks for, before them.
  mutating func take(_ placed: [PlacedRule], beside others: [Rule] = []) -> [ConfigError] {
    var errors: [ConfigError] = []
    if others.count + placed.count > RuleLimits.rules {
      let first = placed[max(RuleLimits.rules - others.count, 0)]
      return [first.error(.tooLarge, first.place, "more than \(RuleLimits.rules) rules")]
    }
    var byName: [String: PlacedRule] = [:]
    for rule in placed {
      guard let first = byName[rule.rule.name] else {
        byName[rule.rule.name] = rule
        continue
      }
      let message = "rule '\(rule.rule.name)' is given more than once; first in \(first.file):\(first.place.line)"
      errors.append(rule.error(.duplicateKey, rule.place, message, field: "name"))
    }
    let known = Set(byName.keys).union(others.map(\.name))
    for rule in placed {
      for (name, place) in zip(rule.rule.after, rule.afterPlaces) where !known.contains(name) {
        let near = nearestName(to: name, among: known).map { "; did you mean '\($0)'?" } ?? ""
        errors.append(rule.error(.unknownName, place, "there is no rule '\(quotable(name))'\(near)", field: "after"))
      }
      for strategy in rule.strategies {
        if let message = unknownStrategyMessage(strategy.name) {
          errors.append(rule.error(.unknownName, strategy.place, message, field: "then"))
        }
      }
    }
    if let circle = PlacedRule.circle(placed, beside: others) { errors.append(circle) }
    guard errors.isEmpty else { return Array(errors.prefix(ConfigurationFile.complaintLimit)) }
    rules = others + placed.map(\.rule)
    ruleOrigins = byName.mapValues(\.origin)
    return []
  }
}

extension SettingOrigin {
  /// The higher one wins.
  fileprivate var rank: Int {
    switch self {
    case .standard: 0
    case .profile: 1
    case .file: 2
    case .environment: 3
    case .runtime: 4
    case .commandLine: 5
    }
  }
}

extension UnloadingSettings {
  /// What Policy is told; the profile is in it.
  public init(_ settings: Settings) {
    self.init()
    isEnabled = settings.unloadingEnabled
    strategy = settings.unloadingStrategy.name
    checkIntervalSeconds = settings.unloadingCheckInterval.inSeconds
    aggressiveTimeoutSeconds = settings.unloadingAggressiveTimeout.inSeconds
    balancedTimeoutSeconds = settings.unloadingBalancedTimeout.inSeconds
    conservativeTimeoutSeconds = settings.unloadingConservativeTimeout.inSeconds
    memoryPressureThreshold = settings.unloadingMemoryPressureThreshold.value
    memoryPressureTimeoutSeconds = settings.unloadingMemoryPressureTimeout.inSeconds
    enableMemoryPressureUnloading = settings.unloadingEnableMemoryPressureUnloading
    enableUsagePatternUnloading = settings.unloadingEnableUsagePatternUnloading
    enableUserPreferenceUnloading = settings.unloadingEnableUserPreferenceUnloading
    enableAdaptiveUnloading = settings.unloadingEnableAdaptiveUnloading
    performanceImpactTracking = settings.unloadingPerformanceImpactTracking
    isDryRun = settings.unloadingDryRun
    maxUnloadsPerCycle = settings.unloadingMaxUnloadsPerCycle
    minMemorySavingsThreshold = settings.unloadingMinMemorySavingsThreshold
    memoryPressureTarget = settings.unloadingMemoryPressureTarget.value
    memoryPressureCritical = settings.unloadingMemoryPressureCritical.value
    moduleCacheLimit = settings.unloadingModuleCacheLimit
    regretWindowSeconds = settings.unloadingRegretWindow.inSeconds
    for key in settings.namedDeclarations {
      let parts = SettingPath(text: key.name).parts
      switch settings.entries[key.name]?.value {
      case let timeout as Duration:
        customStrategies.append(UnloadingStrategy(name: parts[2], timeoutSeconds: timeout.inSeconds))
      case let strategy as StrategyName: preferences[parts[2], default: UnitPreference()].strategy = strategy.name
      case let allowed as Bool: preferences[parts[2], default: UnitPreference()].allowUnload = allowed
      case let unitClass as UnitClass: preferences[parts[2], default: UnitPreference()].unitClass = unitClass
      default: break
      }
    }
  }
}
