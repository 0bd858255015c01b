import Model

/// Packages that several processes hold: a page that all of them map comes back only when all let go, so they go together or not
/// at all. While one of the holders uses it only what a process has for itself is counted, and goes by itself.
struct SharedUnits {
  /// 10 s: a holder that used it more lately is not asked to let go together with the others.
  static let idleSeconds = 10.0

  /// Those that go together need each other, and have their share of the common pages as bytes.
  private(set) var units: [UnitObservation]
  /// For each unit that goes together with others what all of them bring back.
  private(set) var totals: [Bytes?]
  private var groups: [[Int]] = []

  init(_ units: [UnitObservation], at now: Instant) {
    self.units = units
    totals = Array(repeating: nil, count: units.count)
    var byName: [String: [Int]] = [:]
    for (index, unit) in units.enumerated() where unit.unit.kind == .package && unit.isLoaded && unit.together != nil {
      byName[unit.unit.name, default: []].append(index)
    }
    for (_, members) in byName.sorted(by: { $0.key < $1.key }) where members.count > 1 {
      if members.allSatisfy({ Self.isIdle(units[$0], at: now) }) { join(members) }
    }
  }

  private static func isIdle(_ unit: UnitObservation, at now: Instant) -> Bool {
    guard unit.busy == nil, let since = [unit.lastUsed, unit.loadedAt].compactMap(\.self).max() else { return false }
    return now.seconds(since: since) >= idleSeconds
  }

  private mutating func join(_ members: [Int]) {
    let total = members.reduce(Bytes.zero) { $0 + (units[$1].together?.bytes ?? .zero) }
    for index in members {
      guard let together = units[index].together else { continue }
      units[index].bytes = together.bytes
      units[index].reloadSeconds = together.reloadSeconds
      units[index].needs += members.filter { $0 != index }.map { units[$0].unit }
      totals[index] = total
    }
    groups.append(members)
  }

  /// All of a group count as the dearest of them: who needs it most pays for it.
  func level(_ judged: inout [JudgedUnit]) {
    for members in groups {
      let least = members.compactMap { judged[$0].figures.score }.min()
      for index in members { judged[index].figures.score = least }
    }
  }
}
