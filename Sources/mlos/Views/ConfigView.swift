import Wire

/// `mlos config show`.
struct ConfigView {
  var answer: ConfigAnswer
  var showsOrigin: Bool

  func lines(_ terminal: Terminal) -> [String] {
    var columns: [Table.Column] = [
      .text("KEY", minimum: Table.least(20, beside: 12, terminal)),
      .text("VALUE", minimum: Table.least(24, beside: 20, terminal), keepsEnd: true),
    ]
    if showsOrigin { columns.append(.text("ORIGIN", minimum: 12, keepsEnd: true, drop: 1)) }
    columns.append(.text("MEANING", minimum: 30, drop: 2))
    let table = Table(
      columns: columns,
      rows: answer.settings.map { row in
        let value = Table.Cell(row.value.isEmpty ? "\"\"" : row.value, row.origin == "default" ? .plain : .heading)
        return [Table.Cell(row.key), value] + (showsOrigin ? [Table.Cell(row.origin)] : []) + [Table.Cell(row.summary, .faint)]
      })
    return table.lines(terminal) + terminal.footnote("file: \(answer.file.value ?? "none")")
  }
}
