/// Text from outside for a frame that must keep its columns: only characters whose width all terminals agree on.
///
/// Marks, joiners and modifiers that change the character before them are left out ("e" for "e" with a combining accent, one
/// figure for a family of them); flags become their letters; what is invisible, directs the order of text, or has no width to
/// rely on becomes "?". The API has escaped control characters already; one that comes all the same becomes "?" too.
enum PlainText {
  static func of(_ text: String) -> String {
    if text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return text }
    var result = ""
    for character in text {
      let scalars = character.unicodeScalars
      guard let first = scalars.first else { continue }
      if let letter = regionalLetter(first) {
        result.unicodeScalars.append(letter)
        result.unicodeScalars.append(contentsOf: scalars.dropFirst().compactMap(regionalLetter))
        continue
      }
      switch first.properties.generalCategory {
      case .nonspacingMark, .enclosingMark, .spacingMark: continue
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: result += "?"
      default: result.unicodeScalars.append(isConjoining(first) || first.properties.isDefaultIgnorableCodePoint ? "?" : first)
      }
    }
    return result
  }

  /// "D" for the regional indicator D.
  private static func regionalLetter(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
    (0x1F1E6...0x1F1FF).contains(scalar.value) ? Unicode.Scalar(scalar.value - 0x1F1E6 + 0x41) : nil
  }

  /// Parts of Hangul syllables: one terminal joins them, the next does not.
  private static func isConjoining(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x1100...0x11FF, 0xA960...0xA97F, 0xD7B0...0xD7FF: true
    default: false
    }
  }
}
