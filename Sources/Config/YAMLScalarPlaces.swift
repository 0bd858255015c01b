/// Finds the characters of a scalar in the text it was read from.
///
/// Between the two lie folded lines, indentation and escapes; what they leave alone is that the characters which are no blanks
/// stand in the same order, and no others between them.
struct YAMLScalarPlaces {
  /// Of the scalar's characters that are no blanks, in order.
  private let places: [YAMLPlace]
  /// Behind the last of them.
  private let end: YAMLPlace

  /// - Parameters:
  ///   - start: Where the scalar begins.
  ///   - source: The document; stands behind the scalar then.
  init(_ scalar: YAMLScalar, at start: YAMLPlace, in source: inout YAMLSource) {
    var places: [YAMLPlace] = []
    let wanted = scalar.text.unicodeScalars.count { !$0.isYAMLBlank }
    source.seek(start)
    source.enter(scalar.style)
    while places.count < wanted, let (character, place) = source.next(scalar.style) {
      if !character.isYAMLBlank { places.append(place) }
    }
    self.places = places
    end = places.last.map { YAMLPlace(line: $0.line, column: $0.column + 1) } ?? start
  }

  /// Where the character at an offset stands, in Unicode scalars of the scalar's text; for a blank, the next that is none.
  func place(ofOffset offset: Int, in text: String) -> YAMLPlace {
    let index = text.unicodeScalars.prefix(offset).count { !$0.isYAMLBlank }
    return index < places.count ? places[index] : end
  }
}

/// The characters of a document, which is UTF-8, one after the other. It goes forward: to find many scalars in the order of the
/// document takes one way through it.
struct YAMLSource {
  private let bytes: ArraySlice<UInt8>
  private var index: Int
  /// Of the character at `index`.
  private var place = YAMLPlace()

  init(_ bytes: [UInt8]) {
    self.bytes = withoutMark(bytes)
    index = self.bytes.startIndex
  }

  mutating func seek(_ wanted: YAMLPlace) {
    if (wanted.line, wanted.column) < (place.line, place.column) { (index, place) = (bytes.startIndex, YAMLPlace()) }
    while (place.line, place.column) < (wanted.line, wanted.column), pop() != nil {}
  }

  private var current: Unicode.Scalar? { decoded()?.scalar }

  private func decoded() -> (scalar: Unicode.Scalar, length: Int)? {
    guard index < bytes.endIndex else { return nil }
    let first = bytes[index]
    let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    guard length > 1 else { return (Unicode.Scalar(first), 1) }
    let rest = bytes[(index + 1)..<min(index + length, bytes.endIndex)]
    let code = rest.reduce(UInt32(first) & (0x7F >> UInt32(length))) { $0 << 6 | UInt32($1 & 0x3F) }
    return (Unicode.Scalar(code) ?? "\u{FFFD}", length)
  }

  private mutating func pop() -> (Unicode.Scalar, YAMLPlace)? {
    guard let (scalar, length) = decoded() else { return nil }
    let here = place
    index += length
    // The line feed behind a carriage return ends the line, not the return.
    if scalar.isYAMLLineEnd, !(scalar == "\r" && current == "\n") {
      place = YAMLPlace(line: here.line + 1, column: 1)
    } else {
      place.column += 1
    }
    return (scalar, here)
  }

  private mutating func skip(while holds: (Unicode.Scalar) -> Bool) {
    while let current, holds(current) { _ = pop() }
  }

  /// Goes past what stands before the first character: a tag, the quote, or the line of the block's indicator.
  mutating func enter(_ style: YAMLScalar.Style) {
    if current == "!" {
      skip { !$0.isYAMLBlank }
      skip { $0.isYAMLBlank }
    }
    switch style {
    case .plain: break
    case .singleQuoted, .doubleQuoted: _ = pop()
    case .block: skip { !$0.isYAMLLineEnd }
    }
  }

  mutating func next(_ style: YAMLScalar.Style) -> (Unicode.Scalar, YAMLPlace)? {
    guard let (scalar, place) = pop() else { return nil }
    switch (style, scalar) {
    case (.singleQuoted, "'"):
      // Two of them stand for one, one alone ends the text.
      return pop()?.0 == "'" ? (scalar, place) : nil
    case (.doubleQuoted, "\""): return nil
    case (.doubleQuoted, "\\"): return (escaped(), place)
    default: return (scalar, place)
    }
  }

  /// What the escape behind a backslash stands for; a blank where it stands for one, or for nothing.
  private mutating func escaped() -> Unicode.Scalar {
    guard let (letter, _) = pop() else { return " " }
    switch letter {
    case "x": return coded(2)
    case "u": return coded(4)
    case "U": return coded(8)
    case "0": return "\0"
    case "a": return "\u{7}"
    case "b": return "\u{8}"
    case "v": return "\u{B}"
    case "f": return "\u{C}"
    case "e": return "\u{1B}"
    case "_": return "\u{A0}"
    case "n", "r", "t", "N", "L", "P": return "\n"
    default: return letter
    }
  }

  private mutating func coded(_ digits: Int) -> Unicode.Scalar {
    var text = ""
    for _ in 0..<digits { if let (digit, _) = pop() { text.unicodeScalars.append(digit) } }
    return UInt32(text, radix: 16).flatMap(Unicode.Scalar.init) ?? " "
  }
}

extension Unicode.Scalar {
  fileprivate var isYAMLBlank: Bool { self == " " || self == "\t" || isYAMLLineEnd }
  fileprivate var isYAMLLineEnd: Bool {
    switch self {
    case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": true
    default: false
    }
  }
}
