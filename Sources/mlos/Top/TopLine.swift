/// Parts of a line; where it is too narrow for all, those of the highest rank go first, and what is left is cut.
struct TopLine {
  private struct Part {
    /// Stands out, before the text.
    var head: String
    var text: String
    var rank: Int
    var emphasis: Emphasis

    var width: Int { DisplayWidth.of(head) + DisplayWidth.of(text) }
  }

  private static let gap = 2
  private var parts: [Part] = []

  mutating func add(_ text: String, rank: Int, _ emphasis: Emphasis = .plain) {
    parts.append(Part(head: "", text: text, rank: rank, emphasis: emphasis))
  }

  mutating func add(key: String, _ meaning: String, rank: Int) {
    parts.append(Part(head: key, text: " " + meaning, rank: rank, emphasis: .faint))
  }

  func text(_ terminal: Terminal) -> String {
    var shown = parts
    if let columns = terminal.columns {
      while shown.count > 1, shown.reduce(-Self.gap, { $0 + $1.width + Self.gap }) > columns,
        let victim = shown.indices.max(by: { shown[$0].rank < shown[$1].rank })
      {
        shown.remove(at: victim)
      }
      if shown.count == 1, shown[0].width > columns {
        shown[0].text = DisplayWidth.cut(shown[0].head + shown[0].text, to: columns, keepingEnd: false)
        shown[0].head = ""
      }
    }
    let texts = shown.map {
      Emphasis.heading.applied(to: $0.head, terminal) + $0.emphasis.applied(to: $0.text, terminal)
    }
    return texts.joined(separator: String(repeating: " ", count: Self.gap))
  }
}
