/// Finds the characters of a scalar in the text it was read from.
///
/// Between the two lie folded lines, indentation and escapes; what they leave alone is that the characters which are no blanks
/// stand in the same order, and no others between them.
struct YAMLScalarPlaces {
  /// Of the scalar's characters that are no blanks, in order; nil until asked for.
  private let places: [YAMLPlace]
  /// Behind the last of them.
  private let end: YAMLPlace

  /// - Parameters:
  ///   - bytes: Of the document, UTF-8.
  ///   - start: Where the scalar begins.
  init(_ scalar: YAMLScalar, at start: YAMLPlace, in bytes: [UInt8]) {
    var source = withoutMark(bytes).withUnsafeBufferPointer { YAMLSource($0, from: start) }
    var places: [YAMLPlace] = []
    let wanted = scalar.text.unicodeScalars.count { !$0.isYAMLBlank }
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

/// The characters of a document from a place on.
private struct YAMLSource {
  private var characters: ArraySlice<(Unicode.Scalar, YAMLPlace)>

  init(_ bytes: UnsafeBufferPointer<UInt8>, from start: YAMLPlace) {
    var walk = YAMLPlaceWalk(bytes)
    var found: [(Unicode.Scalar, YAMLPlace)] = []
    while case .scalarValue(let scalar) = walk.next() {
      if (walk.place.line, walk.place.column) >= (start.line, start.column) { found.append((scalar, walk.place)) }
    }
    characters = found[...]
  }

  /// Goes past what stands before the first character: a tag, the quote, or the line of the block's indicator.
  mutating func enter(_ style: YAMLScalar.Style) {
    if characters.first?.0 == "!" {
      characters = characters.drop { !$0.0.isYAMLBlank }.drop { $0.0.isYAMLBlank }
    }
    switch style {
    case .plain: break
    case .singleQuoted, .doubleQuoted: characters = characters.dropFirst()
    case .block: characters = characters.drop { !$0.0.isYAMLLineEnd }
    }
  }

  mutating func next(_ style: YAMLScalar.Style) -> (Unicode.Scalar, YAMLPlace)? {
    guard let (scalar, place) = characters.popFirst() else { return nil }
    switch (style, scalar) {
    case (.singleQuoted, "'"):
      // Two of them stand for one, one alone ends the text.
      return characters.popFirst()?.0 == "'" ? (scalar, place) : nil
    case (.doubleQuoted, "\""): return nil
    case (.doubleQuoted, "\\"): return (escaped(), place)
    default: return (scalar, place)
    }
  }

  /// What the escape behind a backslash stands for; a blank where it stands for one, or for nothing.
  private mutating func escaped() -> Unicode.Scalar {
    guard let (letter, _) = characters.popFirst() else { return " " }
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
    let text = characters.prefix(digits).reduce(into: "") { $0.unicodeScalars.append($1.0) }
    characters = characters.dropFirst(digits)
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
