/// How long a unit may be idle before it goes.
public struct UnloadingStrategy: Hashable, Sendable {
  /// Lower case: `balanced`.
  public var name: String
  /// Above zero.
  public var timeoutSeconds: Double

  public init(name: String, timeoutSeconds: Double) {
    self.name = name
    self.timeoutSeconds = timeoutSeconds
  }
}

/// What a user set for all units of one name.
public struct UnitPreference: Hashable, Sendable {
  /// Nil: the default strategy.
  public var strategy: String?
  /// False: never unloaded. True: may go early. Nil: as every other.
  public var allowUnload: Bool?
  /// Nil: important.
  public var unitClass: UnitClass?

  public init(strategy: String? = nil, allowUnload: Bool? = nil, unitClass: UnitClass? = nil) {
    self.strategy = strategy
    self.allowUnload = allowUnload
    self.unitClass = unitClass
  }
}

/// Everything that Policy is told by people. The first part carries the names and defaults of `lazy_loading_unloading_*`.
public struct UnloadingSettings: Hashable, Sendable {
  public var isEnabled = true
  /// What is decided is recorded and not carried out.
  public var isDryRun = false
  /// Name of the strategy for units without one of their own.
  public var strategy = "balanced"
  public var checkIntervalSeconds = 60.0
  public var aggressiveTimeoutSeconds = 300.0
  public var balancedTimeoutSeconds = 900.0
  public var conservativeTimeoutSeconds = 1800.0
  public var memoryPressureThreshold = 0.8
  public var memoryPressureTimeoutSeconds = 60.0
  public var enableMemoryPressureUnloading = true
  public var enableUsagePatternUnloading = true
  public var enableUserPreferenceUnloading = true
  public var enableAdaptiveUnloading = true
  public var performanceImpactTracking = true
  public var maxUnloadsPerCycle = 5
  public var minMemorySavingsThreshold = Bytes.mebibytes(1)

  /// Pressure unloading ends at this share of the limit.
  public var memoryPressureTarget = 0.7
  /// Beyond this share it begins at once, whatever was held for how long.
  public var memoryPressureCritical = 0.85
  /// Closed modules that are kept at most.
  public var moduleCacheLimit = 100
  /// A unit that is needed again within this time should not have gone.
  public var regretWindowSeconds = 600.0
  /// The user's own, beside the three.
  public var customStrategies: [UnloadingStrategy] = []
  /// By name of the units.
  public var preferences: [String: UnitPreference] = [:]

  public init() {}

  /// The three and the user's own, by name. A user's own cannot take the place of one of the three.
  public var strategies: [UnloadingStrategy] {
    [
      UnloadingStrategy(name: "aggressive", timeoutSeconds: aggressiveTimeoutSeconds),
      UnloadingStrategy(name: "balanced", timeoutSeconds: balancedTimeoutSeconds),
      UnloadingStrategy(name: "conservative", timeoutSeconds: conservativeTimeoutSeconds),
    ] + customStrategies
  }

  /// Whatever its case; nil for an unknown name.
  public func strategy(named name: String) -> UnloadingStrategy? {
    let name = name.lowercased()
    return strategies.first { $0.name == name }
  }
}

/// Sets several of the settings together for one kind of work.
public enum TaskProfile: String, Hashable, Sendable, Codable, CaseIterable {
  /// Few units, used often: what is used stays, what is not goes soon.
  case inference
  /// Long phases: what was loaded for the run stays.
  case training
  /// Bursts with pauses between them.
  case analysis

  /// The settings as the profile has them; what a profile does not speak of stays.
  public func applied(to settings: UnloadingSettings) -> UnloadingSettings {
    var result = settings
    switch self {
    case .inference:
      result.strategy = "balanced"
      result.memoryPressureThreshold = 0.75
      result.memoryPressureTarget = 0.65
      result.maxUnloadsPerCycle = 3
    case .training:
      result.strategy = "conservative"
      result.memoryPressureThreshold = 0.9
      result.memoryPressureTarget = 0.85
      result.memoryPressureCritical = 0.95
      result.maxUnloadsPerCycle = 2
    case .analysis:
      result.strategy = "aggressive"
      result.memoryPressureThreshold = 0.8
      result.memoryPressureTarget = 0.6
      result.maxUnloadsPerCycle = 10
    }
    return result
  }
}
