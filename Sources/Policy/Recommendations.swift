import Model

/// What is recommended, from figures that others have measured: no clock, no input.
public struct RecommendationPolicy: Sendable {
  public var settings: UnloadingSettings

  public init(settings: UnloadingSettings) { self.settings = settings }

  /// - Parameter unloads: Nil without a journal.
  /// - Returns: The most urgent first; by kind, then as given.
  public func recommendations(
    unloads: UnloadWindow?, threads: [ThreadObservation], heaps: [HeapObservation], copies: [ComparisonReading]
  ) -> [Recommendation] {
    let all =
      (unloads.map { about($0) } ?? []) + ThreadAdvice.contentions(threads).map { .threadOversubscription($0) }
      + heaps.compactMap { HeapAdvice.free($0) }.sorted { ($1.free, $0.process.pid) < ($0.free, $1.process.pid) }
      .map { .freeHeap($0) }
      + copies.flatMap { CopyAdvice.copies($0) }.sorted {
        ($1.duplicate, $0.processes[0].pid) < ($0.duplicate, $1.processes[0].pid)
      }
      .map { .copies($0) }
    return Recommendation.Priority.allCases.flatMap { priority in all.filter { $0.priority == priority } }
  }

  /// Below this share of successes something in the order or the dependencies keeps units in memory.
  public static let leastSuccessRate = 0.8

  /// An hour has room for so many idle times of the conservative strategy: what goes more often would go less often under it.
  var mostUnloadsPerHour: Double { 3600 / max(settings.conservativeTimeoutSeconds, 1) }

  private func about(_ window: UnloadWindow) -> [Recommendation] {
    guard window.unloads >= UnloadWindow.recommendedUnloads else { return [] }
    var found: [Recommendation] = []
    if let rate = window.successRate, rate < Self.leastSuccessRate { found.append(.lowSuccessRate(window)) }
    // Each was promised to bring as much at least.
    if let freed = window.averageFreed, freed < settings.minMemorySavingsThreshold {
      found.append(.lowMemorySavings(window, minimum: settings.minMemorySavingsThreshold))
    }
    if let often = window.unloadsPerUnitAndHour, often > mostUnloadsPerHour {
      found.append(.highUnloadFrequency(window, limit: mostUnloadsPerHour))
    }
    return found
  }
}
