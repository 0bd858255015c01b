import Wire

/// The tables of `mlos top`.
struct TopTable {
  var table: Table
  /// Column the rows are sorted by.
  var sorted: Int?

  /// - Parameters:
  ///   - width: Columns of the terminal; nil for no limit.
  ///   - now: When the reading was taken, in seconds since 1970.
  static func processes(_ rows: [TopProcess], order: TopOrder, width: Int?, now: Double) -> TopTable {
    let isRoomy = (width ?? .max) >= 120
    let columns: [Column] = [
      Column(.pid, .number(padded("PID", 5), drop: 2)) { Table.Cell("\($0.row.pid)") },
      Column(.name, .text("NAME", minimum: 6, drop: 11)) { Table.Cell(PlainText.of($0.row.name)) },
      Column(nil, .text("AGENT", minimum: 6, drop: 6)) { agent($0, withReason: isRoomy) },
      Column(.resident, .number("RESIDENT", drop: 1)) { Table.Cell(Phrases.bytes($0.row.residentBytes)) },
      Column(.private, .number(padded("PRIVATE", 8), drop: 9)) { Table.Cell(Phrases.bytes($0.row.privateBytes)) },
      Column(.proportional, .number("PROPORTIONAL", drop: 12)) { Table.Cell(Phrases.bytes($0.row.proportionalBytes)) },
      Column(.heap, .number(padded("HEAP", 8), drop: 3)) { Table.Cell(heap($0.row)) },
      Column(.growth, .number(padded("HEAP/S", 9), drop: 8)) { Table.Cell(signed($0.rates.heapGrowth)) },
      Column(.allocations, .number(padded("ALLOC/S", 8), drop: 10)) {
        Table.Cell(rounded($0.row.allocationsPerSecond.value))
      },
      Column(nil, .number("ALLOCATED/S", drop: 13)) { Table.Cell(bytes($0.row.allocatedBytesPerSecond.value)) },
      Column(.cpu, .number("CPU %", drop: 7)) { Table.Cell(percent($0.rates.processorPercent)) },
      Column(nil, .number("THREADS", drop: 15)) { Table.Cell("\($0.row.threads)") },
      Column(nil, .number("MODULES", drop: 14)) { Table.Cell(Phrases.number($0.row.modulesLoaded)) },
      Column(.used, .number(padded("STATE", 10), drop: 4)) { Table.Cell(state($0.row, now: now, isShort: !isRoomy)) },
      Column(nil, .number(padded("FREED", 8), drop: 5)) { Table.Cell(Phrases.bytes($0.row.givenBackBytes)) },
      Column(nil, .text("COMMAND", minimum: least((width ?? .max) >= 100 ? 24 : 13, width))) {
        Table.Cell(command($0.row, isShort: width != nil))
      },
    ]
    return make(columns, rows, order)
  }

  /// - Parameter isOfOneProcess: Leaves out in how many processes a package is.
  static func packages(
    _ rows: [PackageRow], order: TopOrder, isOfOneProcess: Bool, width: Int?, now: Double
  ) -> TopTable {
    var columns: [Column<PackageRow>] = [
      Column(.name, .text("PACKAGE", minimum: least(12, width))) { Table.Cell(PlainText.of($0.name)) },
      Column(nil, .text("KIND", drop: 5)) { Table.Cell($0.kind.rawValue) },
      Column(nil, .text("VERSION", minimum: 7, drop: 6)) { Table.Cell(PlainText.of($0.version.value ?? "-")) },
      Column(nil, .number("MODULES", drop: 4)) { Table.Cell("\($0.modules)") },
      Column(.resident, .number("RESIDENT", drop: 1)) { Table.Cell(Phrases.bytes($0.memory.residentBytes)) },
      Column(.private, .number(padded("PRIVATE", 8), drop: 2)) { Table.Cell(Phrases.bytes($0.memory.privateBytes)) },
      Column(.proportional, .number("PROPORTIONAL", drop: 7)) { Table.Cell(Phrases.bytes($0.memory.proportionalBytes)) },
      Column(.used, .number(padded("LAST USED", 10), drop: 3)) { Table.Cell(Phrases.ago($0.lastUsedAt, now: now)) },
    ]
    if !isOfOneProcess { columns.append(Column(nil, .number("PROCESSES", drop: 8)) { Table.Cell("\($0.holders.count)") }) }
    return make(columns, rows, order)
  }

  private struct Column<Row> {
    var order: TopOrder?
    var column: Table.Column
    var cell: (Row) -> Table.Cell

    init(_ order: TopOrder?, _ column: Table.Column, _ cell: @escaping (Row) -> Table.Cell) {
      self.order = order
      self.column = column
      self.cell = cell
    }
  }

  private static func make<Row>(_ columns: [Column<Row>], _ rows: [Row], _ order: TopOrder) -> TopTable {
    let sorted = columns.firstIndex { $0.order == order }
    var headings = columns.map(\.column)
    // What the rows are sorted by stays in sight as long as anything does.
    if let sorted, headings[sorted].dropOrder != nil { headings[sorted].dropOrder = 0 }
    return TopTable(table: Table(columns: headings, rows: rows.map { row in columns.map { $0.cell(row) } }), sorted: sorted)
  }

  /// Leaves room for one figure beside the text where that is all there is room for.
  private static func least(_ wanted: Int, _ width: Int?) -> Int { min(wanted, max((width ?? .max) - 10, 1)) }

  /// A title as wide as the figures below it get, so that columns stay where they are while figures change.
  private static func padded(_ title: String, _ width: Int) -> String {
    String(repeating: " ", count: max(width - title.count, 0)) + title
  }

  private static func agent(_ process: TopProcess, withReason: Bool) -> Table.Cell {
    guard let state = process.row.agentState.value else { return Table.Cell(PlainText.of(process.row.source), .faint) }
    let reason = withReason ? process.row.agentReason.value.map { " (\($0))" } ?? "" : ""
    return Table.Cell(PlainText.of(state + reason), state == "active" ? .good : .warning)
  }

  private static func heap(_ row: ProcessRow) -> String {
    (row.liveHeapApproximate && row.liveHeapBytes.value != nil ? "~" : "") + Phrases.bytes(row.liveHeapBytes)
  }

  /// The command; where there is little room for it, the program and its first argument without their folders: an
  /// interpreter and its script. The name in brackets where there is no command line.
  static func command(_ row: ProcessRow, isShort: Bool) -> String {
    guard !row.commandLine.isEmpty else { return PlainText.of("[\(row.name)]") }
    guard isShort else { return PlainText.of(row.commandLine) }
    let words = row.commandLine.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    return PlainText.of((words.prefix(2).map(lastComponent) + words.dropFirst(2)).joined(separator: " "))
  }

  private static func lastComponent(_ word: Substring) -> Substring {
    guard !word.hasPrefix("-"), let slash = word.lastIndex(of: "/") else { return word }
    let name = word[word.index(after: slash)...]
    return name.isEmpty ? word : name
  }

  /// What it is at, and for how long it has been idle; where there is room, what is tried in it.
  private static func state(_ row: ProcessRow, now: Double, isShort: Bool) -> String {
    guard let word = row.activity.value else { return "not seen" }
    if word == "idle", let last = row.lastActiveAt.value { return "idle \(Phrases.duration(now - last))" }
    guard !isShort, let rung = row.reclaimRung.value else { return PlainText.of(word) }
    return PlainText.of("\(word) \(rung)")
  }

  static func percent(_ value: Double?) -> String { value.map { Phrases.decimal($0, places: 1) } ?? "-" }

  private static func rounded(_ value: Double?) -> String { value.map { Phrases.decimal($0, places: 0) } ?? "-" }

  /// A rate that is not negative.
  static func bytes(_ rate: Double?) -> String {
    guard let rate, rate.isFinite, rate >= 0, rate < 1e18 else { return "-" }
    return Phrases.bytes(UInt64(rate.rounded()))
  }

  /// "+1.20 MiB", "-12 B", "0".
  static func signed(_ rate: Double?) -> String {
    guard let rate, rate.isFinite, abs(rate) < 1e18 else { return "-" }
    let whole = rate.rounded()
    return whole == 0 ? "0" : (whole < 0 ? "-" : "+") + bytes(abs(whole))
  }
}
