/// Reads `mlos.yaml`: a mapping of mappings down to the values. Everything wrong in it is found at once; nothing of YAML
/// that a configuration file does not need is read (anchors, aliases, tags).
enum ConfigurationFile {
  /// 1 MiB: a thousand times what a configuration with every key takes.
  static let sizeLimit = 1 << 20
  /// Deepest mapping looked into; the table's keys have at most four parts.
  static let depthLimit = 16
  /// Duplicates told apart before the rest of the file goes unread.
  static let duplicateLimit = 100

  static func read(_ bytes: [UInt8], path: String) -> Settings.Reading {
    var walk = Walk(path: path)
    let text: String
    switch decode(bytes) {
    case .success(let decoded): text = decoded
    case .failure(let fault):
      walk.complain(fault.code, fault.mark, fault.message)
      return walk.reading
    }
    if let mark = aliasMark(in: text) {
      walk.complain(.unsupported, mark, "anchors and aliases are not accepted; write the value out")
      return walk.reading
    }
    switch compose(text) {
    case .success(let document): walk.document(document)
    case .failure(let fault): walk.complain(fault.code, fault.mark, fault.message)
    }
    walk.reading.errors.sort { ($0.line ?? 0, $0.column ?? 0, $0.message) < ($1.line ?? 0, $1.column ?? 0, $1.message) }
    return walk.reading
  }

  struct Fault: Error {
    var code: ConfigError.Code
    var mark: Place
    var message: String
  }

  /// From 1; columns count Unicode scalars.
  struct Place: Equatable {
    var line: Int
    var column: Int
  }

  /// UTF-8 without NUL; the fault names the first bad byte's place.
  static func decode(_ bytes: [UInt8]) -> Result<String, Fault> {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      // Bad bytes decode to U+FFFD, so the first one that is not spelled out in the file is the fault.
      var position = 0
      var place = Place(line: 1, column: 1)
      for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
        let spelled = Array(String(scalar).utf8)
        if scalar == "\u{FFFD}", !bytes[position...].starts(with: spelled) { break }
        position += spelled.count
        place = scalar == "\n" ? Place(line: place.line + 1, column: 1) : Place(line: place.line, column: place.column + 1)
      }
      return .failure(Fault(code: .encoding, mark: place, message: "byte that is no UTF-8"))
    }
    if let index = text.unicodeScalars.firstIndex(of: "\0") {
      return .failure(Fault(code: .encoding, mark: place(of: index, in: text), message: "NUL character"))
    }
    return .success(text)
  }

  /// Where `*name` follows `&name` in the text. A document that expands must hold both, and composing it could take
  /// exponential time, so this looks before the parser does. Text that only quotes both is refused too.
  static func aliasMark(in text: String) -> Place? {
    var anchors: Set<Substring> = []
    let scalars = text.unicodeScalars
    var index = scalars.startIndex
    while let start = scalars[index...].firstIndex(where: { $0 == "&" || $0 == "*" }) {
      let nameStart = scalars.index(after: start)
      let nameEnd =
        scalars[nameStart...].firstIndex {
          !($0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "_" || $0 == "-")
        } ?? scalars.endIndex
      index = nameStart
      guard nameStart < nameEnd else { continue }
      let name = text[nameStart..<nameEnd]
      if scalars[start] == "&" {
        anchors.insert(name)
      } else if anchors.contains(name) {
        return place(of: start, in: text)
      }
    }
    return nil
  }

  private static func place(of index: String.Index, in text: String) -> Place {
    var place = Place(line: 1, column: 1)
    for scalar in text.unicodeScalars[..<index] {
      place = scalar == "\n" ? Place(line: place.line + 1, column: 1) : Place(line: place.line, column: place.column + 1)
    }
    return place
  }
}
