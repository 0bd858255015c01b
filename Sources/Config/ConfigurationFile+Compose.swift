import Yams

extension ConfigurationFile {
  /// Stands before a key that occurs again later in its mapping, so that the parser, which stops at the first duplicate,
  /// can go on. From the private use area: no key of the table has it.
  static let earlierKeyMarker: Unicode.Scalar = "\u{F8F0}"

  /// What the parser made of a text.
  struct Document {
    /// Nil when there is nothing in the text.
    var root: Node?
    /// Nodes hold their anchors weakly: they last as long as this.
    var parser: Parser
    /// Columns of the markers put into the text, by line.
    var markers: [Int: [Int]]
  }

  static func compose(_ original: String) -> Result<Document, Fault> {
    var text = original
    for _ in 0..<duplicateLimit {
      do {
        let parser = try Parser(yaml: text, resolver: .basic, constructor: .default, encoding: .utf8)
        let root = try parser.singleRoot()
        return .success(Document(root: root, parser: parser, markers: text == original ? [:] : markers(in: text)))
      } catch YamlError.duplicatedKeysInMapping(let names, let context) {
        let first = Place(context.mark)
        guard let marked = marking(text, at: first) else {
          let name = quotable(names.first ?? "")
          return .failure(Fault(code: .duplicateKey, mark: first, message: "key '\(name)' is given more than once"))
        }
        text = marked
      } catch let error as YamlError {
        return .failure(fault(of: error))
      } catch {
        return .failure(Fault(code: .syntax, mark: Place(line: 1, column: 1), message: "cannot be parsed: \(error)"))
      }
    }
    return .failure(
      Fault(code: .duplicateKey, mark: Place(line: 1, column: 1), message: "more than \(duplicateLimit) keys are given twice"))
  }

  /// The text with `earlierKeyMarker` put into the key at `place`, inside its quotes where it has some; nil when what stands
  /// there is no plain or quoted key.
  static func marking(_ text: String, at place: Place) -> String? {
    var scalars = Array(text.unicodeScalars)
    var start = 0
    for _ in 1..<max(place.line, 1) {
      guard let end = scalars[start...].firstIndex(of: "\n") else { return nil }
      start = end + 1
    }
    var index = start + place.column - 1
    guard index < scalars.count else { return nil }
    if scalars[index] == "\"" || scalars[index] == "'" { index += 1 }
    guard index < scalars.count, !"{[?*&!|>%@`#\n".unicodeScalars.contains(scalars[index]) else { return nil }
    scalars.insert(earlierKeyMarker, at: index)
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  private static func markers(in text: String) -> [Int: [Int]] {
    var markers: [Int: [Int]] = [:]
    var place = Place(line: 1, column: 1)
    for scalar in text.unicodeScalars {
      if scalar == earlierKeyMarker { markers[place.line, default: []].append(place.column) }
      place = scalar == "\n" ? Place(line: place.line + 1, column: 1) : Place(line: place.line, column: place.column + 1)
    }
    return markers
  }

  private static func fault(of error: YamlError) -> Fault {
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _):
      let during = context.map { " (\($0.text), line \($0.mark.line))" } ?? ""
      return Fault(code: .syntax, mark: Place(mark), message: "not YAML: \(problem)\(during)")
    case .composer(_, let problem, let mark, _):
      return Fault(code: .syntax, mark: Place(mark), message: "one YAML document is expected: \(problem)")
    case .reader(let problem, _, let value, let yaml):
      return Fault(code: .encoding, mark: placeOfControl(UInt32(max(value, 0)), in: yaml), message: "not YAML: \(problem)")
    case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded, .duplicatedKeysInMapping:
      return Fault(code: .syntax, mark: Place(line: 1, column: 1), message: "cannot be parsed: \(error)")
    }
  }

  /// The parser's own offset counts grapheme clusters; the character it refused is known, so look for that.
  private static func placeOfControl(_ value: UInt32, in text: String) -> Place {
    var place = Place(line: 1, column: 1)
    for scalar in text.unicodeScalars {
      if scalar.value == value { return place }
      place = scalar == "\n" ? Place(line: place.line + 1, column: 1) : Place(line: place.line, column: place.column + 1)
    }
    return Place(line: 1, column: 1)
  }
}

extension ConfigurationFile.Place {
  init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }
}
