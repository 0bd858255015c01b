extension ConfigurationFile {
  /// Goes through the composed document and keeps what is right and what is wrong.
  struct Walk {
    let path: String
    var reading = Settings.Reading()
    /// Where each dotted name was first given.
    private var seen: [String: YAMLPlace] = [:]

    init(path: String) { self.path = path }

    mutating func complain(_ code: ConfigError.Code, _ place: YAMLPlace, _ message: String) {
      reading.errors.append(
        ConfigError(code: code, source: .file(path, line: place.line, column: place.column), message: message))
    }

    mutating func root(_ root: YAMLNode) {
      switch root {
      case .mapping(let pairs, let properties): if isPlain(properties) { mapping(pairs, prefix: "") }
      case .scalar(let scalar, let properties) where scalar.isEmptyValue && properties.arePlain: break
      case .scalar, .sequence: complain(.notAMapping, root.place, "the file must be a mapping of keys to values")
      }
    }

    private mutating func mapping(_ pairs: [YAMLPair], prefix: String) {
      for pair in pairs {
        let place = pair.key.place
        guard case .scalar(let scalar, let properties) = pair.key, properties.arePlain else {
          complain(.unsupported, place, "a key must be a plain word")
          continue
        }
        let name = prefix + scalar.text
        // `log.level: x` and `log: {level: x}` are one key in two mappings.
        if let first = pair.first ?? seen[name] {
          complain(.duplicateKey, place, "key '\(quotable(name))' is given more than once; first in line \(first.line)")
        } else {
          seen[name] = place
          value(pair.value, of: name, at: place)
        }
      }
    }

    private mutating func value(_ node: YAMLNode, of name: String, at place: YAMLPlace) {
      if let key = SettingKeys.byName[name] { return setting(key, node, at: place) }
      guard SettingKeys.sections.contains(name) else { return complain(.unknownKey, place, unknownKeyMessage(name)) }
      switch node {
      case .mapping(let pairs, let properties): if isPlain(properties) { mapping(pairs, prefix: name + ".") }
      case .scalar(let scalar, let properties) where scalar.isEmptyValue && properties.arePlain: break
      case .scalar, .sequence:
        let members = SettingKeys.all.map(\.name).filter { $0.hasPrefix(name + ".") }.joined(separator: ", ")
        complain(.wrongType, node.place, "'\(name)' must be a mapping (it holds \(members))")
      }
    }

    /// Whether a mapping is nothing but that; complains when not.
    private mutating func isPlain(_ properties: YAMLProperties) -> Bool {
      if properties.anchor != nil {
        complain(.unsupported, properties.place, "anchors and aliases are not accepted")
      } else if properties.tag != nil {
        complain(.unsupported, properties.place, "tags are not accepted")
      }
      return properties.arePlain
    }

    private mutating func setting(_ key: any SettingDeclaration, _ node: YAMLNode, at place: YAMLPlace) {
      guard case .scalar(let scalar, let properties) = node else {
        let kind = if case .mapping = node { "a mapping" } else { "a list" }
        return complain(.wrongType, node.place, "'\(key.name)' must be \(key.expectation), not \(kind)")
      }
      guard properties.arePlain else {
        return complain(.unsupported, node.place, "anchors, aliases and tags are not accepted")
      }
      switch key.parse(scalar.isEmptyValue ? "" : scalar.text) {
      case .success(let value):
        reading.entries[key.name] = Settings.Entry(value: value, origin: .file(path, line: place.line))
      case .failure(let fault):
        // An empty value has no place of its own that anyone would look at.
        complain(fault.code, scalar.isEmptyValue ? place : node.place, fault.message)
      }
    }
  }
}
