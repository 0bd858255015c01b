extension ConfigurationFile {
  /// Goes through the composed document and keeps what is right and what is wrong.
  struct Walk {
    let path: String
    /// Of the document, to find a place inside a text again.
    let bytes: [UInt8]
    var reading = Settings.Reading()
    /// Where each dotted name was first given.
    private var seen: [String: YAMLPlace] = [:]

    init(path: String, bytes: [UInt8]) {
      self.path = path
      self.bytes = bytes
    }

    /// More mistakes than anyone reads are counted as one: each of them looks for the nearest name.
    mutating func complain(
      _ code: ConfigError.Code, _ place: YAMLPlace, _ message: @autoclosure () -> String, field: String? = nil
    ) {
      guard reading.errors.count < ConfigurationFile.complaintLimit else { return }
      let isLast = reading.errors.count == ConfigurationFile.complaintLimit - 1
      reading.errors.append(
        ConfigError(
          code: code, source: .file(path, line: place.line, column: place.column),
          message: isLast ? "more mistakes than are shown; the first of them: \(message())" : message(), field: field))
    }

    mutating func root(_ root: YAMLNode) {
      switch root {
      case .mapping(let pairs, let properties): if isPlain(properties) { mapping(pairs, in: SettingPath([])) }
      case .scalar(let scalar, let properties) where scalar.isEmptyValue && properties.arePlain: break
      case .scalar, .sequence: complain(.notAMapping, root.place, "the file must be a mapping of keys to values")
      }
    }

    /// - Parameter namesOnly: Whether the keys are names that people chose, which may have dots in them.
    private mutating func mapping(_ pairs: [YAMLPair], in section: SettingPath, namesOnly: Bool = false) {
      for pair in pairs {
        let place = pair.key.place
        guard case .scalar(let scalar, let properties) = pair.key, properties.arePlain else {
          complain(.unsupported, place, "a key must be a plain word")
          continue
        }
        let path = section.appending(namesOnly ? [scalar.text] : SettingPath(text: scalar.text).parts)
        let meaning = SettingKeys.meaning(of: path)
        let name = meaning.name ?? path.text
        // `log.level: x` and `log: {level: x}` are one key in two mappings.
        if let first = pair.first ?? seen[name] {
          complain(.duplicateKey, place, "key '\(quotable(name))' is given more than once; first in line \(first.line)")
        } else {
          seen[name] = place
          value(pair.value, of: path, meaning, at: place)
        }
      }
    }

    private mutating func value(_ node: YAMLNode, of path: SettingPath, _ meaning: SettingKeys.Meaning, at place: YAMLPlace) {
      let namesOnly = if case .names = meaning { true } else { false }
      switch meaning {
      case .rules:
        var walk = RuleWalk(file: self.path, bytes: bytes)
        walk.rules(node)
        for mistake in walk.mistakes { complain(mistake.code, mistake.place, mistake.message, field: mistake.field) }
        reading.rules += walk.rules
      case .nothing(let code, let message): complain(code, place, message)
      case .setting(let key, _): setting(key, node, at: place)
      case .section(let name, let holds), .names(let name, let holds):
        switch node {
        case .mapping(let pairs, let properties): if isPlain(properties) { mapping(pairs, in: path, namesOnly: namesOnly) }
        case .scalar(let scalar, let properties) where scalar.isEmptyValue && properties.arePlain: break
        case .scalar, .sequence: complain(.wrongType, node.place, "'\(name)' must be a mapping (it holds \(holds))")
        }
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
        reading.entries[key.name] = Settings.Entry(
          value: value, origin: .file(path, line: place.line), column: place.column)
      case .failure(let fault):
        // An empty value has no place of its own that anyone would look at.
        complain(fault.code, scalar.isEmptyValue ? place : node.place, fault.message)
      }
    }
  }
}
