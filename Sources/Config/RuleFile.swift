import Glibc
import Model

/// Rules as files have them.
public enum RuleFile {
  /// Every rule of a text; they need not go with others.
  ///
  /// - Parameters:
  ///   - bytes: A YAML document with `rules:`, as in `mlos.yaml` and in the files of `rules.d`.
  ///   - path: Where it is from, for the errors.
  public static func read(_ bytes: [UInt8], path: String) throws(ConfigErrors) -> [Rule] {
    let (rules, errors) = placed(bytes, path: path)
    guard errors.isEmpty else { throw ConfigErrors(errors) }
    return rules.map(\.rule)
  }

  static func placed(_ bytes: [UInt8], path: String) -> (rules: [PlacedRule], errors: [ConfigError]) {
    let reading = ConfigurationFile.read(bytes, path: path)
    let settings = reading.entries.values.compactMap { entry in
      if case .file(_, let line) = entry.origin { (line, entry.column) } else { nil }
    }
    guard let (line, column) = settings.min(by: { $0.0 < $1.0 }) else { return (reading.rules, reading.errors) }
    let misplaced = ConfigError(
      code: .unknownKey, source: .file(path, line: line, column: column),
      message: "a file of rules holds nothing but 'rules'; settings are in mlos.yaml")
    return ([], reading.errors + [misplaced])
  }

  /// What a file of rules holds; of standard input for `-`.
  ///
  /// - Parameter label: What a mistake calls it.
  public static func contents(of path: String, called label: String) throws(ConfigErrors) -> [UInt8] {
    do throws(FileFault) {
      let limit = ConfigurationFile.sizeLimit
      return path == "-" ? try readWhole(STDIN_FILENO, limit: limit) : try readWhole(path, limit: limit)
    } catch {
      throw ConfigErrors([ConfigError(code: error.code, source: .file(label, line: nil, column: nil), message: error.message)])
    }
  }

  /// The rules of a text that has at least one, each name once.
  static func whole(_ bytes: [UInt8], path: String) throws(ConfigErrors) -> [PlacedRule] {
    var (rules, errors) = placed(bytes, path: path)
    var lines: [String: Int] = [:]
    for rule in rules {
      guard let line = lines.updateValue(rule.place.line, forKey: rule.rule.name) else { continue }
      let message = "rule '\(rule.rule.name)' is given more than once; first in line \(line)"
      errors.append(rule.error(.duplicateKey, rule.place, message, field: "name"))
    }
    if rules.isEmpty, errors.isEmpty {
      let source = ConfigError.Source.file(path, line: 1, column: 1)
      errors = [
        ConfigError(code: .wrongType, source: source, message: "there is no rule in it; a file of rules begins with 'rules:'")
      ]
    }
    guard errors.isEmpty else {
      // Beside other mistakes it would show only once those are mended.
      if let circle = PlacedRule.circle(rules, beside: []) { errors.append(circle) }
      throw ConfigErrors(errors)
    }
    return rules
  }

  /// What is wrong with a text of rules beside a configuration: rules that it comes after may be here or there, and so may strategies.
  ///
  /// - Returns: How many there are.
  public static func check(_ bytes: [UInt8], path: String, beside settings: Settings) throws(ConfigErrors) -> Int {
    let found = try whole(bytes, path: path)
    var others = settings
    let errors = others.take(found, beside: settings.rules.filter { rule in !found.contains { $0.rule.name == rule.name } })
    guard errors.isEmpty else { throw ConfigErrors(errors) }
    return found.count
  }

  /// A document that reads back as the same rules.
  public static func text(_ rules: [Rule]) -> String {
    guard !rules.isEmpty else { return "rules: []\n" }
    return "rules:\n" + rules.map(text).joined()
  }

  private static func text(_ rule: Rule) -> String {
    members(rule).enumerated().map { "\($0.offset == 0 ? "  - " : "    ")\($0.element.key): \($0.element.value)\n" }.joined()
  }

  /// One rule as a JSON object, which reads back as an item of `rules`.
  public static func json(_ rule: Rule) -> String {
    "{" + members(rule).map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ") + "}"
  }

  /// Keys and, in JSON, their values; what is as it would be anyway is left out.
  private static func members(_ rule: Rule) -> [(key: String, value: String)] {
    var members = [("name", quoted(rule.name)), ("when", quoted(rule.condition.description))]
    if rule.holdSeconds != 0 { members.append(("for", quoted(MetricUnit.seconds.text(rule.holdSeconds)))) }
    if rule.cooldownSeconds != Rule.standardCooldownSeconds {
      members.append(("every", quoted(MetricUnit.seconds.text(rule.cooldownSeconds))))
    }
    if !rule.after.isEmpty { members.append(("after", "[\(rule.after.map(quoted).joined(separator: ", "))]")) }
    if !rule.isEnabled { members.append(("enabled", "false")) }
    members.append(("then", "[\(rule.actions.map { "{\(json($0))}" }.joined(separator: ", "))]"))
    return members
  }

  private static func json(_ action: RuleAction) -> String {
    switch action {
    case .unload(let name): "\"unload\": \(quoted(name))"
    case .setStrategy(let strategy, of: nil): "\"strategy\": \(quoted(strategy))"
    case .setStrategy(let strategy, of: let name?): "\"strategy\": {\(quoted(name)): \(quoted(strategy))}"
    case .allow(let name): "\"allow\": \(quoted(name))"
    case .deny(let name): "\"deny\": \(quoted(name))"
    case .useProfile(let profile): "\"profile\": \(quoted(UnloadingProfile(profile).rawValue))"
    case .collect: "\"collect\": null"
    case .merge(let name): "\"merge\": \(quoted(name))"
    case .log(let message): "\"log\": \(quoted(message))"
    }
  }
}

/// Text in quotes as both JSON and YAML read it. What either does not allow in them is escaped.
func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar.value {
    case 0x22, 0x5C: result += "\\\(scalar)"
    case 0..<0x20, 0x7F...0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF:
      let digits = String(scalar.value, radix: 16)
      result += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
