/// The page behind `?`.
enum TopHelp {
  static let keys: [(key: String, meaning: String)] = [
    ("p  k  Tab", "processes, packages, the other of the two"),
    ("Enter", "packages of the marked process; Esc goes back"),
    ("arrows", "mark another row, also PgUp, PgDn, Home, End"),
    ("s  r", "sort by the next column; turn the order around"),
    ("/", "show only rows with a text; Esc shows all again"),
    ("space", "pause, go on"),
    ("+  -", "read less often, more often"),
    ("Ctrl-L", "draw everything again"),
    ("q", "quit"),
  ]

  static let notes = [
    "HEAP/S is how fast the live heap grows; it needs two readings.",
    "ALLOC/S counts calls, ALLOCATED/S the bytes they gave out.",
    "CPU % is of one processor. STATE: idle since it used one or allocated.",
    "FREED is what was measured to come back of it by unloads so far.",
    "PRIVATE and PROPORTIONAL may be some seconds old. A dash: not known.",
  ]

  /// Fits 80 columns and 24 rows.
  static let lines: [String] = {
    let width = keys.reduce(0) { max($0, $1.key.count) }
    return keys.map { padded($0.key, width + 2) + $0.meaning } + ["", "Sort by:"] + orders + [""] + notes
  }()

  /// Two in a line.
  private static var orders: [String] {
    let texts = TopOrder.allCases.map { "\($0.key)  \($0.meaning)" }
    let half = (texts.count + 1) / 2
    let width = texts[..<half].reduce(0) { max($0, $1.count) }
    return (0..<half).map { line in
      half + line < texts.count ? padded(texts[line], width + 4) + texts[half + line] : texts[line]
    }
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(width - text.count, 0))
  }
}
