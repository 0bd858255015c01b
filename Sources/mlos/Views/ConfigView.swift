import Wire

/// `mlos config show`.
struct ConfigView {
  var answer: ConfigAnswer
  var showsOrigin: Bool

  func lines(_ terminal: Terminal) -> [String] {
    var columns: [Table.Column] = [.text("KEY"), .text("VALUE", minimum: 24, keepsEnd: true)]
    if showsOrigin { columns.append(.text("ORIGIN", minimum: 12, keepsEnd: true)) }
    columns.append(.text("MEANING", minimum: 30, drop: 1))
    let table = Table(
      columns: columns,
      rows: answer.settings.map { row in
        let value = Table.Cell(row.value.isEmpty ? "\"\"" : row.value, row.origin == "default" ? .plain : .heading)
        return [Table.Cell(row.key), value] + (showsOrigin ? [Table.Cell(row.origin)] : []) + [Table.Cell(row.summary, .faint)]
      })
    return table.lines(terminal) + [Emphasis.faint.applied(to: "file: \(answer.file.value ?? "none")", terminal)]
  }
}
