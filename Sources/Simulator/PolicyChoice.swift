import Model

/// A policy by the name under which it is compared.
public struct PolicyChoice: Sendable {
  /// What makes it hold more or less memory, for comparisons at equal memory.
  public enum Knob: Sendable {
    /// The limit itself.
    case limit
    /// A time in seconds.
    case seconds(@Sendable (Double) -> PolicyChoice)
  }

  public let name: String
  /// One line for people.
  public let summary: String
  public let knob: Knob
  /// The policies to try; the one with the fewest reload seconds counts. More than one only where the future is known.
  public let candidates: @Sendable (Trace) -> [any EvictionPolicy]

  public init(
    _ name: String, _ summary: String, knob: Knob = .limit, candidates: @escaping @Sendable (Trace) -> [any EvictionPolicy]
  ) {
    self.name = name
    self.summary = summary
    self.knob = knob
    self.candidates = candidates
  }

  /// The supervisor's, with these settings.
  public static func mlos(_ settings: UnloadingSettings = .init(), name: String = "mlos") -> PolicyChoice {
    PolicyChoice(name, "what the supervisor decides") { [SupervisedPolicy($0, settings: settings)] }
  }

  /// The supervisor's order alone: unloads only what a load that waits lacks, as the peers do.
  public static let mlosOnDemand: PolicyChoice = {
    var settings = UnloadingSettings()
    settings.memoryPressureThreshold = 1
    settings.memoryPressureTarget = 1
    settings.memoryPressureCritical = 1
    settings.enableUsagePatternUnloading = false
    settings.enableUserPreferenceUnloading = false
    settings.enableAdaptiveUnloading = false
    let choice = mlos(settings)
    return PolicyChoice("mlos-on-demand", "the supervisor's order, only when a load lacks memory", candidates: choice.candidates)
  }()

  public static let lru = PolicyChoice("lru", "least recently used first") { _ in [LeastRecentlyUsed()] }
  public static let lfu = PolicyChoice("lfu", "least frequently used first, with aging") { [LeastFrequentlyUsed($0)] }
  public static let gdsf = PolicyChoice("gdsf", "GreedyDual-Size-Frequency") { [GreedyDualSizeFrequency($0)] }
  public static let modelMesh = PolicyChoice("modelmesh", "least recently used, loads refused when the oldest is young") { _ in
    [ModelMesh()]
  }

  public static func idle(seconds: Double = 300) -> PolicyChoice {
    PolicyChoice("idle-timeout", "after a time without use, memory or not", knob: .seconds { idle(seconds: $0) }) { _ in
      [IdleTimeout(seconds: seconds)]
    }
  }

  public static func ollama(keepAlive: Double = 300) -> PolicyChoice {
    PolicyChoice("ollama", "idle timeout; by configured keep-alive, then name", knob: .seconds { ollama(keepAlive: $0) }) { _ in
      [OllamaRule(keepAliveSeconds: keepAlive, order: .configured)]
    }
  }

  public static func shortestKeepAlive(keepAlive: Double = 300) -> PolicyChoice {
    PolicyChoice(
      "shortest-left", "idle timeout; the shortest keep-alive left first", knob: .seconds { shortestKeepAlive(keepAlive: $0) }
    ) { _ in [OllamaRule(keepAliveSeconds: keepAlive, order: .left)] }
  }

  /// The best of three rules that know the future.
  public static let clairvoyant = PolicyChoice("clairvoyant", "Belady's rule with costs and sizes: knows the future") { trace in
    Clairvoyant.Weight.allCases.map { Clairvoyant(trace, weight: $0) }
  }

  /// What people use today, and what is known to be good.
  public static let peers: [PolicyChoice] = [lru, lfu, idle(), ollama(), shortestKeepAlive(), modelMesh, gdsf]
  public static let all: [PolicyChoice] = [mlos(), mlosOnDemand] + peers + [clairvoyant]

  /// Nil for an unknown name.
  public static func named(_ name: String) -> PolicyChoice? { all.first { $0.name == name } }
}
