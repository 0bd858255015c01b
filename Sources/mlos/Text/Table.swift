/// Rows under headings, laid out for a width.
struct Table {
  struct Column {
    enum Alignment { case left, right }

    var title: String
    var alignment: Alignment
    /// Fewest columns it may be cut to; nil when its text is never cut.
    var minimum: Int?
    /// A cut text keeps its end: paths.
    var keepsEnd: Bool
    /// A text that is too long goes on in the next line instead of being cut.
    var wraps = false
    /// Where it is too narrow for all, the highest goes first; nil stays whatever happens.
    var dropOrder: Int?

    /// What the rows are sorted by stays, however narrow it is.
    func sorted(_ isSorted: Bool) -> Column {
      var column = self
      if isSorted { column.dropOrder = nil }
      return column
    }

    static func number(_ title: String, drop: Int? = nil) -> Column {
      Column(title: title, alignment: .right, minimum: nil, keepsEnd: false, dropOrder: drop)
    }
    static func text(_ title: String, minimum: Int? = nil, keepsEnd: Bool = false, drop: Int? = nil) -> Column {
      Column(title: title, alignment: .left, minimum: minimum, keepsEnd: keepsEnd, dropOrder: drop)
    }
    static func wrapping(_ title: String, minimum: Int, drop: Int? = nil) -> Column {
      Column(title: title, alignment: .left, minimum: minimum, keepsEnd: false, wraps: true, dropOrder: drop)
    }
  }

  struct Cell: ExpressibleByStringInterpolation {
    var text: String
    var emphasis: Emphasis

    init(_ text: String, _ emphasis: Emphasis = .plain) {
      self.text = text
      self.emphasis = emphasis
    }
    init(stringLiteral value: String) { self.init(value) }
  }

  var columns: [Column]
  var rows: [[Cell]]

  /// Fewest columns for a text that stays beside a figure of `other` columns: `wanted` where there is room.
  static func least(_ wanted: Int, beside other: Int, _ terminal: Terminal) -> Int {
    min(wanted, max((terminal.columns ?? .max) - other - gap, 3))
  }

  private static let gap = 2

  func lines(_ terminal: Terminal) -> [String] {
    let layout = layout(width: terminal.columns)
    let heading = layout.map { Cell(columns[$0.column].title, .heading) }
    return [line(heading, layout, terminal)]
      + rows.flatMap { row in lines(layout.map { row[$0.column] }, layout, terminal) }
  }

  /// A row: as many lines as its longest text that wraps.
  private func lines(_ cells: [Cell], _ layout: [(column: Int, width: Int)], _ terminal: Terminal) -> [String] {
    let pieces = zip(cells, layout).map { cell, place in
      columns[place.column].wraps ? DisplayWidth.wrapped(cell.text, to: place.width, indent: 0) : [cell.text]
    }
    return (0..<(pieces.map(\.count).max() ?? 1)).map { number in
      line(zip(cells, pieces).map { Cell(number < $1.count ? $1[number] : "", $0.emphasis) }, layout, terminal)
    }
  }

  /// Which columns are shown, and how wide.
  func layout(width: Int?) -> [(column: Int, width: Int)] {
    let natural = columns.indices.map { column in
      rows.reduce(DisplayWidth.of(columns[column].title)) { max($0, DisplayWidth.of($1[column].text)) }
    }
    var shown = Array(columns.indices)
    guard let width else { return shown.map { ($0, natural[$0]) } }
    func least(_ column: Int) -> Int { columns[column].minimum.map { min($0, natural[column]) } ?? natural[column] }
    func total(_ widths: [Int]) -> Int { widths.reduce(0, +) + Self.gap * max(widths.count - 1, 0) }
    while total(shown.map(least)) > width,
      let victim = shown.filter({ columns[$0].dropOrder != nil }).max(by: {
        (columns[$0].dropOrder ?? 0) < (columns[$1].dropOrder ?? 0)
      })
    {
      shown.removeAll { $0 == victim }
    }
    var widths = shown.map { natural[$0] }
    // The widest that can still give gives one column at a time.
    var excess = total(widths) - width
    while excess > 0,
      let widest = shown.indices.filter({ widths[$0] > least(shown[$0]) }).max(by: { widths[$0] < widths[$1] })
    {
      widths[widest] -= 1
      excess -= 1
    }
    // The last resort on a terminal too narrow for what must stay.
    while excess > 0, let widest = shown.indices.filter({ widths[$0] > 1 }).max(by: { widths[$0] < widths[$1] }) {
      widths[widest] -= 1
      excess -= 1
    }
    return zip(shown, widths).map { ($0, $1) }
  }

  private func line(_ cells: [Cell], _ layout: [(column: Int, width: Int)], _ terminal: Terminal) -> String {
    var line = ""
    let last = cells.lastIndex { !$0.text.isEmpty } ?? 0
    for (position, (cell, place)) in zip(cells, layout).enumerated() where position <= last {
      let column = columns[place.column]
      let text = DisplayWidth.cut(cell.text, to: place.width, keepingEnd: column.keepsEnd)
      let padding = String(repeating: " ", count: max(place.width - DisplayWidth.of(text), 0))
      let isLast = position == last
      line += position == 0 ? "" : String(repeating: " ", count: Self.gap)
      switch column.alignment {
      case .right: line += padding + cell.emphasis.applied(to: text, terminal)
      case .left: line += cell.emphasis.applied(to: text, terminal) + (isLast ? "" : padding)
      }
    }
    return line
  }
}
