import Model

/// Least recently used first, only when memory lacks. What most caches do.
public struct LeastRecentlyUsed: EvictionPolicy {
  public init() {}

  public mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] {
    memory.victims(freeing: memory.excess, at: now) { memory.lastUsed($0, at: now) ?? 0 }
  }
}

/// Unloads what was idle for a time and does nothing when memory lacks: a timer a unit, as `keep_alive` is used.
public struct IdleTimeout: EvictionPolicy {
  public var seconds: Double

  /// - Parameter seconds: Five minutes is Ollama's default (envconfig/config.go, `KeepAlive`).
  public init(seconds: Double = 300) { self.seconds = seconds }

  public mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] {
    Self.expired(memory, at: now, after: seconds)
  }

  public func wake(_ memory: SimulatedMemory, after now: Double) -> Double? {
    Self.nextExpiry(memory, after: seconds)
  }

  /// Dependents before what they need.
  static func expired(_ memory: SimulatedMemory, at now: Double, after seconds: Double) -> [Int] {
    var dependents = memory.loadedDependents
    var result: [Int] = []
    // A unit's needs have smaller indexes: seen from the end, its dependents were decided before it.
    for unit in memory.units.indices.reversed() where memory.isLoaded[unit] && dependents[unit] == 0 {
      guard !memory.isBusy(unit, at: now), let end = memory.busyUntil[unit], end + seconds <= now else { continue }
      result.append(unit)
      for need in memory.units[unit].needs { dependents[need] -= 1 }
    }
    return result
  }

  static func nextExpiry(_ memory: SimulatedMemory, after seconds: Double) -> Double? {
    var result: Double?
    for unit in memory.units.indices where memory.isLoaded[unit] && memory.loadedDependents[unit] == 0 {
      guard let end = memory.busyUntil[unit] else { continue }
      result = min(result ?? .infinity, end + seconds)
    }
    return result
  }
}

/// Ollama: a unit goes when its keep-alive has run out, and when a load lacks memory, one idle unit after another goes, the
/// shortest keep-alive first.
///
/// github.com/ollama/ollama, server/sched.go at fb307609: `findRunnerToUnload` sorts by `ByDurationAndName`, which compares
/// `sessionDuration` - the keep-alive that was asked for, not what is left of it - and then the name; it takes the first that is
/// idle. Where none is idle it waits for the first; here the load then goes over the limit instead.
public struct OllamaRule: EvictionPolicy {
  /// What is compared when a load lacks memory.
  public enum Order: Hashable, Sendable {
    /// As the source has it. Where all have the same keep-alive, the name alone decides.
    case configured
    /// What is left of it, as the rule is often described; with one keep-alive for all this is least recently used first.
    case left
  }

  public var keepAliveSeconds: Double
  public var order: Order

  public init(keepAliveSeconds: Double = 300, order: Order = .configured) {
    self.keepAliveSeconds = keepAliveSeconds
    self.order = order
  }

  public mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] {
    let expired = IdleTimeout.expired(memory, at: now, after: keepAliveSeconds)
    guard expired.isEmpty else { return expired }
    guard memory.wanted > .zero, memory.excess > .zero else { return [] }
    let victims = memory.victims(freeing: Bytes(1), at: now) { unit in
      switch order {
      case .configured: keepAliveSeconds
      case .left: keepAliveSeconds - (now - (memory.lastUsed(unit, at: now) ?? 0))
      }
    }
    return victims
  }

  public func wake(_ memory: SimulatedMemory, after now: Double) -> Double? {
    IdleTimeout.nextExpiry(memory, after: keepAliveSeconds)
  }
}

/// ModelMesh: least recently used first, but when the cache is full and its oldest unit was used within the minimum churn age,
/// the load is sent elsewhere rather than let the cache turn over.
///
/// github.com/kserve/modelmesh at ea13cdc5, ModelMesh.java: "limit the rate of cache churn" before a local load compares
/// `runtimeCache.oldestTime()` with `minChurnAgeMs`, ten minutes by default. The other machine's load is counted as a reload.
public struct ModelMesh: EvictionPolicy {
  public var minimumAgeSeconds: Double
  private var lru = LeastRecentlyUsed()

  public init(minimumAgeSeconds: Double = 600) { self.minimumAgeSeconds = minimumAgeSeconds }

  public mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] { lru.evict(memory, at: now) }

  public mutating func refusesLoad(_ memory: SimulatedMemory, at now: Double) -> Bool {
    var oldest: Double?
    for unit in memory.units.indices where memory.isLoaded[unit] {
      oldest = min(oldest ?? .infinity, memory.lastUsed(unit, at: now) ?? 0)
    }
    return oldest.map { now - $0 < minimumAgeSeconds } ?? false
  }
}
