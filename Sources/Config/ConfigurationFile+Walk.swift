import Yams

extension ConfigurationFile {
  /// Goes through the composed document and keeps what is right and what is wrong.
  struct Walk {
    let path: String
    var reading = Settings.Reading()
    /// Where each dotted name was first given.
    private var seen: [String: Place] = [:]
    private var markers: [Int: [Int]] = [:]

    init(path: String) { self.path = path }

    mutating func complain(_ code: ConfigError.Code, _ place: Place, _ message: String) {
      reading.errors.append(
        ConfigError(code: code, source: .file(path, line: place.line, column: place.column), message: message))
    }

    mutating func document(_ document: Document) {
      guard let root = document.root else { return }
      markers = document.markers
      withExtendedLifetime(document.parser) { self.root(root) }
    }

    private mutating func root(_ root: Node) {
      switch root {
      case .mapping(let mapping): self.mapping(mapping, prefix: "", depth: 1)
      case .scalar(let scalar) where scalar.isEmptyValue: break
      case .scalar, .sequence, .alias:
        complain(.notAMapping, place(of: root), "the file must be a mapping of keys to values")
      }
    }

    private mutating func mapping(_ mapping: Node.Mapping, prefix: String, depth: Int) {
      for (keyNode, value) in mapping {
        guard case .scalar(let scalar) = keyNode, scalar.anchor == nil, let written = scalar.untagged else {
          complain(.unsupported, place(of: keyNode), "a key must be a plain word")
          continue
        }
        let place = place(of: keyNode)
        let full = prefix + String(String.UnicodeScalarView(written.unicodeScalars.drop { $0 == earlierKeyMarker }))
        if let first = seen[full] {
          complain(.duplicateKey, place, "key '\(quotable(full))' is given more than once; first in line \(first.line)")
        } else {
          seen[full] = place
          self.value(value, of: full, at: place, depth: depth)
        }
      }
    }

    private mutating func value(_ node: Node, of name: String, at place: Place, depth: Int) {
      if let key = SettingKeys.byName[name] { return setting(key, node, at: place) }
      guard SettingKeys.sections.contains(name) else { return complain(.unknownKey, place, unknownKeyMessage(name)) }
      guard depth < depthLimit else { return complain(.unsupported, place, "nested deeper than \(depthLimit) levels") }
      switch node {
      case .mapping(let mapping):
        guard mapping.anchor == nil else {
          return complain(.unsupported, self.place(of: node), "anchors and aliases are not accepted")
        }
        self.mapping(mapping, prefix: name + ".", depth: depth + 1)
      case .scalar(let scalar) where scalar.isEmptyValue: break
      case .scalar, .sequence, .alias:
        let members = SettingKeys.all.map(\.name).filter { $0.hasPrefix(name + ".") }.joined(separator: ", ")
        complain(.wrongType, self.place(of: node), "'\(name)' must be a mapping (it holds \(members))")
      }
    }

    private mutating func setting(_ key: any SettingDeclaration, _ node: Node, at place: Place) {
      guard case .scalar(let scalar) = node else {
        let kind = if case .mapping = node { "a mapping" } else { "a list" }
        return complain(.wrongType, self.place(of: node), "'\(key.name)' must be \(key.expectation), not \(kind)")
      }
      guard scalar.anchor == nil, let text = scalar.untagged else {
        return complain(.unsupported, self.place(of: node), "anchors, aliases and tags are not accepted")
      }
      switch key.parse(scalar.isEmptyValue ? "" : text) {
      case .success(let value):
        reading.entries[key.name] = Settings.Entry(value: value, origin: .file(path, line: place.line))
      case .failure(let fault):
        // An empty value has no place of its own that anyone would look at.
        complain(fault.code, scalar.isEmptyValue ? place : self.place(of: node), fault.message)
      }
    }

    /// In the text as it was written: without the markers that stand earlier in the line.
    private func place(of node: Node) -> Place {
      guard let mark = node.mark else { return Place(line: 1, column: 1) }
      let before = markers[mark.line, default: []].count { $0 < mark.column }
      return Place(line: mark.line, column: mark.column - before)
    }
  }
}

extension Node.Scalar {
  /// The text; nil when an explicit tag asks for some other reading of it.
  fileprivate var untagged: String? {
    tag.description.isEmpty || tag == Tag(.implicit) || tag == Tag(.str) ? string : nil
  }

  /// Nothing, `~` or `null`, not in quotes.
  fileprivate var isEmptyValue: Bool { style == .plain && ["", "~", "null", "Null", "NULL"].contains(string) }
}
