/// `GET /api/v1/rules`, `GET /api/v1/rules/NAME`; what changes rules answers with those that were changed.
public struct RulesAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.rules/1"
  public var schema = RulesAnswer.schema
  public var takenAt: Double
  /// Why rules that were added at run time are not in force; null when they are.
  public var problem: Known<String>
  /// In the order in which they are looked at.
  public var rules: [RuleRow]

  public init(takenAt: Double, problem: Known<String>, rules: [RuleRow]) {
    self.takenAt = takenAt
    self.problem = problem
    self.rules = rules
  }
}

/// A rule and how it stood when it was looked at last.
public struct RuleRow: Codable, Sendable, Hashable {
  public var name: String
  public var isEnabled: Bool
  /// A stable word: `unseen`, `disabled`, `quiet`, `unknown`, `holding`, `cooling-down`, `fired`.
  public var state: String
  /// The state in a sentence.
  public var explanation: String
  /// As `when` has it.
  public var condition: String
  /// The condition must have held for this long.
  public var forSeconds: Double
  /// It fires at most once in this time.
  public var everySeconds: Double
  public var after: [String]
  /// Each in words: `unload torch`.
  public var actions: [String]
  /// Since when its condition holds; null while it does not.
  public var holdsSince: Known<Double>
  public var lastFiredAt: Known<Double>
  /// Times it fired since the supervisor knows it.
  public var firings: Int
  /// What it wanted to set and may not yet, since rules turn that to and fro; each in words.
  public var heldBack: [String]
  /// `/etc/mlos/mlos.yaml:3`, `run time, by user 0 at ...`, and who turned it on or off.
  public var origin: String
  /// It was added at run time, and can be removed.
  public var isRuntime: Bool
  /// A YAML document with this rule alone.
  public var text: String

  public init(
    name: String, isEnabled: Bool, state: String, explanation: String, condition: String, forSeconds: Double,
    everySeconds: Double, after: [String], actions: [String], holdsSince: Known<Double>, lastFiredAt: Known<Double>, firings: Int,
    heldBack: [String] = [], origin: String, isRuntime: Bool, text: String
  ) {
    self.name = name
    self.isEnabled = isEnabled
    self.state = state
    self.explanation = explanation
    self.condition = condition
    self.forSeconds = forSeconds
    self.everySeconds = everySeconds
    self.after = after
    self.actions = actions
    self.holdsSince = holdsSince
    self.lastFiredAt = lastFiredAt
    self.firings = firings
    self.heldBack = heldBack
    self.origin = origin
    self.isRuntime = isRuntime
    self.text = text
  }
}

/// `POST /api/v1/rules`, `PUT /api/v1/rules/NAME`: either `text`, or of one rule `enabled`.
public struct RulesRequest: Codable, Sendable, Hashable {
  /// A YAML document with `rules:`.
  public var text: String?
  /// What errors call the text; `rules` unless given.
  public var file: String?
  /// Turns the rule on or off.
  public var enabled: Bool?

  public init(text: String? = nil, file: String? = nil, enabled: Bool? = nil) {
    self.text = text
    self.file = file
    self.enabled = enabled
  }
}
