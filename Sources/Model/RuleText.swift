extension RuleCondition: CustomStringConvertible {
  /// As rules write it; reads back as the same condition.
  public var description: String {
    switch self {
    case .all(let parts): parts.map(\.asPart).joined(separator: " and ")
    case .any(let parts): parts.map(\.asPart).joined(separator: " or ")
    case .not(let part): "not \(part.asPart)"
    case .comparison(let comparison): comparison.description
    }
  }

  private var asPart: String {
    switch self {
    case .all, .any: "(\(self))"
    case .not, .comparison: description
    }
  }
}

extension RuleComparison: CustomStringConvertible {
  /// `package.torch.idle > 120s`
  public var description: String { "\(metric) \(relation.rawValue) \(metric.unit.text(value))" }
}

extension RuleAction: CustomStringConvertible {
  /// For people: `unload torch`.
  public var description: String {
    switch self {
    case .unload(let name): "unload \(name)"
    case .setStrategy(let strategy, of: let name?): "strategy of \(name) \(strategy)"
    case .setStrategy(let strategy, of: nil): "strategy \(strategy)"
    case .allow(let name): "allow \(name)"
    case .deny(let name): "deny \(name)"
    case .useProfile(let profile): "profile \(profile?.rawValue ?? "none")"
    case .collect: "collect"
    case .merge(let name): "merge \(name)"
    case .log(let message): "log \(message.debugDescription)"
    }
  }
}

extension MetricUnit {
  /// A number with its unit, so that it reads back as the same number; what is no number as `nan` or `inf`.
  public func text(_ value: Double) -> String {
    switch self {
    case .share, .count: return decimal(value)
    case .seconds: return decimal(value) + "s"
    case .bytes:
      for (size, unit) in [(0x1p40, "TiB"), (0x1p30, "GiB"), (0x1p20, "MiB"), (0x1p10, "KiB")]
      where value >= size && (value / size).rounded() == value / size {
        return decimal(value / size) + unit
      }
      return decimal(value)
    }
  }
}

/// The shortest digits that mean the number, without an exponent.
private func decimal(_ value: Double) -> String {
  let text = "\(value)"
  guard value.isFinite else { return text }
  guard let mark = text.firstIndex(of: "e"), let exponent = Int(text[text.index(after: mark)...]) else {
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
  let isNegative = text.hasPrefix("-")
  let mantissa = text[..<mark].drop { $0 == "-" }.split(separator: ".")
  let whole = mantissa[0]
  let fraction = mantissa.count > 1 && mantissa[1] != "0" ? mantissa[1] : ""
  let digits = whole + fraction
  let point = whole.count + exponent
  let zeros = { (count: Int) in String(repeating: "0", count: count) }
  let result =
    if point <= 0 {
      "0.\(zeros(-point))\(digits)"
    } else if point >= digits.count {
      "\(digits)\(zeros(point - digits.count))"
    } else {
      "\(digits.prefix(point)).\(digits.dropFirst(point))"
    }
  return (isNegative ? "-" : "") + result
}
