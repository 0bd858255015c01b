import Model

/// Why a condition is not read.
struct ExpressionFault: Error, Hashable {
  var code = ConfigError.Code.syntax
  /// In Unicode scalars from the begin of the text.
  var offset: Int
  var message: String
}

/// A word of a condition.
struct RuleToken: Hashable {
  enum Kind: Hashable {
    /// `memory.level`, `package."a.b".idle`, `and`.
    case path([Part])
    /// The digits, and what follows them without a blank.
    case number(Double, unit: String)
    case relation(RuleRelation)
    case open
    case close
    case end
  }

  /// What stands between two dots.
  struct Part: Hashable {
    var text: String
    var isQuoted: Bool
    var offset: Int
  }

  var kind: Kind
  var offset: Int
  /// As it was written, for messages.
  var text: String

  /// `and`, `or`, `not` and everything else without a dot and without quotes.
  var word: String? {
    if case .path(let parts) = kind, parts.count == 1, !parts[0].isQuoted { parts[0].text } else { nil }
  }
}

/// Parts a condition's text into words.
struct RuleLexer {
  private let text: [Unicode.Scalar]
  private var index = 0

  init(_ text: String) { self.text = Array(text.unicodeScalars) }

  private var current: Unicode.Scalar? { index < text.count ? text[index] : nil }
  private var following: Unicode.Scalar? { index + 1 < text.count ? text[index + 1] : nil }

  mutating func next() throws(ExpressionFault) -> RuleToken {
    while let scalar = current, " \t\n\r".unicodeScalars.contains(scalar) { index += 1 }
    let start = index
    let kind = try kind()
    return RuleToken(kind: kind, offset: start, text: written(start..<index))
  }

  private func written(_ range: Range<Int>) -> String {
    text[range].reduce(into: "") { $0.unicodeScalars.append($1) }
  }

  private mutating func kind() throws(ExpressionFault) -> RuleToken.Kind {
    guard let scalar = current else { return .end }
    switch scalar {
    case "(":
      index += 1
      return .open
    case ")":
      index += 1
      return .close
    case ">", "<", "=", "!": return .relation(try relation(scalar))
    case "0"..."9": return try number()
    case "a"..."z", "A"..."Z", "_": return .path(try path())
    case "&": throw fault("'&' joins nothing; did you mean 'and'?")
    case "|": throw fault("'|' joins nothing; did you mean 'or'?")
    case "-": throw fault("no metric is negative: a number begins with a digit")
    case "\"": throw fault("a name in quotes stands behind 'package.' or 'process.'")
    default: throw unexpected(scalar)
    }
  }

  private func unexpected(_ scalar: Unicode.Scalar) -> ExpressionFault {
    fault("unexpected character '\(quotable(String(scalar)))'; names of others than letters, digits, '_' and '-' are in quotes")
  }

  private func fault(_ message: String, at offset: Int? = nil) -> ExpressionFault {
    ExpressionFault(offset: offset ?? index, message: message)
  }

  private mutating func relation(_ first: Unicode.Scalar) throws(ExpressionFault) -> RuleRelation {
    let isDouble = following == "="
    guard let relation = RuleRelation(rawValue: String(first) + (isDouble ? "=" : "")) else {
      throw fault(first == "!" ? "'!' compares nothing; did you mean 'not' or '!='?" : "'=' compares nothing; did you mean '=='?")
    }
    index += isDouble ? 2 : 1
    return relation
  }

  private mutating func number() throws(ExpressionFault) -> RuleToken.Kind {
    let start = index
    skip { ("0"..."9").contains($0) }
    if current == ".", let following, ("0"..."9").contains(following) {
      index += 1
      skip { ("0"..."9").contains($0) }
    }
    let digits = written(start..<index)
    let behind = index
    skip { UnitName.isBare($0) || $0 == "%" }
    let unit = written(behind..<index)
    guard digits.utf8.count <= 40, let value = Double(digits), value.isFinite else {
      throw fault("'\(quotable(written(start..<index)))' has more digits than any metric", at: start)
    }
    if unit.lowercased().hasPrefix("e"), unit.utf8.count > 1 {
      throw fault("'\(quotable(written(start..<index)))' is written with an exponent; write the number out", at: start)
    }
    return .number(value, unit: unit)
  }

  private mutating func path() throws(ExpressionFault) -> [RuleToken.Part] {
    var parts = [bare()]
    while current == "." {
      index += 1
      if current == "\"" {
        parts.append(try quoted())
      } else if let current, UnitName.isBare(current) {
        parts.append(bare())
      } else {
        throw fault("a name is missing behind the dot; one of other characters than letters, digits, '_' and '-' is in quotes")
      }
    }
    // Else the name would be said to have too few parts.
    if let current, !current.isASCII { throw unexpected(current) }
    return parts
  }

  private mutating func bare() -> RuleToken.Part {
    let start = index
    skip(while: UnitName.isBare)
    return RuleToken.Part(text: written(start..<index), isQuoted: false, offset: start)
  }

  private mutating func quoted() throws(ExpressionFault) -> RuleToken.Part {
    let start = index
    index += 1
    var name = ""
    while let scalar = current {
      index += 1
      switch scalar {
      case "\"": return RuleToken.Part(text: name, isQuoted: true, offset: start)
      case "\\":
        guard let escaped = current, escaped == "\"" || escaped == "\\" else {
          throw fault("behind a backslash in a name stands '\"' or another backslash")
        }
        name.unicodeScalars.append(escaped)
        index += 1
      default: name.unicodeScalars.append(scalar)
      }
    }
    throw fault("the quote that ends the name is missing", at: start)
  }

  private mutating func skip(while holds: (Unicode.Scalar) -> Bool) {
    while let scalar = current, holds(scalar) { index += 1 }
  }
}
