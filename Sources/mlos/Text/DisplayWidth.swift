/// Columns a terminal gives to text: two for East Asian wide and fullwidth characters and emoji, none for marks that combine
/// with the character before (Unicode Standard Annex #11, the blocks that matter).
enum DisplayWidth {
  static func of(_ text: some StringProtocol) -> Int { text.reduce(0) { $0 + of($1) } }

  static func of(_ character: Character) -> Int {
    guard let first = character.unicodeScalars.first else { return 0 }
    if first.isASCII { return 1 }
    if first.properties.generalCategory == .nonspacingMark || first.properties.generalCategory == .enclosingMark
      || first.properties.generalCategory == .format
    {
      return 0
    }
    let isEmoji = first.properties.isEmojiPresentation || character.unicodeScalars.contains("\u{FE0F}")
    return isEmoji || isWide(first.value) ? 2 : 1
  }

  private static func isWide(_ value: UInt32) -> Bool {
    switch value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
      0xA960...0xA97C, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
      0x17000...0x18AFF, 0x1B000...0x1B2FF, 0x20000...0x3FFFD:
      true
    default: false
    }
  }

  /// The text cut to `width` columns with "…" for what is missing, at its end or, for paths, at its start.
  static func cut(_ text: String, to width: Int, keepingEnd: Bool) -> String {
    guard of(text) > width else { return text }
    guard width > 1 else { return width == 1 ? "…" : "" }
    var kept: [Character] = []
    var used = 1
    for character in keepingEnd ? Array(text.reversed()) : Array(text) {
      let columns = of(character)
      guard used + columns <= width else { break }
      kept.append(character)
      used += columns
    }
    return keepingEnd ? "…" + String(kept.reversed()) : String(kept) + "…"
  }

  /// The text broken at blanks into lines of at most `width` columns, those after the first indented. A word that is longer than
  /// a line goes on in the next: nothing is lost but the blanks where a line ends.
  static func wrapped(_ text: String, to width: Int, indent: Int = 2) -> [String] {
    guard of(text) > width, width > 0 else { return [text] }
    // Room for the widest character.
    let margin = String(repeating: " ", count: max(min(indent, width - 2), 0))
    var lines: [String] = []
    var line = ""
    var used = 0
    // Columns before the first character of the line's first word.
    var start = 0
    func begin() {
      lines.append(line)
      line = margin
      used = margin.count
      start = used
    }
    var blanks = 0
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      guard !word.isEmpty else {
        blanks += 1
        continue
      }
      if used > start, used + blanks + of(word) > width {
        begin()
      } else {
        let gap = lines.isEmpty && used == 0 ? min(blanks, max(width - 2, 0)) : blanks
        line += String(repeating: " ", count: gap)
        used += gap
        if used == gap { start = gap }
      }
      for character in word {
        let columns = of(character)
        if used > start, used + columns > width { begin() }
        line.append(character)
        used += columns
      }
      // The one that ended the word.
      blanks = 1
    }
    return lines + [line]
  }
}
