import Wire

/// `mlos modules PID`.
struct ModulesView {
  var answer: ModulesAnswer
  var order = MemoryOrder.resident
  var ordering = Ordering()

  func lines(_ terminal: Terminal) -> [String] {
    let rows = ordering.apply(
      answer.modules, by: order, memory: \.memory, used: { $0.lastUsedAt.value }, name: \.path)
    let table = Table(
      columns: [
        .text("MODULE", minimum: Table.least(30, beside: 12, terminal), keepsEnd: true),
        .text("PACKAGE", minimum: 8, drop: 3), .text("STATE", drop: 5),
        .number("RESIDENT", drop: 1).sorted(order == .resident), .number("PRIVATE", drop: 4).sorted(order == .private),
        .number("PROPORTIONAL", drop: 6).sorted(order == .proportional), .number("OPENED", drop: 8),
        .number("LAST USED", drop: 2).sorted(order == .used), .text("PINNED BY", minimum: 9, drop: 7),
      ],
      rows: rows.map { row in
        [
          Table.Cell(row.path + (row.isDeleted ? " (deleted)" : "")), Table.Cell(row.package),
          Table.Cell(row.state, row.state == "loaded" ? .plain : .faint),
          Table.Cell(Phrases.bytes(row.memory.residentBytes)), Table.Cell(Phrases.bytes(row.memory.privateBytes)),
          Table.Cell(Phrases.bytes(row.memory.proportionalBytes)), Table.Cell(Phrases.number(row.dlopenCount)),
          Table.Cell(Phrases.ago(row.lastUsedAt, now: answer.takenAt)), Table.Cell(row.pinnedBy.joined(separator: ", ")),
        ]
      })
    let dropped =
      answer.modulesDropped > 0
      ? terminal.footnote("\(answer.modulesDropped) more did not fit the agent's table", .warning) : []
    return table.lines(terminal) + terminal.footnote(totals) + dropped
  }

  /// Over every module, shown or not.
  var totals: String {
    let loaded = answer.modules.count { $0.state == "loaded" }
    let memory = answer.modules.map(\.memory)
    return "\(answer.name) (\(answer.pid)): \(Phrases.count(loaded, "module", "modules")) loaded, "
      + "\(answer.modules.count - loaded) unloaded, resident \(Phrases.bytes(sum(memory.map(\.residentBytes)))), "
      + "private \(Phrases.bytes(sum(memory.map(\.privateBytes))))"
  }
}
