extension TopModel {
  /// - Returns: Nil when nothing is to be done but to show the model again.
  mutating func press(_ key: TopKey) -> Action? {
    if key == .redraw { return .repaint }
    switch mode {
    case .browsing: return browse(key)
    case .filtering: return type(key)
    case .help(let line): return read(key, from: line)
    }
  }

  private mutating func browse(_ key: TopKey) -> Action? {
    switch key {
    case .up: move(by: -1)
    case .down: move(by: 1)
    case .pageUp: move(by: -max(visibleRows - 1, 1))
    case .pageDown: move(by: max(visibleRows - 1, 1))
    case .home: move(by: -.max)
    case .end: move(by: .max)
    case .tab: return open(page == .processes ? .packages : .processes)
    case .enter, .right: return openMarked()
    case .escape, .left, .backspace: return back(clearsFilter: key == .escape)
    case .character(let character): return command(character)
    case .eraseLine, .redraw: break
    }
    return nil
  }

  private mutating func command(_ character: Character) -> Action? {
    switch character {
    case "q", "Q": return .quit
    case "p": return open(.processes)
    case "k": return open(.packages)
    case "s":
      let orders = orders
      let next = (orders.firstIndex(of: list.order) ?? -1) + 1
      list.order = orders[next % orders.count]
    case "r": list.isReversed.toggle()
    case "/": mode = .filtering
    case " ":
      isPaused.toggle()
      return isPaused ? nil : .read
    case "+", "=": interval = Self.intervals.first { $0 > interval } ?? interval
    case "-", "_": interval = Self.intervals.last { $0 < interval } ?? interval
    case "?", "h": mode = .help(0)
    default:
      guard let order = orders.first(where: { $0.key == character }) else { return nil }
      list.order = order
    }
    return nil
  }

  /// What the page can be sorted by.
  var orders: [TopOrder] { page == .processes ? TopOrder.allCases : TopOrder.ofPackages }

  private mutating func open(_ new: Page) -> Action? {
    guard page != new else { return nil }
    page = new
    return scope == .none || shownPackages != nil ? nil : .read
  }

  private mutating func openMarked() -> Action? {
    guard page == .processes else { return nil }
    let rows = processRows(processes)
    guard let row = rows.first(where: { $0.identity == list.marked }) ?? rows.first else { return nil }
    processList = List()
    return open(.process(pid: row.row.pid, name: row.row.name))
  }

  private mutating func back(clearsFilter: Bool) -> Action? {
    if case .process = page { return open(.processes) }
    if clearsFilter { list.filter = "" }
    return nil
  }

  private mutating func type(_ key: TopKey) -> Action? {
    switch key {
    case .character(let character):
      if list.filter.count < Self.filterLimit { list.filter.append(character) }
    case .backspace: if !list.filter.isEmpty { list.filter.removeLast() }
    case .eraseLine: list.filter = ""
    case .enter: mode = .browsing
    case .escape:
      list.filter = ""
      mode = .browsing
    case .up, .down, .pageUp, .pageDown, .home, .end: return browse(key)
    case .left, .right, .tab, .redraw: break
    }
    return nil
  }

  private mutating func read(_ key: TopKey, from line: Int) -> Action? {
    switch key {
    case .up: mode = .help(max(line - 1, 0))
    case .down: mode = .help(line + 1)
    case .pageUp: mode = .help(max(line - visibleRows, 0))
    case .pageDown: mode = .help(line + visibleRows)
    case .home: mode = .help(0)
    case .end: mode = .help(TopHelp.lines.count)
    case .character, .left, .right, .enter, .escape, .tab, .backspace, .eraseLine, .redraw: mode = .browsing
    }
    return nil
  }

  private mutating func move(by count: Int) {
    let rows = identities()
    guard !rows.isEmpty else { return }
    let position = rows.firstIndex { $0 == list.marked } ?? min(list.position, rows.count - 1)
    let (target, overflow) = position.addingReportingOverflow(count)
    let new = overflow ? (count < 0 ? 0 : rows.count - 1) : min(max(target, 0), rows.count - 1)
    list.position = new
    // The first row is no row in particular: it stays marked whichever process or package comes first.
    list.marked = new == 0 ? nil : rows[new]
  }
}
