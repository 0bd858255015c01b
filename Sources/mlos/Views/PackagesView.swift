import Wire

/// `mlos packages`.
struct PackagesView {
  var answer: PackagesAnswer
  /// The one process asked about; nil for all.
  var pid: Int32?
  var order = MemoryOrder.resident
  var ordering = Ordering()

  func lines(_ terminal: Terminal) -> [String] {
    let rows = ordering.apply(
      answer.packages, by: order, memory: \.memory, used: { $0.lastUsedAt.value },
      name: { "\($0.name) \($0.kind.rawValue) \($0.version.value ?? "")" })
    let table = Table(
      columns: [
        .text("PACKAGE", minimum: Table.least(10, beside: 12, terminal)), .text("KIND", drop: 6),
        .text("VERSION", minimum: 6, drop: 7), .number("MODULES", drop: 5),
        .number("RESIDENT", drop: 1).sorted(order == .resident),
        .number("PROPORTIONAL", drop: 4).sorted(order == .proportional),
        .number("PRIVATE", drop: 2).sorted(order == .private), .number("LAST USED", drop: 3).sorted(order == .used),
        .number("PROCESSES", drop: 8),
      ],
      rows: rows.map { row in
        [
          Table.Cell(row.name), Table.Cell(row.kind.rawValue), Table.Cell(row.version.value ?? "-"), "\(row.modules)",
          Table.Cell(Phrases.bytes(row.memory.residentBytes)), Table.Cell(Phrases.bytes(row.memory.proportionalBytes)),
          Table.Cell(Phrases.bytes(row.memory.privateBytes)),
          Table.Cell(Phrases.ago(row.lastUsedAt, now: answer.takenAt)), "\(row.holders.count)",
        ]
      })
    return table.lines(terminal) + ([totals] + coverage).flatMap { terminal.footnote($0) }
  }

  /// Over every package, shown or not.
  var totals: String {
    let memory = answer.packages.map(\.memory)
    return "\(Phrases.count(answer.packages.count, "package", "packages")), resident "
      + "\(Phrases.bytes(sum(memory.map(\.residentBytes)))), proportional "
      + "\(Phrases.bytes(sum(memory.map(\.proportionalBytes)))), private \(Phrases.bytes(sum(memory.map(\.privateBytes))))"
  }

  /// How much of the process asked about the packages explain, and what else is in it.
  var coverage: [String] {
    guard let pid, let process = answer.processes.first(where: { $0.pid == pid }) else { return [] }
    let share = Phrases.share(process.packagedFileBackedResidentBytes, of: process.fileBackedResidentBytes)
    return [
      "\(process.processName) (\(pid)): packages hold \(Phrases.bytes(process.packagedFileBackedResidentBytes)) of "
        + "\(Phrases.bytes(process.fileBackedResidentBytes)) resident memory that files back: \(share)",
      "outside modules: \(Phrases.bytes(process.anonymousResidentBytes)) anonymous, live heap "
        + "\(Phrases.bytes(process.liveHeapBytes))",
    ]
  }
}
