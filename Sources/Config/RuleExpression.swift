import Model

/// Reads a rule's condition: `memory.level > 60% and not (package.torch.idle < 2m or process.python3.cpu >= 0.5)`.
///
/// `not` binds most tightly, then `and`, then `or`. Recursion and size are bounded by `RuleLimits`.
struct RuleExpression {
  private var lexer: RuleLexer
  private var token: RuleToken

  /// The condition a text stands for.
  static func parse(_ text: String) throws(ExpressionFault) -> RuleCondition {
    let bytes = text.utf8.count
    guard bytes <= RuleLimits.expressionBytes else {
      throw ExpressionFault(
        code: .outOfRange, offset: 0,
        message: "a condition may have at most \(RuleLimits.expressionBytes) bytes, not \(bytes)")
    }
    var expression = try RuleExpression(text)
    let condition = try expression.disjunction(depth: 0).condition
    switch expression.token.kind {
    case .end: return condition
    case .close: throw expression.fault("there is no '(' to this ')'")
    default: throw expression.fault("'and', 'or' or the end is expected here, not '\(quotable(expression.token.text))'")
    }
  }

  private init(_ text: String) throws(ExpressionFault) {
    lexer = RuleLexer(text)
    token = try lexer.next()
  }

  /// A part of the tree and how many levels it has.
  private struct Branch {
    var condition: RuleCondition
    var height: Int
    var offset: Int
  }

  private mutating func advance() throws(ExpressionFault) { token = try lexer.next() }

  private func fault(_ message: String, _ code: ConfigError.Code = .syntax, at offset: Int? = nil) -> ExpressionFault {
    ExpressionFault(code: code, offset: offset ?? token.offset, message: message)
  }

  private static let tooDeep = "conditions are nested deeper than \(RuleLimits.depth) levels"

  private mutating func disjunction(depth: Int) throws(ExpressionFault) -> Branch {
    var parts = [try conjunction(depth: depth)]
    while token.word == "or" {
      try advance()
      parts.append(try conjunction(depth: depth))
    }
    return try joined(parts, RuleCondition.any)
  }

  private mutating func conjunction(depth: Int) throws(ExpressionFault) -> Branch {
    var parts = [try operand(depth: depth)]
    while token.word == "and" {
      try advance()
      parts.append(try operand(depth: depth))
    }
    return try joined(parts, RuleCondition.all)
  }

  private func joined(_ parts: [Branch], _ join: ([RuleCondition]) -> RuleCondition) throws(ExpressionFault) -> Branch {
    guard parts.count > 1 else { return parts[0] }
    return try raised(
      Branch(condition: join(parts.map(\.condition)), height: parts.map(\.height).max() ?? 0, offset: parts[0].offset))
  }

  /// One level more.
  private func raised(_ branch: Branch) throws(ExpressionFault) -> Branch {
    guard branch.height < RuleLimits.depth else { throw fault(Self.tooDeep, .outOfRange, at: branch.offset) }
    return Branch(condition: branch.condition, height: branch.height + 1, offset: branch.offset)
  }

  private mutating func operand(depth: Int) throws(ExpressionFault) -> Branch {
    guard depth < RuleLimits.depth else { throw fault(Self.tooDeep, .outOfRange) }
    let offset = token.offset
    if token.word == "not" {
      try advance()
      let part = try operand(depth: depth + 1)
      return try raised(Branch(condition: .not(part.condition), height: part.height, offset: offset))
    }
    if token.kind == .open {
      try advance()
      let branch = try disjunction(depth: depth + 1)
      guard token.kind == .close else { throw fault("a ')' is missing here") }
      try advance()
      return branch
    }
    return Branch(condition: .comparison(try comparison()), height: 1, offset: offset)
  }

  private mutating func comparison() throws(ExpressionFault) -> RuleComparison {
    guard case .path(let parts) = token.kind else {
      switch token.kind {
      case .end: throw fault("a metric is expected here, such as memory.level")
      case .number: throw fault("a metric stands left of the comparison, and a number right of it: memory.level > 60%")
      default: throw fault("a metric is expected here, such as memory.level, not '\(quotable(token.text))'")
      }
    }
    let metric = try RuleMetric(parts)
    try advance()
    guard case .relation(let relation) = token.kind else {
      throw fault("'\(metric)' must be compared with a number: \(metric) > ...")
    }
    try advance()
    guard case .number(let number, let unit) = token.kind else {
      throw fault("\(metric.unit.expectation) is expected here" + (token.kind == .end ? "" : ", not '\(quotable(token.text))'"))
    }
    guard let value = metric.unit.value(number, unit) else {
      throw fault("\(metric) takes \(metric.unit.expectation), not '\(quotable(token.text))'", .wrongType)
    }
    guard value == 0 || (RuleLimits.smallestNumber...RuleLimits.largestNumber).contains(value) else {
      throw fault("'\(quotable(token.text))' is beyond anything \(metric) can be", .outOfRange)
    }
    if let largest = metric.largest, value > largest {
      throw fault("\(metric) is 0% to \(Int(largest * 100))%, not '\(quotable(token.text))'", .outOfRange)
    }
    try advance()
    if let word = token.word, metric.unit.value(number, word) != nil {
      throw fault("a unit stands right behind its number, without a blank")
    }
    return RuleComparison(metric, relation, value)
  }
}

extension MetricUnit {
  /// A number in the base unit; nil for a unit of something else.
  fileprivate func value(_ number: Double, _ unit: String) -> Double? {
    switch (self, unit) {
    case (_, ""), (.seconds, "s"), (.bytes, "B"): number
    // The number that is written, not the one next to it that dividing 99.9 gives.
    case (.share, "%"): Double("\(number)e-2") ?? number / 100
    case (.seconds, "ms"): number / 1000
    case (.seconds, "m"): number * 60
    case (.seconds, "h"): number * 3600
    case (.seconds, "d"): number * 86400
    case (.bytes, "K"), (.bytes, "KiB"): number * 0x1p10
    case (.bytes, "M"), (.bytes, "MiB"): number * 0x1p20
    case (.bytes, "G"), (.bytes, "GiB"): number * 0x1p30
    case (.bytes, "T"), (.bytes, "TiB"): number * 0x1p40
    default: nil
    }
  }
}

extension RuleMetric {
  /// The metric that a path names.
  fileprivate init(_ parts: [RuleToken.Part]) throws(ExpressionFault) {
    let written = parts.map(\.text).joined(separator: ".")
    if let metric = MachineMetric(rawValue: written) {
      self = .machine(metric)
      return
    }
    switch parts[0].text {
    case "package": self = .package(try Self.name(parts), try Self.member(parts))
    case "process": self = .process(try Self.name(parts), try Self.member(parts))
    default:
      let near = nearestName(to: written, among: MachineMetric.allCases.map(\.rawValue) + ["package", "process"])
      throw ExpressionFault(
        code: .unknownName, offset: parts[0].offset,
        message: "there is no metric '\(quotable(written))'"
          + (near.map { "; did you mean '\(["package", "process"].contains($0) ? "\($0).NAME" : $0)'?" }
            ?? "; they begin with memory, swap, unloading, package.NAME and process.NAME"))
    }
  }

  private static func name(_ parts: [RuleToken.Part]) throws(ExpressionFault) -> String {
    let kind = parts[0].text
    guard parts.count == 3 else {
      let name = parts.dropFirst().dropLast().map(\.text).joined(separator: ".")
      let message =
        parts.count < 3
        ? "a metric of a \(kind) has three parts: \(kind).NAME.bytes"
        : "a name with dots is in quotes: \(kind).\(UnitName.written(name)).\(parts[parts.count - 1].text)"
      throw ExpressionFault(offset: parts[0].offset, message: quotable(message, limit: 400))
    }
    if let problem = UnitName.fault(parts[1].text) {
      throw ExpressionFault(code: .outOfRange, offset: parts[1].offset, message: "the name of a \(kind) \(problem)")
    }
    return parts[1].text
  }

  private static func member<Metric: MetricDeclaration>(_ parts: [RuleToken.Part]) throws(ExpressionFault) -> Metric {
    let last = parts[2]
    if let metric = Metric(rawValue: last.text) { return metric }
    let names = Metric.allCases.map(\.rawValue)
    let near = nearestName(to: last.text, among: names)
    throw ExpressionFault(
      code: .unknownName, offset: last.offset,
      message: "a \(parts[0].text) has no metric '\(quotable(last.text))'; "
        + (near.map { "did you mean '\($0)'?" } ?? "there are \(names.joined(separator: ", "))"))
  }
}
