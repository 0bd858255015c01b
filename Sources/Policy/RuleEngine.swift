import Model

/// A rule that applies now.
public struct FiredRule: Hashable, Sendable {
  public var rule: String
  /// What is to be done, as the rule has it.
  public var actions: [RuleAction]
  /// What is not, since a rule before it wants the opposite.
  public var contradicted: [Contradiction]
  /// What is not yet, since rules turn the setting to and fro.
  public var heldBack: [HeldBack] = []

  /// An action that gave way.
  public struct Contradiction: Hashable, Sendable {
    public var action: RuleAction
    /// The rule that was before, and what it does.
    public var winner: String
    public var winning: RuleAction

    public init(action: RuleAction, winner: String, winning: RuleAction) {
      self.action = action
      self.winner = winner
      self.winning = winning
    }
  }
}

/// Says which rules apply. Holds what must be remembered between two looks: since when a condition is true, and when its
/// rule fired last.
public struct RuleEngine: Sendable {
  /// As they were given.
  public private(set) var rules: [Rule]
  /// In the order in which they are looked at.
  private var ordered: [Rule]
  /// Of the rule at the same place in `ordered`.
  private var progress: [Progress]
  private var places: [String: Int]
  /// Of what was set since the rules were given: when they change, all that they set ends.
  private var turns = SettingTurns()
  /// Nanoseconds that went by between looks; a clock that is set back adds nothing.
  private var elapsed: UInt64 = 0
  private var lastLook: Instant?

  private struct Progress: Sendable {
    var trueSince: UInt64?
    var lastFired: UInt64?
    var firings = 0
    var standing = RuleState.Standing.unseen
  }

  public init(_ rules: [Rule] = []) throws(RuleFault) {
    self.rules = rules
    ordered = try Rule.ordered(rules)
    progress = ordered.map { _ in Progress() }
    places = Dictionary(uniqueKeysWithValues: ordered.indices.map { [ordered] in (ordered[$0].name, $0) })
  }

  /// Takes other rules. One that is as before, to the letter, goes on where it was.
  public mutating func replace(with rules: [Rule]) throws(RuleFault) {
    var next = try RuleEngine(rules)
    for (index, rule) in next.ordered.enumerated() {
      if let place = places[rule.name], ordered[place] == rule { next.progress[index] = progress[place] }
    }
    (next.elapsed, next.lastLook) = (elapsed, lastLook)
    self = next
  }

  /// Adds a rule behind the others, or puts it in the place of the one with its name.
  public mutating func set(_ rule: Rule) throws(RuleFault) {
    var next = rules
    if let index = next.firstIndex(where: { $0.name == rule.name }) { next[index] = rule } else { next.append(rule) }
    try replace(with: next)
  }

  /// False when there is none of the name. Refused while another comes after it.
  public mutating func remove(_ name: String) throws(RuleFault) -> Bool {
    guard places[name] != nil else { return false }
    try replace(with: rules.filter { $0.name != name })
    return true
  }

  /// The rules that apply now, in their order.
  public mutating func evaluate(_ metrics: RuleMetrics, at now: Instant) -> [FiredRule] {
    if let lastLook, now > lastLook {
      let (sum, overflow) = elapsed.addingReportingOverflow(now.nanoseconds - lastLook.nanoseconds)
      elapsed = overflow ? .max : sum
    }
    lastLook = now
    var fired: [FiredRule] = []
    var decided: [RuleAction.Subject: [(rule: String, action: RuleAction)]] = [:]
    for (index, rule) in ordered.enumerated() where step(index, metrics) {
      var result = FiredRule(rule: rule.name, actions: [], contradicted: [])
      for action in rule.actions {
        let others = action.subject.flatMap { decided[$0] } ?? []
        if let winner = others.first(where: { action.contradicts($0.action) }) {
          result.contradicted.append(FiredRule.Contradiction(action: action, winner: winner.rule, winning: winner.action))
          continue
        }
        if let heldBack = turns.take(action, of: rule.name, at: elapsed) {
          result.heldBack.append(heldBack)
          continue
        }
        result.actions.append(action)
        if let subject = action.subject, !others.contains(where: { $0.action == action }) {
          decided[subject, default: []].append((rule.name, action))
        }
      }
      fired.append(result)
    }
    return fired
  }

  /// Whether the rule at a place fires now.
  private mutating func step(_ index: Int, _ metrics: RuleMetrics) -> Bool {
    let rule = ordered[index]
    guard rule.isEnabled else {
      progress[index].trueSince = nil
      progress[index].standing = .disabled
      return false
    }
    switch rule.condition.truth(metrics) {
    case .unknown:
      progress[index].trueSince = nil
      progress[index].standing = .unknown(rule.condition.unknownMetrics(metrics))
      return false
    case .no:
      progress[index].trueSince = nil
      progress[index].standing = .quiet
      return false
    case .yes: break
    }
    let since = progress[index].trueSince ?? elapsed
    progress[index].trueSince = since
    let held = seconds(from: since)
    guard held >= rule.holdSeconds else {
      progress[index].standing = .holding(seconds: held, needed: rule.holdSeconds)
      return false
    }
    if let lastFired = progress[index].lastFired, seconds(from: lastFired) < rule.cooldownSeconds {
      progress[index].standing = .coolingDown(secondsLeft: rule.cooldownSeconds - seconds(from: lastFired))
      return false
    }
    progress[index].lastFired = elapsed
    progress[index].firings += 1
    progress[index].standing = .fired
    return true
  }

  private func seconds(from earlier: UInt64) -> Double { Double(elapsed - earlier) / 1e9 }

  /// How a rule stood at the last look; nil for a rule that is not there.
  public func state(of name: String) -> RuleState? {
    places[name].map { place in
      let progress = progress[place]
      return RuleState(
        rule: ordered[place], standing: progress.standing, firings: progress.firings,
        secondsTrue: progress.trueSince.map { seconds(from: $0) },
        secondsSinceFired: progress.lastFired.map { seconds(from: $0) },
        heldBack: turns.heldBack(of: ordered[place], at: elapsed))
    }
  }

  /// Of every rule, in the order in which they are looked at.
  public var states: [RuleState] { ordered.compactMap { state(of: $0.name) } }
}

/// How a rule stands.
public struct RuleState: Hashable, Sendable {
  public enum Standing: Hashable, Sendable {
    /// Nobody has looked yet.
    case unseen
    case disabled
    /// The condition does not hold.
    case quiet
    /// Whether it holds is not known, since these metrics are not.
    case unknown([RuleMetric])
    /// It holds, but not for long enough yet.
    case holding(seconds: Double, needed: Double)
    /// It holds, and the rule fired a short time ago.
    case coolingDown(secondsLeft: Double)
    case fired
  }

  public var rule: Rule
  public var standing: Standing
  public var firings: Int
  /// For how long its condition has been true without a break, as far as it was looked at; nil when it is not.
  public var secondsTrue: Double?
  public var secondsSinceFired: Double?
  /// What it wanted to set when it fired and may not yet.
  public var heldBack: [HeldBack] = []
}

extension RuleState: CustomStringConvertible {
  /// `metric package.torch.idle is not known`
  public var description: String {
    switch standing {
    case .unseen: "not looked at yet"
    case .disabled: "is not enabled"
    case .quiet: "its condition does not hold"
    case .unknown(let metrics) where metrics.count == 1: "metric \(metrics[0]) is not known"
    case .unknown(let metrics): "metrics \(metrics.map(\.description).joined(separator: ", ")) are not known"
    case .holding(let seconds, let needed): "holds for \(whole(seconds)) s of \(whole(needed)) s"
    case .coolingDown(let seconds): "fired a short time ago; may fire again in \(whole(seconds)) s"
    case .fired: "fired"
    }
  }

  private func whole(_ seconds: Double) -> Int { Int(seconds.rounded()) }
}

/// Of a condition whose metrics need not be known.
private enum Truth {
  case yes, no, unknown
}

extension RuleCondition {
  /// As Kleene has it: what is not known decides nothing that the rest has not decided.
  fileprivate func truth(_ metrics: RuleMetrics) -> Truth {
    switch self {
    case .all(let parts):
      var result = Truth.yes
      for part in parts {
        switch part.truth(metrics) {
        case .no: return .no
        case .unknown: result = .unknown
        case .yes: break
        }
      }
      return result
    case .any(let parts):
      var result = Truth.no
      for part in parts {
        switch part.truth(metrics) {
        case .yes: return .yes
        case .unknown: result = .unknown
        case .no: break
        }
      }
      return result
    case .not(let part):
      switch part.truth(metrics) {
      case .yes: return .no
      case .no: return .yes
      case .unknown: return .unknown
      }
    case .comparison(let comparison):
      guard let value = metrics[comparison.metric] else { return .unknown }
      return comparison.relation.holds(value, comparison.value) ? .yes : .no
    }
  }

  /// Each once, in the order of the text.
  fileprivate func unknownMetrics(_ metrics: RuleMetrics) -> [RuleMetric] {
    var found: [RuleMetric] = []
    func look(_ condition: RuleCondition) {
      switch condition {
      case .all(let parts), .any(let parts): parts.forEach(look)
      case .not(let part): look(part)
      case .comparison(let comparison):
        if metrics[comparison.metric] == nil, !found.contains(comparison.metric) { found.append(comparison.metric) }
      }
    }
    look(self)
    return found
  }
}
