import Model

/// What is in memory at one moment of a simulation. Policies read it; only the engine changes it.
public struct SimulatedMemory: Sendable {
  public let units: [Trace.Unit]
  /// For each unit, what a use of it needs in memory, itself last.
  public let closures: [[Int]]
  public let limit: Bytes

  public internal(set) var held: Bytes = .zero
  /// What a load that waits needs; zero when none waits.
  public internal(set) var wanted: Bytes = .zero
  public internal(set) var isLoaded: [Bool]
  /// When its present or latest use ends; nil when it was never used.
  public internal(set) var busyUntil: [Double?]
  public internal(set) var loadedAt: [Double]
  /// Needed by the load that waits.
  var isPinned: [Bool]
  /// Loaded units that name it in their needs.
  var loadedDependents: [Int]

  init(_ trace: Trace, limit: Bytes) {
    units = trace.units
    closures = trace.closures
    self.limit = limit
    isLoaded = Array(repeating: false, count: units.count)
    busyUntil = Array(repeating: nil, count: units.count)
    loadedAt = Array(repeating: 0, count: units.count)
    isPinned = isLoaded
    loadedDependents = Array(repeating: 0, count: units.count)
  }

  /// What must go for everything, the load that waits included, to fit.
  public var excess: Bytes { held + wanted - limit }

  public func isBusy(_ unit: Int, at now: Double) -> Bool { isPinned[unit] || (busyUntil[unit] ?? -1) > now }

  /// The end of its latest use, `now` while that lasts; nil when it was never used.
  public func lastUsed(_ unit: Int, at now: Double) -> Double? { busyUntil[unit].map { min($0, now) } }

  /// In memory, not in use, and nothing that is loaded needs it.
  public func isEvictable(_ unit: Int, at now: Double) -> Bool {
    isLoaded[unit] && loadedDependents[unit] == 0 && !isBusy(unit, at: now)
  }

  /// Evictable units, the smallest key first, until `bytes` would come back; with a unit gone, what only it needed may follow.
  /// Equal keys go by the units' names.
  public func victims(freeing bytes: Bytes, at now: Double, by key: (Int) -> Double) -> [Int] {
    guard bytes > .zero else { return [] }
    var dependents = loadedDependents
    var candidates = units.indices.filter { isEvictable($0, at: now) }
    var result: [Int] = []
    var freed = Bytes.zero
    while freed < bytes {
      let best = candidates.min { left, right in
        let keys = (key(left), key(right))
        return keys.0 != keys.1 ? keys.0 < keys.1 : units[left].name < units[right].name
      }
      guard let best else { break }
      candidates.removeAll { $0 == best }
      result.append(best)
      freed += units[best].bytes
      for need in units[best].needs {
        dependents[need] -= 1
        if dependents[need] == 0, isLoaded[need], !isBusy(need, at: now) { candidates.append(need) }
      }
    }
    return result
  }

  mutating func load(_ unit: Int, at now: Double) {
    isLoaded[unit] = true
    loadedAt[unit] = now
    held += units[unit].bytes
    for need in units[unit].needs { loadedDependents[need] += 1 }
  }

  mutating func unload(_ unit: Int) {
    isLoaded[unit] = false
    held = held - units[unit].bytes
    for need in units[unit].needs { loadedDependents[need] -= 1 }
  }
}
