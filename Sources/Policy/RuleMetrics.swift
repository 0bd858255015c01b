import Model

/// What rules are judged by at one moment. A figure that nobody measured is not in it.
public struct RuleMetrics: Hashable, Sendable {
  private var values: [RuleMetric: Double] = [:]

  public init() {}

  /// In the metric's base unit. Nil for what is not known, and for what is no number.
  public subscript(metric: RuleMetric) -> Double? {
    get { values[metric].flatMap { $0.isFinite ? $0 : nil } }
    set { values[metric] = newValue }
  }

  /// The metrics a snapshot knows: memory, and the packages, plugins and models in it. Where a figure of one process is not
  /// known, that of all together is not either.
  public init(_ snapshot: Snapshot, at now: Instant) {
    if let memory = snapshot.memory, memory.limit > .zero {
      self[.machine(.memoryLevel)] = memory.share
      self[.machine(.memoryUsed)] = Double(memory.used.count)
      self[.machine(.memoryAvailable)] = Double((memory.limit - memory.used).count)
      self[.machine(.memoryStall)] = memory.stall
    }
    var packages: [String: PackageSum] = [:]
    for observed in snapshot.units where observed.unit.kind != .closedModule && observed.unit.kind != .heap {
      packages[observed.unit.name, default: PackageSum()].add(observed, at: now)
    }
    for (name, sum) in packages {
      self[.package(name, .loaded)] = Double(sum.loaded)
      self[.package(name, .bytes)] = sum.bytes.map { Double($0.count) }
      self[.package(name, .idle)] = sum.loaded > 0 ? sum.idleSeconds : nil
    }
  }
}

/// Units of one name, added up.
private struct PackageSum {
  var loaded = 0
  /// Nil once one of them is not known.
  var bytes: Bytes? = .zero
  /// The least; nil once one of them is not known.
  var idleSeconds: Double? = .infinity

  mutating func add(_ observed: UnitObservation, at now: Instant) {
    guard observed.isLoaded else { return }
    loaded += 1
    bytes = bytes.flatMap { sum in observed.bytes.map { sum + $0 } }
    idleSeconds = idleSeconds.flatMap { least in observed.lastUsed.map { min(least, now.seconds(since: $0)) } }
  }
}
