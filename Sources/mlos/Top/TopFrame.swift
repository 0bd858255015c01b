import Wire

/// The model as lines of text.
extension TopModel {
  /// Local time of day: "09:41:07".
  static func timeOfDay(_ seconds: Double) -> String {
    let text = EventLine.localTime(seconds)
    return text.count < 19 ? text : String(text.prefix(19).suffix(8))
  }

  /// A frame for a whole screen: exactly `rows` lines, none wider than the terminal. Moves the window over the table so that
  /// the marked row is in it.
  mutating func screen(
    _ terminal: Terminal, rows: Int, at time: Double, clock: (Double) -> String = TopModel.timeOfDay
  ) -> [String] {
    let rows = max(rows, 1)
    if case .help(let line) = mode { return help(terminal, rows: rows, from: line) }
    var lines: [String] = []
    let headerCount = rows >= 12 ? 3 : rows >= 8 ? 2 : 1
    let hasGap = rows >= 16
    let hasHeading = rows >= 3
    let footer = rows >= 4 || (rows >= 2 && mode == .filtering) ? keyLine(terminal) : nil
    let room = max(rows - headerCount - (hasGap ? 1 : 0) - (hasHeading ? 1 : 0) - (footer == nil ? 0 : 1), 0)
    let names = identities()
    let window = window(over: names, room: room)
    let header = header(
      terminal, count: names.count, window: window.count < names.count ? window : nil, at: time, clock: clock)
    lines += header.prefix(headerCount)
    // Where there is no room for it, trouble takes the place of something else.
    if headerCount < header.count, let trouble = trouble(terminal, at: time) { lines[headerCount - 1] = trouble }
    if hasGap { lines.append("") }
    if names.isEmpty {
      lines += emptyText(terminal).prefix(room + (hasHeading ? 1 : 0))
    } else {
      lines += tableLines(terminal, window: window, marked: marked(names), hasHeading: hasHeading)
    }
    lines += [String](repeating: "", count: max(rows - lines.count - (footer == nil ? 0 : 1), 0))
    if let footer { lines.append(footer) }
    return Array(lines.prefix(rows))
  }

  /// A frame for a pipe or a file: everything, no keys.
  func page(_ terminal: Terminal, clock: (Double) -> String = { String(EventLine.localTime($0).prefix(19)) }) -> [String] {
    let count = identities().count
    let header = header(terminal, count: count, window: nil, at: 0, clock: clock)
    guard count > 0 else { return header + emptyText(terminal) }
    return header + tableLines(terminal, window: 0..<count, marked: nil, hasHeading: true)
  }

  private func marked(_ names: [String]) -> Int {
    names.firstIndex { $0 == list.marked } ?? min(list.position, max(names.count - 1, 0))
  }

  private mutating func window(over names: [String], room: Int) -> Range<Int> {
    visibleRows = max(room, 1)
    guard room > 0, !names.isEmpty else { return 0..<0 }
    let marked = marked(names)
    var offset = min(max(list.offset, marked - room + 1), marked)
    offset = max(min(offset, names.count - room), 0)
    list.offset = offset
    return offset..<min(offset + room, names.count)
  }

  /// - Parameters:
  ///   - window: Which rows; the columns are laid out for these.
  ///   - marked: Row that stands out.
  private func tableLines(_ terminal: Terminal, window: Range<Int>, marked: Int?, hasHeading: Bool) -> [String] {
    // Without colours a row is marked by a character before it, where there is room.
    let margin = marked == nil || terminal.hasColours || (terminal.columns ?? 0) < 10 ? 0 : 2
    let width = terminal.columns.map { max($0 - margin, 1) }
    let made: TopTable
    let now = reading?.processes.takenAt ?? 0
    if page == .processes {
      let rows = Array(processRows(processes)[window])
      made = .processes(rows, order: list.order, width: width, now: now)
    } else {
      made = .packages(
        Array(packageRows()[window]), order: list.order, isOfOneProcess: scope.pid != nil, width: width,
        now: shownPackages?.takenAt ?? now)
    }
    var coloured = terminal
    coloured.columns = width
    var plain = coloured
    plain.hasColours = false
    let plainLines = made.table.lines(plain).map { line in width.map { DisplayWidth.cut(line, to: $0, keepingEnd: false) } ?? line
    }
    var lines = terminal.hasColours ? made.table.lines(coloured) : plainLines
    lines[0] = made.heading(plainLines[0], coloured)
    if let marked, window.contains(marked) {
      let position = marked - window.lowerBound + 1
      lines[position] = terminal.hasColours ? reversed(plainLines[position], terminal) : plainLines[position]
      if margin > 0 { lines = lines.enumerated().map { ($0.offset == position ? "> " : "  ") + $0.element } }
    } else if margin > 0 {
      lines = lines.map { "  " + $0 }
    }
    return hasHeading ? lines : Array(lines.dropFirst())
  }

  private func reversed(_ line: String, _ terminal: Terminal) -> String {
    let rest = max((terminal.columns ?? 0) - DisplayWidth.of(line), 0)
    return "\u{1B}[7m\(line)\(String(repeating: " ", count: rest))\u{1B}[0m"
  }

  private func emptyText(_ terminal: Terminal) -> [String] {
    let text: String
    if !list.filter.isEmpty, page == .processes ? !processes.isEmpty : shownPackages?.packages.isEmpty == false {
      text = "Nothing has \"\(PlainText.of(list.filter))\" in it. Esc shows everything again."
    } else if page != .processes {
      text = shownPackages == nil ? (isGone ? "" : "Waiting for the packages.") : "No package is in memory."
    } else if let only {
      text = "Process \(only) is not watched."
    } else {
      text = "No process is watched. Start one with `mlos run -- PROGRAM`, or adopt one with `mlos adopt PID`."
    }
    return terminal.columns.map { DisplayWidth.wrapped(text, to: $0) } ?? [text]
  }

  /// The keys that do something here, or what is being typed.
  private func keyLine(_ terminal: Terminal) -> String {
    var line = TopLine()
    if mode == .filtering {
      let text = "/\(PlainText.of(list.filter))_"
      let kept = terminal.columns.map { DisplayWidth.cut(text, to: $0, keepingEnd: true) } ?? text
      line.add(kept, rank: 0, .heading)
      line.add("Enter keeps it, Esc ends it", rank: 1, .faint)
      return line.text(terminal)
    }
    var keys: [(String, String, Int)] = [("q", "quit", 0)]
    switch page {
    case .processes: keys += [("Tab", "packages", 3), ("Enter", "its packages", 4)]
    case .packages: keys += [("Tab", "processes", 3)]
    case .process: keys += [("Esc", "back", 3)]
    }
    keys += [
      ("s", "sort", 5), ("r", "reverse", 8), ("/", "filter", 2), ("space", isPaused ? "go on" : "pause", 6), ("+-", "pace", 7),
      ("?", "help", 1),
    ]
    for (key, meaning, rank) in keys { line.add(key: key, meaning, rank: rank) }
    return line.text(terminal)
  }

  private mutating func help(_ terminal: Terminal, rows: Int, from line: Int) -> [String] {
    let lines =
      terminal.columns.map { columns in TopHelp.lines.flatMap { DisplayWidth.wrapped($0, to: columns) } } ?? TopHelp.lines
    let room = max(rows - 1, 1)
    visibleRows = room
    let first = min(line, max(lines.count - room, 0))
    mode = .help(first)
    let shown = lines[first..<min(first + room, lines.count)]
    let rest = [String](repeating: "", count: room - shown.count)
    var foot = TopLine()
    foot.add("any key closes", rank: 0, .faint)
    if lines.count > room { foot.add("arrows: more", rank: 1, .faint) }
    return Array((shown + rest + [foot.text(terminal)]).prefix(rows))
  }
}

extension TopTable {
  /// The heading with the column sorted by underlined.
  func heading(_ plain: String, _ terminal: Terminal) -> String {
    guard terminal.hasColours else { return plain }
    let layout = table.layout(width: terminal.columns)
    guard let sorted, let place = layout.firstIndex(where: { $0.column == sorted }) else {
      return Emphasis.heading.applied(to: plain, terminal)
    }
    let start = layout[..<place].reduce(0) { $0 + $1.width + 2 }
    let characters = Array(plain)
    let end = min(start + layout[place].width, characters.count)
    guard start < end else { return Emphasis.heading.applied(to: plain, terminal) }
    let field = characters[start..<end]
    let blanks = field.prefix { $0 == " " }.count
    let title = field.dropFirst(blanks)
    return Emphasis.heading.applied(to: String(characters[..<(start + blanks)]), terminal)
      + "\u{1B}[1;4m\(String(title))\u{1B}[0m"
      + Emphasis.heading.applied(to: String(characters[end...]), terminal)
  }
}
