import Model

/// A setting that a rule wanted to turn, and that stays for a while as another rule set it.
public struct HeldBack: Hashable, Sendable {
  public var action: RuleAction
  /// What stays, and whose it is.
  public var standing: RuleAction
  public var winner: String
  public var secondsLeft: Double
  /// The first time since the two began to take turns.
  public var isNew: Bool
}

extension HeldBack: CustomStringConvertible {
  /// `strategy balanced waits 45 s: strategy aggressive of rule 'full' stays that long, since rules turn it to and fro`
  public var description: String {
    "\(action) waits \(Int(secondsLeft.rounded(.up))) s: \(standing) of rule '\(winner)' stays that long, since rules turn it to and fro"
  }
}

/// What rules set last, and how often they turned it. Rules whose conditions hold in turn would change a setting at every look: after
/// three turns a setting stays for a minute before another rule may turn it, and twice as long after each further turn, as regret
/// doubles. Ten minutes in which nobody wants another value end that.
struct SettingTurns: Sendable {
  /// There, back and there again: as many as a passing peak makes.
  static let freeTurns = 3
  /// A cycle of the default configuration.
  static let firstStaySeconds = 60.0
  static let longestStaySeconds = 16 * firstStaySeconds
  static let calmSeconds = 600.0

  private struct Setting: Sendable {
    var action: RuleAction
    var rule: String
    /// In nanoseconds of the engine's count, as all times here.
    var since: UInt64
    /// When a rule last turned it, or wanted to.
    var lastWish: UInt64
    var turns = 0
    /// What each rule wanted instead since it was turned last.
    var heldBack: [String: RuleAction] = [:]
    var isTold = false

    var staySeconds: Double {
      guard turns >= SettingTurns.freeTurns else { return 0 }
      // Ten doublings are beyond the longest.
      let doubled = (0..<min(turns - SettingTurns.freeTurns, 10)).reduce(SettingTurns.firstStaySeconds) { stay, _ in stay * 2 }
      return min(doubled, SettingTurns.longestStaySeconds)
    }
  }

  /// At most one an action of the rules in force.
  private var settings: [RuleAction.Subject: Setting] = [:]

  /// Takes what a rule sets; nil when it may be done.
  mutating func take(_ action: RuleAction, of rule: String, at elapsed: UInt64) -> HeldBack? {
    guard let subject = action.settingSubject else { return nil }
    guard var setting = settings[subject] else {
      settings[subject] = Setting(action: action, rule: rule, since: elapsed, lastWish: elapsed)
      return nil
    }
    defer { settings[subject] = setting }
    guard setting.action != action else { return nil }
    if seconds(from: setting.lastWish, to: elapsed) > Self.calmSeconds { (setting.turns, setting.isTold) = (0, false) }
    setting.lastWish = elapsed
    let left = setting.staySeconds - seconds(from: setting.since, to: elapsed)
    guard left > 0 else {
      (setting.action, setting.rule, setting.since) = (action, rule, elapsed)
      setting.turns += 1
      setting.heldBack = [:]
      return nil
    }
    let isNew = !setting.isTold
    setting.isTold = true
    setting.heldBack[rule] = action
    return HeldBack(action: action, standing: setting.action, winner: setting.rule, secondsLeft: left, isNew: isNew)
  }

  /// What a rule wanted to set and may not yet, in the order of its actions.
  func heldBack(of rule: Rule, at elapsed: UInt64) -> [HeldBack] {
    rule.actions.compactMap { action in
      guard let subject = action.settingSubject, let setting = settings[subject], setting.heldBack[rule.name] == action else {
        return nil
      }
      let left = setting.staySeconds - seconds(from: setting.since, to: elapsed)
      guard left > 0 else { return nil }
      return HeldBack(action: action, standing: setting.action, winner: setting.rule, secondsLeft: left, isNew: false)
    }
  }

  private func seconds(from earlier: UInt64, to later: UInt64) -> Double { Double(later - earlier) / 1e9 }
}

extension RuleAction {
  /// Of an action that sets something which lasts.
  fileprivate var settingSubject: Subject? {
    switch self {
    case .allow, .deny, .setStrategy, .useProfile: subject
    case .unload, .collect, .merge, .log: nil
    }
  }
}
