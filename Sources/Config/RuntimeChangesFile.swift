import Model

/// Where run-time changes are kept: `settings.json` in the state folder. Written whole, so that it is the old one or the new one
/// whenever the machine stops; one that MLOS did not write, or of which a part is missing, is refused and left as it is.
///
/// There is one writer: the supervisor that holds the sockets.
public struct RuntimeChangesFile: Sendable {
  public let path: String

  /// - Parameter stateDirectory: Made when it is missing.
  public init(stateDirectory: String) { path = stateDirectory + "/settings.json" }

  private static let format = "mlos run-time settings"
  private static let version = "1"
  /// A change has nine values; a rule of many actions has about a hundred.
  private static let limits = YAMLLimits(depth: 8, nodes: 16 + 9 * RuntimeChanges.limit + 100 * RuleLimits.rules)

  /// What is stored; nothing where there is no file.
  public func read() throws(ConfigErrors) -> RuntimeChanges {
    let bytes: [UInt8]
    do throws(FileFault) {
      bytes = try readWhole(path, limit: ConfigurationFile.sizeLimit)
    } catch {
      if error.isMissing { return RuntimeChanges() }
      throw ConfigErrors([ConfigError(code: error.code, source: .file(path, line: nil, column: nil), message: error.message)])
    }
    return try Self.decode(bytes, path: path)
  }

  /// Puts `changes` in the place of what is stored. When it returns they are on the disk.
  public func write(_ changes: RuntimeChanges) throws(ConfigErrors) {
    _ = try read()
    do throws(FileFault) {
      try writeWhole(Self.encode(changes), to: path)
    } catch {
      throw ConfigErrors([ConfigError(code: error.code, source: .file(path, line: nil, column: nil), message: error.message)])
    }
  }

  static func encode(_ changes: RuntimeChanges) -> [UInt8] {
    let lines = changes.changes.map { change in
      "    {\"key\": \(quoted(change.key)), \"value\": \(quoted(change.value)), \"who\": \(quoted(change.who)), "
        + "\"when\": \(change.when)}"
    }
    let rules = changes.rules.map { added in
      "    {\"rule\": \(RuleFile.json(added.rule)), \"who\": \(quoted(added.who)), \"when\": \(added.when)}"
    }
    func list(_ lines: [String]) -> String { lines.isEmpty ? "[]" : "[\n\(lines.joined(separator: ",\n"))\n  ]" }
    let members = [
      "\"format\": \(quoted(format))", "\"version\": \(version)", "\"changes\": \(list(lines))", "\"rules\": \(list(rules))",
    ]
    return Array("{\n\(members.map { "  \($0)" }.joined(separator: ",\n"))\n}\n".utf8)
  }

  /// JSON is YAML, as far as it is written above.
  static func decode(_ bytes: [UInt8], path: String) throws(ConfigErrors) -> RuntimeChanges {
    func refused(_ code: ConfigError.Code, _ place: YAMLPlace?, _ message: String) -> ConfigErrors {
      ConfigErrors([
        ConfigError(
          code: code, source: .file(path, line: place?.line, column: place?.column),
          message: message + "; the file is left as it is")
      ])
    }
    let root: YAMLNode?
    do throws(YAMLFault) { root = try YAMLNode.compose(bytes, limits: limits) } catch {
      throw refused(.foreign, error.place, "not whole, or not written by MLOS: \(error.message)")
    }
    guard case .mapping(let pairs, _)? = root, let found = members(pairs), found["format"]?.scalarText == format else {
      throw refused(.foreign, root?.place, root == nil ? "empty, and so not whole" : "not written by MLOS")
    }
    guard let version = found["version"]?.scalarText, version == Self.version else {
      throw refused(
        .foreign, found["version"]?.place,
        "written by a newer MLOS: version \(quotable(found["version"]?.scalarText ?? "unknown")), known is \(Self.version)")
    }
    guard case .sequence(let items, _)? = found["changes"], case .sequence(let rules, _)? = found["rules"], found.count == 4
    else {
      throw refused(.foreign, root?.place, "not written by MLOS")
    }
    var changes = RuntimeChanges()
    for item in items {
      guard case .mapping(let pairs, _) = item, let parts = members(pairs), parts.count == 4,
        let key = parts["key"]?.scalarText, let value = parts["value"]?.scalarText, let who = parts["who"]?.scalarText,
        let when = parts["when"]?.scalarText.flatMap({ Int64($0) })
      else { throw refused(.foreign, item.place, "not written by MLOS: a change has key, value, who and when") }
      guard changes[key] == nil else { throw refused(.foreign, item.place, "'\(quotable(key))' is in it more than once") }
      do throws(ConfigError) {
        try changes.set(key, to: value, by: who, at: when)
      } catch {
        throw refused(error.code, item.place, error.message)
      }
    }
    for item in rules {
      guard case .mapping(let pairs, _) = item, let parts = members(pairs), parts.count == 3, let node = parts["rule"],
        let who = parts["who"]?.scalarText, let when = parts["when"]?.scalarText.flatMap({ Int64($0) })
      else { throw refused(.foreign, item.place, "not written by MLOS: an added rule has rule, who and when") }
      var walk = RuleWalk(file: path, bytes: bytes)
      walk.rules(.sequence([node], node.properties))
      if let mistake = walk.mistakes.first { throw refused(mistake.code, mistake.place, mistake.message) }
      for found in walk.rules {
        guard !changes.rules.contains(where: { $0.rule.name == found.rule.name }) else {
          throw refused(.foreign, item.place, "rule '\(found.rule.name)' is in it more than once")
        }
        do throws(ConfigError) { try changes.set(found.rule, by: who, at: when) } catch {
          throw refused(error.code, item.place, error.message)
        }
      }
    }
    return changes
  }

  private static func members(_ pairs: [YAMLPair]) -> [String: YAMLNode]? {
    var found: [String: YAMLNode] = [:]
    for pair in pairs {
      guard let key = pair.key.scalarText, found.updateValue(pair.value, forKey: key) == nil else { return nil }
    }
    return found
  }
}

extension YAMLNode {
  fileprivate var scalarText: String? { if case .scalar(let scalar, _) = self { scalar.text } else { nil } }
}
