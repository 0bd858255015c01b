import Model

/// What a rule's `then` may say.
private enum ActionVerb: String, CaseIterable {
  case unload, strategy, allow, deny, profile, collect, merge, log

  static let words = allCases.map(\.rawValue).joined(separator: ", ")
}

extension RuleWalk {
  /// One action, or a list of them.
  mutating func actions(_ node: YAMLNode, at place: YAMLPlace, into draft: inout RuleDraft) {
    guard isPlain(node) else { return }
    switch node {
    case .sequence(let items, _): for item in items { action(item, at: item.place, into: &draft) }
    case .scalar, .mapping: action(node, at: place, into: &draft)
    }
  }

  private mutating func action(_ node: YAMLNode, at place: YAMLPlace, into draft: inout RuleDraft) {
    guard isPlain(node) else { return }
    switch node {
    case .mapping(let pairs, _):
      for pair in pairs {
        guard let key = key(pair, of: "action"), let verb = verb(key, at: pair.key.place) else { continue }
        action(verb, pair.value, at: pair.key.place, into: &draft)
      }
    case .scalar(let scalar, _):
      guard !scalar.isEmptyValue else { return complain(.wrongType, place, "an action is missing: one of \(ActionVerb.words)") }
      guard let verb = verb(scalar.text, at: node.place) else { return }
      guard verb == .collect else {
        return complain(.wrongType, node.place, "'\(verb.rawValue)' must say what: \(verb.rawValue): ...")
      }
      draft.actions.append(.collect)
    case .sequence: complain(.wrongType, node.place, "an action must be a mapping such as unload: torch, not a list")
    }
  }

  private mutating func verb(_ word: String, at place: YAMLPlace) -> ActionVerb? {
    if let verb = ActionVerb(rawValue: word) { return verb }
    // `unload torch` is written as it is spoken.
    let first = word.split(separator: " ").first.flatMap { ActionVerb(rawValue: String($0)) }
    let near = first?.rawValue ?? nearestName(to: word, among: ActionVerb.allCases.map(\.rawValue))
    complain(
      .unknownName, place,
      "there is no action '\(quotable(word))'; " + (near.map { "did you mean '\($0): ...'?" } ?? "there are \(ActionVerb.words)"))
    return nil
  }

  private mutating func action(_ verb: ActionVerb, _ node: YAMLNode, at place: YAMLPlace, into draft: inout RuleDraft) {
    switch verb {
    case .unload: for name in names(node, verb, "package", at: place) { draft.actions.append(.unload(name)) }
    case .allow: for name in names(node, verb, "package", at: place) { draft.actions.append(.allow(name)) }
    case .deny: for name in names(node, verb, "package", at: place) { draft.actions.append(.deny(name)) }
    case .merge: for name in names(node, verb, "program", at: place) { draft.actions.append(.merge(name)) }
    case .strategy: strategy(node, at: place, into: &draft)
    case .profile:
      guard let text = text(node, "profile", UnloadingProfile.expectation, at: place) else { return }
      guard let profile = UnloadingProfile(settingText: text.text) else {
        let message = "'profile' must be \(UnloadingProfile.expectation), not '\(quotable(text.text))'"
        return complain(.wrongType, text.place, message)
      }
      draft.actions.append(.useProfile(profile.task))
    case .collect:
      if case .scalar(let scalar, _) = node, scalar.isEmptyValue, node.properties.arePlain {
        draft.actions.append(.collect)
      } else {
        complain(.wrongType, node.place, "'collect' stands alone")
      }
    case .log:
      guard let text = text(node, "log", "a message", at: place) else { return }
      guard text.text.utf8.count <= RuleLimits.messageBytes else {
        let message = "a message has at most \(RuleLimits.messageBytes) bytes, not \(text.text.utf8.count)"
        return complain(.outOfRange, text.place, message)
      }
      draft.actions.append(.log(text.text))
    }
  }

  /// - Parameter kind: Of what they are names: `package`, `program`.
  private mutating func names(_ node: YAMLNode, _ verb: ActionVerb, _ kind: String, at place: YAMLPlace) -> [String] {
    var names: [String] = []
    for text in texts(node, verb.rawValue, "the name of a \(kind), or a list of them", at: place) {
      if let name = name(text, of: kind) { names.append(name) }
    }
    return names
  }

  private mutating func name(_ text: Text, of kind: String) -> String? {
    guard let problem = UnitName.fault(text.text) else { return text.text }
    complain(.outOfRange, text.place, "the name of a \(kind), '\(quotable(text.text))', \(problem)")
    return nil
  }

  /// `strategy: aggressive` for the default, `strategy: {torch: aggressive}` for packages.
  private mutating func strategy(_ node: YAMLNode, at place: YAMLPlace, into draft: inout RuleDraft) {
    guard case .mapping(let pairs, _) = node else {
      strategy(named: node, of: nil, at: place, into: &draft)
      return
    }
    guard isPlain(node) else { return }
    for pair in pairs {
      guard let name = key(pair, of: "mapping"), let package = self.name(Text(text: name, place: pair.key.place), of: "package")
      else { continue }
      strategy(named: pair.value, of: package, at: pair.key.place, into: &draft)
    }
  }

  private mutating func strategy(named node: YAMLNode, of package: String?, at place: YAMLPlace, into draft: inout RuleDraft) {
    guard let text = text(node, "strategy", StrategyName.expectation, at: place) else { return }
    if let problem = PlainName.fault(text.text) {
      return complain(.outOfRange, text.place, "the name of a strategy, '\(quotable(text.text))', \(problem)")
    }
    let name = text.text.lowercased()
    draft.actions.append(.setStrategy(name, of: package))
    draft.strategies.append(PlacedRule.Strategy(name: name, place: text.place))
  }
}
