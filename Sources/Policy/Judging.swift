import Model

/// One unit by itself, before the others are looked at.
struct JudgedUnit {
  var figures: JudgementFigures
  /// Why it must stay whatever happens; nil when it may go.
  var obstacle: KeepReason?
  /// Why it goes without want of memory; nil when it does not.
  var idleReason: UnloadReason?
  /// Why not, when it does not.
  var idleObstacle = KeepReason.inUse
}

extension UnloadingPolicy {
  /// Times of idleness count by this much at each level, where adaptive unloading is on.
  static func adaptiveFactor(_ level: PressureLevel) -> Double {
    switch level {
    case .low, .medium: 1
    case .high: 0.5
    case .critical: 0.25
    }
  }

  /// - Parameter total: What all bring back that go together with it; nil when it goes by itself.
  func judge(_ unit: UnitObservation, total: Bytes? = nil, level: PressureLevel, horizon: Double, at now: Instant) -> JudgedUnit {
    let preference = settings.preferences[unit.unit.name] ?? UnitPreference()
    let entry = known[unit.unit]
    let since = [unit.lastUsed, unit.loadedAt].compactMap(\.self).max()
    let idle = since.map { now.seconds(since: $0) }
    let strategy = strategy(preference)
    let regret = entry?.regret.factor(at: now) ?? 1
    let history = entry?.history ?? ReuseHistory()
    let probability = history.probability(idle: idle ?? 0, within: settings.regretWindowSeconds, prior: prior)
    let soon = history.probability(idle: idle ?? 0, within: horizon, prior: prior, popularity: true)
    let reload = unit.reloadSeconds.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    let isHeap = unit.unit.kind == .heap
    let timeouts = Timeouts(
      strategy: strategy, settings: settings, level: level, regret: regret, mayGoEarly: preference.allowUnload == true)
    let figures = JudgementFigures(
      idleSeconds: idle, timeoutSeconds: timeouts.effective, strategy: strategy.name, bytes: unit.bytes,
      reloadSeconds: reload, reuseProbability: probability, regret: regret,
      score: unit.bytes.map {
        score(
          $0, reloadSeconds: isHeap ? reload ?? assumedHeapReload($0) : reload, regret: min(regret, Regret.largestInScore),
          probability: soon)
      },
      unitClass: preference.unitClass ?? .important)
    var judged = JudgedUnit(figures: figures, obstacle: obstacle(unit, total, preference, entry, at: now))
    decideIdleness(&judged, timeouts, level: level, mayBeExpected: !isHeap)
    return judged
  }

  /// Its own, the default, or balanced where the name means nothing any more.
  private func strategy(_ preference: UnitPreference) -> UnloadingStrategy {
    preference.strategy.flatMap(settings.strategy(named:)) ?? settings.strategy(named: settings.strategy)
      ?? UnloadingStrategy(name: "balanced", timeoutSeconds: settings.balancedTimeoutSeconds)
  }

  private func obstacle(
    _ unit: UnitObservation, _ total: Bytes?, _ preference: UnitPreference, _ entry: Remembered?, at now: Instant
  ) -> KeepReason? {
    guard settings.isEnabled else { return .disabled }
    guard unit.isLoaded else { return .notLoaded }
    if preference.allowUnload == false { return .userPreference }
    if preference.unitClass == .critical { return .critical }
    if let busy = unit.busy { return .busy(busy) }
    if entry?.asked != nil { return .underWay }
    if let obstacle = entry?.vain.obstacle(at: now) { return obstacle }
    guard let bytes = total ?? unit.bytes else { return .bytesUnknown }
    // A closed module is kept for its own sake only: how small it is says nothing.
    let minimum = max(settings.minMemorySavingsThreshold, Bytes(1))
    if bytes < minimum, unit.unit.kind != .closedModule { return .savingsTooSmall(minimum: minimum) }
    return nil
  }

  private func decideIdleness(
    _ judged: inout JudgedUnit, _ timeouts: Timeouts, level: PressureLevel, mayBeExpected: Bool
  ) {
    guard let idle = judged.figures.idleSeconds else {
      judged.idleObstacle = .useUnknown
      return
    }
    guard idle >= timeouts.effective else { return }
    if settings.enableAdaptiveUnloading, level <= .medium, judged.figures.reuseProbability >= Self.expectedProbability,
      idle < 2 * timeouts.effective, mayBeExpected
    {
      judged.idleObstacle = .expectedSoon
      return
    }
    judged.idleReason = timeouts.reason(idle: idle, level: level)
  }

  /// What new pages take where nobody measured it.
  private func assumedHeapReload(_ bytes: Bytes) -> Double { Double(bytes.count) / Self.assumedHeapBytesPerSecond }

  /// Bytes back for a second of expected reloading.
  func score(_ bytes: Bytes, reloadSeconds: Double?, regret: Double, probability: Double) -> Double {
    let assumed = max(0.01, Double(bytes.count) / Self.assumedBytesPerSecond)
    let cost = reloadSeconds ?? assumed
    return Double(bytes.count) / (max(cost, 0.001) * regret * max(probability, 1e-6))
  }
}

/// After how many seconds of idleness a unit goes, and whose doing that is.
struct Timeouts {
  var strategyName: String
  /// The strategy's, raised by regret; nil where units do not go for idleness.
  var usage: Double?
  /// The same at the level of memory there is; nil where that makes no difference.
  var adaptive: Double?
  /// For what the user said may go.
  var preferred: Double?
  var effective: Double

  init(strategy: UnloadingStrategy, settings: UnloadingSettings, level: PressureLevel, regret: Double, mayGoEarly: Bool) {
    strategyName = strategy.name
    if settings.enableUsagePatternUnloading {
      let usage = max(strategy.timeoutSeconds, 1) * regret
      self.usage = usage
      let factor = UnloadingPolicy.adaptiveFactor(level)
      if settings.enableAdaptiveUnloading, factor < 1 { adaptive = usage * factor }
    }
    if settings.enableUserPreferenceUnloading, mayGoEarly { preferred = settings.aggressiveTimeoutSeconds * regret }
    effective = [usage, adaptive, preferred].compactMap(\.self).min() ?? .infinity
  }

  /// The mildest that explains it.
  func reason(idle: Double, level: PressureLevel) -> UnloadReason {
    if let usage, idle >= usage { return .usagePattern(strategyName) }
    if let preferred, idle >= preferred { return .userPreference }
    return .adaptive(level)
  }
}
