import Glibc
import Simulator

/// `mlos simulate`.
struct SimulationView {
  var comparison: Comparison

  func lines(_ terminal: Terminal) -> [String] {
    var lines = terminal.wrapped(title, indent: 2) + [""]
    for (index, part) in parts.enumerated() {
      if index > 0 { lines += [""] + terminal.wrapped(part.caption, indent: 2) }
      let (table, hidden) = Self.table(part.grid, terminal)
      lines += table
      if !hidden.isEmpty { lines += terminal.footnote("no room for: \(hidden.joined(separator: ", ")); --json has them") }
      lines += part.notes.flatMap { terminal.footnote($0) }
    }
    return lines
  }

  func markdown() -> [String] {
    var lines = [title, ""]
    for (index, part) in parts.enumerated() {
      if index > 0 { lines += ["", part.caption, ""] }
      lines += part.grid.markdown().split(separator: "\n").map(String.init) + part.notes.map { "\n\($0)" }
    }
    return lines
  }

  private var title: String {
    "\(comparison.source): \(Phrases.duration(comparison.duration)), units of \(comparison.totalBytes) together"
  }

  private struct Part {
    var caption = ""
    var grid: Grid
    var notes: [String] = []
  }

  private var parts: [Part] {
    var parts = [Part(grid: comparison.grid)]
    guard let reference = comparison.equalMemory.first?.reference else { return parts }
    var limits: [Double] = []
    for row in comparison.equalMemory where !limits.contains(row.limitShare) { limits.append(row.limitShare) }
    let unreached = comparison.equalMemory.contains { $0.reloadSeconds == nil }
    parts.append(
      Part(
        caption: "each holding as much memory as \(reference) does at the limit:", grid: comparison.equalMemoryGrid,
        notes: unreached ? ["- where no setting of the policy holds so much, or so little, and serves every use"] : []))
    parts.append(
      Part(
        caption: "added up over the limits (\(limits.map(Comparison.percent).joined(separator: ", "))):",
        grid: comparison.equalMemorySumGrid))
    return parts
  }

  /// What goes first where a terminal is too narrow; the policy, its limit and its reload seconds stay.
  private static let dropped = ["busy", "thrash", "reloads", "hits", "held", "refused", "bound s", "over s", "more"]

  private static func table(_ grid: Grid, _ terminal: Terminal) -> (lines: [String], hidden: [String]) {
    let table = Table(
      columns: grid.head.enumerated().map { index, title in
        index == 0
          ? .text(title, minimum: Table.least(14, beside: 16, terminal))
          : .number(title, drop: dropped.firstIndex(of: title).map { dropped.count - $0 })
      }, rows: grid.rows.map { $0.map { Table.Cell($0) } })
    let shown = Set(table.layout(width: terminal.columns).map(\.column))
    return (table.lines(terminal), grid.head.indices.filter { !shown.contains($0) }.map { grid.head[$0] })
  }
}

/// How far a simulation is, on a terminal and only when it takes long.
final class SimulationProgress {
  /// 2 s: who waits for longer wants to know for how much longer.
  static let patience: UInt64 = 2_000_000_000

  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let begin = SimulationProgress.now()
  private var isShown = false

  func take(_ progress: Comparison.Progress) {
    guard isTerminal, Self.now() - begin >= Self.patience else { return }
    isShown = true
    Output.progress(Self.text(progress))
  }

  func end() {
    if isShown { Output.progress("") }
    isShown = false
  }

  /// `41 of 318 runs: gdsf at 50 %`
  static func text(_ progress: Comparison.Progress) -> String {
    "\(progress.done) of \(progress.total) runs: \(progress.policy) at \(Comparison.percent(progress.limitShare))"
  }

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
