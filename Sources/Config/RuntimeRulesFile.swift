import Model

/// Where rules that were added or turned at run time are kept: `rules.json` in the state folder.
public struct RuntimeRulesFile: Sendable {
  public let path: String

  /// - Parameter stateDirectory: Made when it is missing.
  public init(stateDirectory: String) { path = stateDirectory + "/rules.json" }

  /// A rule of many actions has about a hundred values.
  private static let file = RuntimeFile(
    format: "mlos run-time rules", lists: ["rules", "switches"],
    limits: YAMLLimits(depth: 8, nodes: 16 + 100 * RuleLimits.rules))

  /// What is stored; nothing where there is no file.
  public func read() throws(ConfigErrors) -> RuntimeRules {
    try Self.file.read(path).map { bytes throws(ConfigErrors) in try Self.decode(bytes, path: path) } ?? RuntimeRules()
  }

  /// Puts `rules` in the place of what is stored. When it returns they are on the disk.
  public func write(_ rules: RuntimeRules) throws(ConfigErrors) {
    _ = try read()
    try Self.file.write(Self.encode(rules), to: path)
  }

  static func encode(_ rules: RuntimeRules) -> [UInt8] {
    file.encode([
      rules.added.map { "{\"rule\": \(RuleFile.json($0.rule)), \"who\": \(quoted($0.who)), \"when\": \($0.when)}" },
      rules.switches.map {
        "{\"name\": \(quoted($0.name)), \"enabled\": \($0.isEnabled), \"who\": \(quoted($0.who)), \"when\": \($0.when)}"
      },
    ])
  }

  static func decode(_ bytes: [UInt8], path: String) throws(ConfigErrors) -> RuntimeRules {
    let lists = try file.decode(bytes, path: path)
    var rules = RuntimeRules()
    for item in lists[0] {
      guard let parts = item.members("rule", "who", "when"), let node = parts["rule"], let who = parts["who"]?.scalarText,
        let when = parts["when"]?.scalarText.flatMap({ Int64($0) })
      else { throw file.refused(.foreign, path, item.place, "not written by MLOS: an added rule has rule, who and when") }
      var walk = RuleWalk(file: path, bytes: bytes)
      walk.rules(.sequence([node], node.properties))
      if let mistake = walk.mistakes.first { throw file.refused(mistake.code, path, mistake.place, mistake.message) }
      for found in walk.rules {
        guard !rules.isAdded(found.rule.name) else {
          throw file.refused(.foreign, path, item.place, "rule '\(found.rule.name)' is in it more than once")
        }
        do throws(ConfigError) { try rules.set(found.rule, by: who, at: when) } catch {
          throw file.refused(error.code, path, item.place, error.message)
        }
      }
    }
    for item in lists[1] {
      guard let parts = item.members("name", "enabled", "who", "when"), let name = parts["name"]?.scalarText,
        let isEnabled = parts["enabled"]?.scalarText.flatMap({ Bool($0) }), let who = parts["who"]?.scalarText,
        let when = parts["when"]?.scalarText.flatMap({ Int64($0) }), PlainName.fault(name) == nil, !rules.isAdded(name),
        !rules.switches.contains(where: { $0.name == name })
      else {
        throw file.refused(
          .foreign, path, item.place, "not written by MLOS: a switch has name, enabled, who and when, once a name")
      }
      rules.turn(name, on: isEnabled, written: nil, by: who, at: when)
    }
    return rules
  }
}
