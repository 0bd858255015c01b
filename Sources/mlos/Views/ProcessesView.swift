import Wire

/// `mlos ps`.
struct ProcessesView {
  var answer: ProcessesAnswer
  var order = ProcessOrder.resident
  var ordering = Ordering()

  func lines(_ terminal: Terminal) -> [String] {
    guard !answer.processes.isEmpty else {
      return terminal.footnote(
        "No process is watched. Start one with `mlos run -- PROGRAM`, or adopt one with `mlos adopt PID`.", .plain)
    }
    let rows = ordering.apply(answer.processes, by: order)
    let table = Table(
      columns: [
        .number("PID"), .text("NAME", minimum: Table.least(8, beside: 15, terminal), drop: 1), .text("AGENT", drop: 6),
        .number("RESIDENT", drop: 2).sorted(order == .resident), .number("PRIVATE", drop: 10).sorted(order == .private),
        .number("HEAP", drop: 3).sorted(order == .heap), .number("ALLOC/S", drop: 7),
        .number("CPU", drop: 4).sorted(order == .cpu), .number("MODULES", drop: 5), .number("ACTIVE", drop: 8),
        .text("COMMAND", minimum: 12, drop: 9),
      ],
      rows: rows.map { row in
        [
          "\(row.pid)", Table.Cell(row.name), agent(row), Table.Cell(Phrases.bytes(row.residentBytes)),
          Table.Cell(Phrases.bytes(row.privateBytes)),
          Table.Cell((row.liveHeapApproximate && row.liveHeapBytes.value != nil ? "~" : "") + Phrases.bytes(row.liveHeapBytes)),
          Table.Cell(row.allocationsPerSecond.value.map { Phrases.decimal($0, places: 0) } ?? "-"),
          Table.Cell(Phrases.processorTime(row.processorSeconds)), Table.Cell(Phrases.number(row.modulesLoaded)),
          Table.Cell(Phrases.ago(row.lastActiveAt, now: answer.takenAt)), Table.Cell(row.commandLine),
        ]
      })
    return table.lines(terminal) + terminal.footnote(totals)
  }

  /// Over every process, shown or not.
  var totals: String {
    let all = answer.processes
    let known = all.compactMap(\.liveHeapBytes.value)
    let heap = known.isEmpty ? "-" : Phrases.bytes(sum(known))
    let unknown = all.count - known.count
    let missing = unknown > 0 && !known.isEmpty ? " (\(unknown) not known)" : ""
    return "\(Phrases.count(all.count, "process", "processes")), resident "
      + "\(Phrases.bytes(sum(all.map(\.residentBytes)))), live heap \(heap)\(missing)"
  }

  private func agent(_ row: ProcessRow) -> Table.Cell {
    guard let state = row.agentState.value else { return Table.Cell(row.source, .faint) }
    let text = row.agentReason.value.map { $0 == state ? state : "\(state) (\($0))" } ?? state
    return Table.Cell(text, state == "active" ? .good : .warning)
  }
}
