import Model

/// A rule and where it was written.
struct PlacedRule: Sendable, Hashable {
  var rule: Rule
  var file: String
  /// Of its name.
  var place: YAMLPlace
  /// Of the names in `rule.after`.
  var afterPlaces: [YAMLPlace]
  /// Strategies that its actions name.
  var strategies: [Strategy]
  /// At run time; nil for a rule of a file.
  var added: RuntimeRule?
  /// Added long since: its places are none.
  var isStored = false
  /// At run time; nil for a rule that is as it is written.
  var turned: RuleSwitch?

  struct Strategy: Sendable, Hashable {
    var name: String
    var place: YAMLPlace
  }

  var origin: RuleOrigin {
    RuleOrigin(
      written: added.map { .runtime(who: $0.who, when: $0.when) } ?? .file(file, line: place.line), turned: turned)
  }

  /// - Parameter field: The rule's key it is about.
  func error(_ code: ConfigError.Code, _ place: YAMLPlace, _ message: String, field: String? = nil) -> ConfigError {
    let file = ConfigError.Source.file(file, line: place.line, column: place.column)
    return ConfigError(
      code: code, source: added.flatMap { isStored ? .runtime(who: $0.who) : nil } ?? file, message: message, field: field)
  }

  /// What is wrong with rules that come after each other, whatever else is wrong with them; nil for nothing.
  static func circle(_ placed: [PlacedRule], beside others: [Rule]) -> ConfigError? {
    guard let names = Rule.circle(in: others + placed.map(\.rule)) else { return nil }
    let byName = Dictionary(placed.map { ($0.rule.name, $0) }) { first, _ in first }
    // The one that closed the circle is to blame: what is added now, else what was added once.
    func newness(_ rule: PlacedRule) -> Int { rule.added == nil ? 0 : rule.isStored ? 1 : 2 }
    guard let rule = names.compactMap({ byName[$0] }).max(by: { newness($0) < newness($1) }) else { return nil }
    return rule.error(.circle, rule.afterPlaces.first ?? rule.place, RuleFault.cycle(names).description, field: "after")
  }
}

/// Reads a list of rules out of a composed document. A rule with a mistake is left out; the others are read.
struct RuleWalk {
  /// What is wrong, and where.
  struct Mistake {
    var code: ConfigError.Code
    var place: YAMLPlace
    var message: String
    /// The rule's key it is about.
    var field: String?
  }

  let file: String
  /// To find a place inside a condition again.
  private var source: YAMLSource
  private(set) var rules: [PlacedRule] = []
  private(set) var mistakes: [Mistake] = []
  /// The key that is read.
  private var field: RuleDraft.Field?

  init(file: String, bytes: [UInt8]) {
    self.file = file
    source = YAMLSource(bytes)
  }

  mutating func complain(_ code: ConfigError.Code, _ place: YAMLPlace, _ message: @autoclosure () -> String) {
    // One more than is shown, so that it is known that there are more.
    guard mistakes.count <= ConfigurationFile.complaintLimit else { return }
    mistakes.append(Mistake(code: code, place: place, message: message(), field: field?.rawValue))
  }

  private static let example = "a list of rules, each with name, when and then"

  mutating func rules(_ node: YAMLNode) {
    switch node {
    case .scalar(let scalar, let properties) where scalar.isEmptyValue && properties.arePlain: return
    case .sequence(let items, _):
      guard isPlain(node) else { return }
      for item in items { rule(item) }
    case .scalar, .mapping: complain(.wrongType, node.place, "'rules' must be \(Self.example)")
    }
  }

  private mutating func rule(_ node: YAMLNode) {
    guard case .mapping(let pairs, _) = node else {
      return complain(.wrongType, node.place, "a rule must be a mapping with name, when and then")
    }
    guard isPlain(node) else { return }
    let before = mistakes.count
    var draft = RuleDraft(place: node.place)
    for pair in pairs {
      guard let key = key(pair, of: "rule") else { continue }
      guard let field = RuleDraft.Field(rawValue: key) else {
        let near = nearestName(to: key, among: RuleDraft.Field.allCases.map(\.rawValue))
        complain(
          .unknownKey, pair.key.place,
          "a rule has no key '\(quotable(key))'; " + (near.map { "did you mean '\($0)'?" } ?? "it has \(RuleDraft.Field.words)"))
        continue
      }
      read(field, pair.value, at: pair.key.place, into: &draft)
    }
    finish(draft, isWrong: mistakes.count > before)
  }

  private mutating func finish(_ draft: RuleDraft, isWrong: Bool) {
    for field in [RuleDraft.Field.name, .when, .then] where !draft.seen.contains(field) {
      complain(.wrongType, draft.place, "a rule needs '\(field.rawValue)'")
    }
    guard !isWrong, let name = draft.name, let condition = draft.condition else { return }
    let rule = Rule(
      name: name, isEnabled: draft.isEnabled, condition: condition, holdSeconds: draft.hold, cooldownSeconds: draft.cooldown,
      after: draft.after.map(\.text), actions: draft.actions)
    if let fault = rule.fault { return complain(.contradiction, draft.place, fault.description) }
    rules.append(
      PlacedRule(
        rule: rule, file: file, place: draft.place, afterPlaces: draft.after.map(\.place), strategies: draft.strategies))
  }

  private mutating func read(_ field: RuleDraft.Field, _ node: YAMLNode, at place: YAMLPlace, into draft: inout RuleDraft) {
    draft.seen.insert(field)
    self.field = field
    defer { self.field = nil }
    switch field {
    case .name:
      guard let text = text(node, "name", "a name of letters, digits, '-' and '_'", at: place) else { return }
      if let problem = PlainName.fault(text.text) {
        return complain(.outOfRange, text.place, "the name of a rule, '\(quotable(text.text))', \(problem)")
      }
      draft.name = text.text
      draft.place = text.place
    case .when: draft.condition = condition(node, at: place)
    case .hold: draft.hold = seconds(node, "for", .zero ... .seconds(2_592_000), at: place) ?? draft.hold
    case .every: draft.cooldown = seconds(node, "every", .seconds(1) ... .seconds(2_592_000), at: place) ?? draft.cooldown
    case .after: draft.after = texts(node, "after", "the name of a rule, or a list of them", at: place)
    case .then: actions(node, at: place, into: &draft)
    case .enabled:
      guard let text = text(node, "enabled", Bool.expectation, at: place) else { return }
      guard let value = Bool(settingText: text.text) else {
        return complain(.wrongType, text.place, "'enabled' must be true or false, not '\(quotable(text.text))'")
      }
      draft.isEnabled = value
    }
  }

  private mutating func condition(_ node: YAMLNode, at place: YAMLPlace) -> RuleCondition? {
    guard text(node, "when", "a condition such as memory.level > 60%", at: place) != nil, case .scalar(let scalar, _) = node
    else {
      return nil
    }
    do throws(ExpressionFault) {
      return try RuleExpression.parse(scalar.text)
    } catch {
      let places = YAMLScalarPlaces(scalar, at: node.place, in: &source)
      complain(error.code, places.place(ofOffset: error.offset, in: scalar.text), error.message)
      return nil
    }
  }

  private mutating func seconds(
    _ node: YAMLNode, _ key: String, _ range: ClosedRange<Duration>, at place: YAMLPlace
  ) -> Double? {
    guard let text = text(node, key, Duration.expectation, at: place) else { return nil }
    switch SettingKey<Duration>(key, default: .zero, in: range, reloadable: true, "").parse(text.text) {
    case .success(let value): return (value as? Duration).map(\.inSeconds)
    case .failure(let fault):
      complain(fault.code, text.place, fault.message)
      return nil
    }
  }
}

extension RuleWalk {
  /// A word of the document and where it stands.
  struct Text {
    var text: String
    var place: YAMLPlace
  }

  /// A key of a mapping that was not there before.
  mutating func key(_ pair: YAMLPair, of what: String) -> String? {
    guard case .scalar(let scalar, _) = pair.key, pair.key.properties.arePlain else {
      complain(.unsupported, pair.key.place, "a key must be a plain word")
      return nil
    }
    if let first = pair.first {
      complain(
        .duplicateKey, pair.key.place,
        "key '\(quotable(scalar.text))' is given more than once in this \(what); first in line \(first.line)")
      return nil
    }
    return scalar.text
  }

  mutating func isPlain(_ node: YAMLNode) -> Bool {
    guard !node.properties.arePlain else { return true }
    complain(.unsupported, node.place, "anchors, aliases and tags are not accepted")
    return false
  }

  /// A scalar with something in it.
  mutating func text(_ node: YAMLNode, _ key: String, _ expectation: String, at place: YAMLPlace) -> Text? {
    guard isPlain(node) else { return nil }
    switch node {
    case .scalar(let scalar, _) where !scalar.isEmptyValue: return Text(text: scalar.text, place: node.place)
    case .scalar: complain(.wrongType, place, "'\(key)' must be \(expectation), not nothing")
    case .sequence: complain(.wrongType, node.place, "'\(key)' must be \(expectation), not a list")
    case .mapping: complain(.wrongType, node.place, "'\(key)' must be \(expectation), not a mapping")
    }
    return nil
  }

  /// One scalar, or a list of them.
  mutating func texts(_ node: YAMLNode, _ key: String, _ expectation: String, at place: YAMLPlace) -> [Text] {
    guard case .sequence(let items, _) = node else { return text(node, key, expectation, at: place).map { [$0] } ?? [] }
    guard isPlain(node) else { return [] }
    var found: [Text] = []
    for item in items { if let text = text(item, key, expectation, at: item.place) { found.append(text) } }
    return found
  }
}

/// A rule while it is read.
struct RuleDraft {
  enum Field: String, CaseIterable {
    case name, when
    case hold = "for"
    case every, after, then, enabled

    static let words = allCases.map(\.rawValue).joined(separator: ", ")
  }

  var place: YAMLPlace
  var seen: Set<Field> = []
  var name: String?
  var condition: RuleCondition?
  var hold = 0.0
  var cooldown = Rule.standardCooldownSeconds
  var after: [RuleWalk.Text] = []
  var actions: [RuleAction] = []
  var strategies: [PlacedRule.Strategy] = []
  var isEnabled = true

  init(place: YAMLPlace) { self.place = place }
}

extension Duration {
  var inSeconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) / 1e18
  }
}
