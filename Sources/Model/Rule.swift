/// What a user wants done when something holds: a condition over metrics, and actions.
public struct Rule: Hashable, Sendable {
  /// Told apart by it; a `PlainName`.
  public var name: String
  /// A rule that is not is kept and shown, and never fires.
  public var isEnabled: Bool
  public var condition: RuleCondition
  /// The condition must have been true for this long.
  public var holdSeconds: Double
  /// It fires at most once in this time, however often the condition comes and goes.
  public var cooldownSeconds: Double
  /// Rules that are looked at before this one; of two that contradict each other the first wins.
  public var after: [String]
  /// At least one; none contradicts another.
  public var actions: [RuleAction]

  /// What a rule that says nothing waits between two firings: a cycle of the default configuration.
  public static let standardCooldownSeconds = 60.0

  public init(
    name: String, isEnabled: Bool = true, condition: RuleCondition, holdSeconds: Double = 0,
    cooldownSeconds: Double = Rule.standardCooldownSeconds, after: [String] = [], actions: [RuleAction]
  ) {
    self.name = name
    self.isEnabled = isEnabled
    self.condition = condition
    self.holdSeconds = holdSeconds
    self.cooldownSeconds = cooldownSeconds
    self.after = after
    self.actions = actions
  }
}

/// How a metric is compared with a number.
public enum RuleRelation: String, Hashable, Sendable, CaseIterable {
  case above = ">"
  case atLeast = ">="
  case below = "<"
  case atMost = "<="
  case equal = "=="
  case unequal = "!="

  /// Both are numbers.
  public func holds(_ left: Double, _ right: Double) -> Bool {
    switch self {
    case .above: left > right
    case .atLeast: left >= right
    case .below: left < right
    case .atMost: left <= right
    case .equal: left == right
    case .unequal: left != right
    }
  }
}

/// A metric against a number in the metric's base unit: a share of 1, bytes, seconds, or a count.
public struct RuleComparison: Hashable, Sendable {
  public var metric: RuleMetric
  public var relation: RuleRelation
  public var value: Double

  public init(_ metric: RuleMetric, _ relation: RuleRelation, _ value: Double) {
    self.metric = metric
    self.relation = relation
    self.value = value
  }
}

/// When a rule applies.
public indirect enum RuleCondition: Hashable, Sendable {
  /// Two or more.
  case all([RuleCondition])
  /// Two or more.
  case any([RuleCondition])
  case not(RuleCondition)
  case comparison(RuleComparison)
}

/// What a rule does.
public enum RuleAction: Hashable, Sendable {
  /// Every unit of the name, as far as nothing uses it.
  case unload(String)
  /// For the units of a name, or, with nil, for all without a strategy of their own.
  case setStrategy(String, of: String?)
  /// May go early.
  case allow(String)
  /// Must stay.
  case deny(String)
  /// Nil is none.
  case useProfile(TaskProfile?)
  /// Collectors and allocators give back what they hold for nothing.
  case collect
  /// Equal memory of the programs of a name is kept once, by the kernel. They may learn of each other's content by it.
  case merge(String)
  /// A line in the log.
  case log(String)

  /// What two actions must agree about.
  public enum Subject: Hashable, Sendable {
    /// Whether the units of a name stay.
    case presence(String)
    case strategy(String?)
    case profile
  }

  /// Nil for what nothing can contradict.
  public var subject: Subject? {
    switch self {
    case .unload(let name), .allow(let name), .deny(let name): .presence(name)
    case .setStrategy(_, let name): .strategy(name)
    case .useProfile: .profile
    case .collect, .merge, .log: nil
    }
  }

  /// Whether doing both would undo one.
  public func contradicts(_ other: RuleAction) -> Bool {
    guard let subject, subject == other.subject, self != other else { return false }
    switch (self, other) {
    case (.unload, .allow), (.allow, .unload): return false
    default: return true
    }
  }
}
