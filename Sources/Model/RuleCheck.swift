/// How large rules may be: they come from files and over the network.
public enum RuleLimits {
  public static let rules = 1000
  /// Bytes of a condition's text.
  public static let expressionBytes = 4096
  /// Conditions inside each other.
  public static let depth = 32
  public static let actions = 16
  public static let after = 16
  /// Bytes of a log message.
  public static let messageBytes = 1024
  /// Thirty days, in seconds.
  public static let longestSeconds = 2_592_000.0
  /// Below it a number is 0.
  public static let smallestNumber = 1e-12
  public static let largestNumber = 1e18
}

/// Why rules are not taken.
public enum RuleFault: Error, Hashable, Sendable {
  /// The rule's name, and what is wrong with it.
  case wrong(rule: String, String)
  case tooMany(Int)
  case duplicate(String)
  case unknownAfter(rule: String, name: String)
  /// Each comes after the next, the last after the first.
  case cycle([String])
}

extension RuleFault: CustomStringConvertible {
  public var description: String {
    switch self {
    case .wrong(let rule, let problem): "rule '\(rule)' \(problem)"
    case .tooMany(let count): "\(count) rules are more than the \(RuleLimits.rules) there may be"
    case .duplicate(let name): "there are two rules '\(name)'"
    case .unknownAfter(let rule, let name): "rule '\(rule)' comes after '\(name)', and there is no such rule"
    case .cycle(let names):
      names.count == 1
        ? "rule '\(names[0])' comes after itself"
        : "rules come after each other in a circle: \((names + names.prefix(1)).joined(separator: " after "))"
    }
  }
}

extension Rule {
  /// What a text cannot say, for rules that were made otherwise; nil when it is all right by itself.
  public var fault: RuleFault? {
    func wrong(_ problem: String) -> RuleFault { .wrong(rule: name, problem) }
    if let problem = PlainName.fault(name) { return wrong("has a bad name: it \(problem)") }
    let longest = RuleLimits.longestSeconds
    guard holdSeconds >= 0, holdSeconds <= longest else { return wrong("must hold for 0 to 30 days, not \(holdSeconds) s") }
    guard cooldownSeconds >= 1, cooldownSeconds <= longest else {
      return wrong("must fire at most once in 1 s to 30 days, not \(cooldownSeconds) s")
    }
    if after.count > RuleLimits.after { return wrong("comes after more than \(RuleLimits.after) others") }
    if let problem = condition.fault { return wrong(problem) }
    guard !actions.isEmpty else { return wrong("does nothing") }
    if actions.count > RuleLimits.actions { return wrong("has more than \(RuleLimits.actions) actions") }
    for (index, action) in actions.enumerated() {
      if let problem = action.fault { return wrong(problem) }
      if let other = actions[..<index].first(where: action.contradicts) {
        return wrong("contradicts itself: \(other) and \(action)")
      }
    }
    return nil
  }
}

extension RuleAction {
  fileprivate var fault: String? {
    switch self {
    case .unload(let name), .allow(let name), .deny(let name), .setStrategy(_, of: let name?):
      if let problem = UnitName.fault(name) { return "names a package that \(problem)" }
    case .merge(let name):
      if let problem = UnitName.fault(name) { return "names a program that \(problem)" }
    case .setStrategy(_, of: nil), .useProfile, .collect, .log: break
    }
    switch self {
    case .setStrategy(let strategy, _): return PlainName.fault(strategy).map { "names a strategy that \($0)" }
    case .log(let message):
      if message.isEmpty { return "logs nothing" }
      return message.utf8.count > RuleLimits.messageBytes ? "logs more than \(RuleLimits.messageBytes) bytes" : nil
    case .unload, .allow, .deny, .useProfile, .collect, .merge: return nil
    }
  }
}

extension RuleCondition {
  fileprivate var fault: String? {
    var comparisons = 0
    if let problem = fault(depth: 1, comparisons: &comparisons) { return problem }
    let bytes = description.utf8.count
    return bytes > RuleLimits.expressionBytes ? "has a condition of \(bytes) bytes, at most \(RuleLimits.expressionBytes)" : nil
  }

  private func fault(depth: Int, comparisons: inout Int) -> String? {
    guard depth <= RuleLimits.depth else { return "has conditions nested deeper than \(RuleLimits.depth) levels" }
    switch self {
    case .all(let parts), .any(let parts):
      guard parts.count >= 2 else { return "combines fewer than two conditions" }
      for part in parts { if let problem = part.fault(depth: depth + 1, comparisons: &comparisons) { return problem } }
      return nil
    case .not(let part): return part.fault(depth: depth + 1, comparisons: &comparisons)
    case .comparison(let comparison):
      comparisons += 1
      // The shortest comparison takes ten bytes of text with the word that joins it to the next.
      guard comparisons <= RuleLimits.expressionBytes / 10 else { return "has too many conditions" }
      return comparison.fault
    }
  }
}

extension RuleComparison {
  fileprivate var fault: String? {
    switch metric {
    case .package(let name, _), .process(let name, _):
      if let problem = UnitName.fault(name) { return "asks for a metric whose name \(problem)" }
    case .machine: break
    }
    let largest = metric.largest ?? RuleLimits.largestNumber
    let inRange = value == 0 || (value >= RuleLimits.smallestNumber && value <= largest)
    return inRange ? nil : "compares \(metric) with \(value), which is no number it can have"
  }
}

extension Rule {
  /// The rules as they are looked at: as given, except that each comes behind those it is to come after.
  ///
  /// - Throws: `tooMany`, `duplicate`, `unknownAfter`, `cycle`, and what is wrong with one rule by itself.
  public static func ordered(_ rules: [Rule]) throws(RuleFault) -> [Rule] {
    guard rules.count <= RuleLimits.rules else { throw .tooMany(rules.count) }
    var places: [String: Int] = [:]
    for (index, rule) in rules.enumerated() {
      if let fault = rule.fault { throw fault }
      guard places.updateValue(index, forKey: rule.name) == nil else { throw .duplicate(rule.name) }
    }
    var before: [[Int]] = []
    for rule in rules {
      var indices: [Int] = []
      for name in rule.after {
        guard let index = places[name] else { throw .unknownAfter(rule: rule.name, name: name) }
        indices.append(index)
      }
      before.append(indices)
    }
    var walk = RuleWalk(before: before)
    for index in rules.indices {
      if let cycle = walk.visit(index) { throw .cycle(cycle.map { rules[$0].name }) }
    }
    return walk.order.map { rules[$0] }
  }

  /// Rules that come after each other, whatever else is wrong with them: the names, each after the next. Nil for none.
  public static func circle(in rules: [Rule]) -> [String]? {
    let places = Dictionary(rules.enumerated().map { ($1.name, $0) }) { first, _ in first }
    var walk = RuleWalk(before: rules.map { $0.after.compactMap { places[$0] } })
    for index in rules.indices { if let circle = walk.visit(index) { return circle.map { rules[$0].name } } }
    return nil
  }
}

/// Goes to what a rule comes after before it goes to the rule. Its own stack: a thousand rules may be one chain.
private struct RuleWalk {
  let before: [[Int]]
  var order: [Int] = []
  private var isDone: [Bool]
  private var isOpen: [Bool]

  init(before: [[Int]]) {
    self.before = before
    isDone = before.map { _ in false }
    isOpen = isDone
  }

  /// The circle that was found, each after the next; nil for none.
  mutating func visit(_ start: Int) -> [Int]? {
    guard !isDone[start] else { return nil }
    var path: [(rule: Int, next: Int)] = [(start, 0)]
    isOpen[start] = true
    while let (rule, next) = path.last {
      guard next < before[rule].count else {
        path.removeLast()
        isOpen[rule] = false
        isDone[rule] = true
        order.append(rule)
        continue
      }
      path[path.count - 1].next += 1
      let other = before[rule][next]
      if isOpen[other] { return path.map(\.rule).drop { $0 != other }.map { $0 } }
      guard !isDone[other] else { continue }
      isOpen[other] = true
      path.append((other, 0))
    }
    return nil
  }
}
