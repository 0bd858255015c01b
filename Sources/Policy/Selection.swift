import Model

/// Chooses among units that may go: the order, the limits, and what must go together.
struct Selection {
  let units: [UnitObservation]
  let judged: [JudgedUnit]
  let order: DependencyOrder
  let settings: UnloadingSettings

  private(set) var decisions: [Decision] = []
  /// For each unit why it goes; nil when it does not.
  private var reasons: [UnloadReason?]
  /// Why a unit that might have gone stays, when it is not its own doing.
  private var passedOver: [KeepReason?]
  /// What goes along with others, and those: taken back together or not, so not at all.
  private var bound: Set<Int> = []
  /// Those that count against the limit of a cycle.
  private var counted = 0

  init(units: [UnitObservation], judged: [JudgedUnit], order: DependencyOrder, settings: UnloadingSettings) {
    self.units = units
    self.judged = judged
    self.order = order
    self.settings = settings
    reasons = Array(repeating: nil, count: units.count)
    passedOver = Array(repeating: nil, count: units.count)
  }

  /// One verdict for each unit.
  func judgements() -> [Judgement] {
    units.indices.map { index in
      let unit = judged[index]
      let verdict: Judgement.Verdict =
        if let reason = reasons[index] {
          .unload(reason)
        } else {
          .keep(unit.obstacle ?? passedOver[index] ?? unit.idleObstacle)
        }
      return Judgement(unit: units[index].unit, verdict: verdict, figures: unit.figures)
    }
  }

  /// What was asked for by name.
  mutating func take(requests: [ReclaimUnit: UnloadReason]) {
    guard !requests.isEmpty else { return }
    let units = units
    pick(from: units.indices.filter { requests[units[$0].unit] != nil }) { requests[units[$0].unit] ?? .manual }
  }

  /// Closed modules beyond what the cache may hold, the longest unused first. The bound is one: no cycle's limit holds it up.
  mutating func takeClosedModules() {
    let closed = units.indices.filter { units[$0].unit.kind == .closedModule && units[$0].isLoaded && reasons[$0] == nil }
    let excess = closed.count - max(settings.moduleCacheLimit, 0)
    guard excess > 0 else { return }
    let oldest = closed.filter { judged[$0].obstacle == nil }
      .sorted { (-(judged[$0].figures.idleSeconds ?? 0), $0) < (-(judged[$1].figures.idleSeconds ?? 0), $1) }
    for index in oldest.prefix(excess)
    where order.members[order.group[index]].count == 1 && blockers(of: order.group[index]).isEmpty {
      add(index, .cacheLimit(settings.moduleCacheLimit))
    }
  }

  /// As many as bring back `wanted`, and none that this could do without.
  mutating func take(forPressure level: PressureLevel, wanted: Bytes) {
    let first = decisions.count
    let taken = decisions.reduce(Bytes.zero) { $0 + $1.predicted }
    let missing = wanted - taken
    if missing > .zero { pick(from: Array(units.indices), until: missing) { _ in .memoryPressure(level) } }
    drop(from: first, beyond: missing)
    let kept: KeepReason =
      missing == .zero || sum(from: first) >= missing ? .targetReached : .cycleFull(settings.maxUnloadsPerCycle)
    for index in units.indices where reasons[index] == nil && passedOver[index] == nil { passedOver[index] = kept }
  }

  /// Those whose time is over.
  mutating func takeIdle() {
    let judged = judged
    pick(from: units.indices.filter { judged[$0].idleReason != nil }, mayFollow: { judged[$0].idleReason != nil }) {
      judged[$0].idleReason ?? .usagePattern("balanced")
    }
  }

  /// What has the higher priority first, as far as what needs each other allows: a unit keeps its place behind those that need it.
  func decisionsByPriority() -> [Decision] {
    var rest = decisions
    var result: [Decision] = []
    while !rest.isEmpty {
      let able = rest.indices.filter { place in
        !rest[..<place].contains { earlier in needs(earlier.unit, rest[place].unit) }
      }
      guard let next = able.max(by: { (rest[$0].reason.priority, -$0) < (rest[$1].reason.priority, -$1) }) else { break }
      result.append(rest.remove(at: next))
    }
    return result
  }

  /// Whether the first needs the second.
  private func needs(_ one: ReclaimUnit, _ other: ReclaimUnit) -> Bool {
    guard let user = units.firstIndex(where: { $0.unit == one }), let used = units.firstIndex(where: { $0.unit == other })
    else { return false }
    return order.dependents[used].contains(user)
  }

  // MARK: - Picking

  /// What nobody holds anything in; then the class that goes first, then bytes back for a second of expected reloading, then the
  /// name.
  private func goesFirst(_ left: Int, _ right: Int) -> Bool {
    // A page of a file that goes may be read again from a disk; free heap costs page faults when it is wanted again.
    let isFree = units[left].unit.kind == .heap
    if isFree != (units[right].unit.kind == .heap) { return isFree }
    let (one, other) = (judged[left].figures, judged[right].figures)
    if one.unitClass != other.unitClass { return one.unitClass > other.unitClass }
    let (score, otherScore) = (one.score ?? 0, other.score ?? 0)
    return score != otherScore ? score > otherScore : left < right
  }

  /// Takes groups in the best order in which nothing goes before what needs it.
  ///
  /// - Parameter mayFollow: Whether a unit that is too small to go for its own sake may go with one that it needs.
  private mutating func pick(
    from candidates: [Int], until wanted: Bytes? = nil, mayFollow: (Int) -> Bool = { _ in true }, reason: (Int) -> UnloadReason
  ) {
    let able = candidates.filter { judged[$0].obstacle == nil && reasons[$0] == nil }.sorted(by: goesFirst)
    var rest = able.map { order.group[$0] }.unique()
    let isCandidate = Set(able)
    var reached = Bytes.zero
    var progress = true
    while progress {
      progress = false
      for (place, group) in rest.enumerated() {
        if let wanted, reached >= wanted { return }
        let members = order.members[group].filter { units[$0].isLoaded && reasons[$0] == nil }
        // Units that need each other go together or not at all.
        guard members.allSatisfy({ isCandidate.contains($0) }), let small = companions(of: group, mayFollow) else { continue }
        // A package that goes in several processes at once is one.
        let weight = Set((small + members).map { ReclaimUnit(units[$0].unit.kind, units[$0].unit.name) }).count
        guard counted + weight <= settings.maxUnloadsPerCycle else {
          for member in members { passedOver[member] = .cycleFull(settings.maxUnloadsPerCycle) }
          continue
        }
        if !small.isEmpty { bound.formUnion(small + members) }
        for companion in small { add(companion, members.first.map(reason) ?? reason(companion)) }
        for member in members { add(member, reason(member)) }
        reached = (small + members).reduce(reached) { $0 + (units[$1].bytes ?? .zero) }
        counted += weight
        rest.remove(at: place)
        // What it needed may be free now, and better than what comes next.
        progress = true
        break
      }
    }
    for group in rest {
      for member in order.members[group] where isCandidate.contains(member) && passedOver[member] == nil {
        let needing = blockers(of: group) + order.members[group].filter { !isCandidate.contains($0) && units[$0].isLoaded }
        if !needing.isEmpty { passedOver[member] = .neededBy(needing.sorted().map { units[$0].unit }) }
      }
    }
  }

  private mutating func add(_ index: Int, _ reason: UnloadReason) {
    reasons[index] = reason
    passedOver[index] = nil
    decisions.append(
      Decision(unit: units[index].unit, reason: reason, predicted: units[index].bytes ?? .zero, figures: judged[index].figures))
  }

  /// Loaded units that need a member of the group and stay. A package of which nothing is left in memory has gone already.
  private func blockers(of group: Int) -> [Int] {
    order.dependents(ofGroup: group).filter { index in
      let unit = units[index]
      return unit.isLoaded && reasons[index] == nil
        && !(unit.unit.kind == .package && unit.bytes == .zero && unit.together == nil)
    }
  }

  /// What needs the group and would stay only because it is too small to be worth it: it goes along, before the group.
  ///
  /// - Returns: Nil when something else stands in the way.
  private func companions(of group: Int, _ mayFollow: (Int) -> Bool) -> [Int]? {
    var found: [Int] = []
    var seen: Set<Int> = [group]
    func visit(_ group: Int) -> Bool {
      for blocker in blockers(of: group) {
        let theirs = order.group[blocker]
        guard seen.insert(theirs).inserted else { continue }
        let members = order.members[theirs].filter { units[$0].isLoaded && reasons[$0] == nil }
        guard members.allSatisfy({ isOnlySmall($0) && mayFollow($0) }), visit(theirs) else { return false }
        found += members
      }
      return true
    }
    return visit(group) ? found : nil
  }

  private func isOnlySmall(_ index: Int) -> Bool {
    if case .savingsTooSmall? = judged[index].obstacle { true } else { false }
  }

  private func sum(from first: Int) -> Bytes {
    decisions[first...].reduce(Bytes.zero) { $0 + $1.predicted }
  }

  /// Takes back what is not needed to reach the target, the dearest first: a large unit that came last may make small ones
  /// before it needless.
  private mutating func drop(from first: Int, beyond wanted: Bytes) {
    var excess = sum(from: first) - wanted
    guard excess > .zero, decisions.count > first else { return }
    for place in stride(from: decisions.count - 1, through: first, by: -1) {
      let decision = decisions[place]
      // No page of a file goes instead of what nobody holds anything in.
      if decision.unit.kind == .heap { continue }
      guard decision.predicted <= excess, let index = units.firstIndex(where: { $0.unit == decision.unit }) else { continue }
      guard !bound.contains(index) else { continue }
      let group = order.members[order.group[index]]
      // Something it needs may go only because this goes.
      let isNeeded =
        group.count > 1
        || decisions[(place + 1)...].contains { later in
          units.firstIndex { $0.unit == later.unit }.map { order.dependents[$0].contains(index) } ?? false
        }
      guard !isNeeded else { continue }
      excess = excess - decision.predicted
      decisions.remove(at: place)
      reasons[index] = nil
      passedOver[index] = .targetReached
      counted -= 1
    }
  }
}

extension Array where Element: Hashable {
  /// Each once, where it stands first.
  fileprivate func unique() -> [Element] {
    var seen: Set<Element> = []
    return filter { seen.insert($0).inserted }
  }
}
