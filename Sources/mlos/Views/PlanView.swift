import Model
import Wire

/// `mlos plan`.
struct PlanView {
  var answer: PlanAnswer
  var showsAll = false

  func lines(_ terminal: Terminal) -> [String] {
    let going = answer.units.filter { $0.verdict == "unload" }
    let shown = showsAll ? answer.units : going
    let header = [PlanView.memory(answer), strategy].flatMap { terminal.wrapped($0, indent: 2) }
    return header + [""] + (shown.isEmpty ? [] : table(shown).lines(terminal) + [""])
      + summary(going).flatMap { terminal.footnote($0) }
  }

  private func table(_ units: [PlanUnit]) -> Table {
    Table(
      columns: [
        .number("#", drop: 5), .text("UNIT", minimum: 10), .text("PROCESS", minimum: 10, keepsEnd: true, drop: 3),
        .number("BRINGS BACK"), .number("IDLE", drop: 2), .number("AGAIN IN 10 MIN", drop: 6),
        .wrapping("WHY", minimum: 20, drop: 4),
      ],
      rows: units.map { unit in
        let isGoing = unit.verdict == "unload"
        let process = unit.pid.value.map { "\(unit.processName) (\($0))" } ?? "-"
        // Two programs of a name are told apart by what stands here alone, where there is no room for the next column.
        let title = unit.isHeap ? unit.title + (unit.pid.value.map { " (\($0))" } ?? "") : unit.title
        return [
          Table.Cell(unit.order.value.map { "\($0)" } ?? "-"), Table.Cell(title, isGoing ? .warning : .plain),
          Table.Cell(process), Table.Cell(Phrases.bytes(unit.bytes)),
          Table.Cell(unit.idleSeconds.value.map(Phrases.duration) ?? "-"),
          Table.Cell("\(Phrases.decimal(unit.reuseProbability * 100, places: 0)) %"),
          Table.Cell((isGoing ? "goes: " : "stays: ") + unit.explanation, isGoing ? .plain : .faint),
        ]
      })
  }

  /// `memory: 5.1 GiB of 7.8 GiB in use (65 %, medium) ...`
  static func memory(_ answer: PlanAnswer) -> String {
    guard let memory = answer.memory.value else { return "memory: could not be read, so nothing goes for want of it" }
    let share = Phrases.share(memory.usedBytes, of: memory.limitBytes)
    func percent(_ value: Double) -> String {
      let isWhole = abs(value * 100 - (value * 100).rounded()) < 0.05
      return "\(Phrases.decimal(value * 100, places: isWhole ? 0 : 1)) %"
    }
    let source = memory.source == "machine" ? "" : " of \(memory.source)"
    let now =
      answer.wantedBytes > 0
      ? "; \(Phrases.bytes(answer.wantedBytes)) are to come back now"
      : "; units go for want of it above \(percent(memory.threshold)) held for \(Phrases.duration(memory.thresholdSeconds)), "
        + "at once above \(percent(memory.critical))"
    return "memory: \(Phrases.bytes(memory.usedBytes)) of \(Phrases.bytes(memory.limitBytes)) in use\(source) "
      + "(\(share), \(memory.level))\(now)"
  }

  private var strategy: String { "strategy: \(answer.strategy)\(answer.enabled ? "" : "; unloading is switched off")" }

  private func summary(_ going: [PlanUnit]) -> [String] {
    let back = going.reduce(Bytes.zero) { $0 + Bytes($1.bytes.value ?? 0) }
    let words =
      going.isEmpty
      ? "nothing would be unloaded" : "\(Phrases.count(going.count, "unit", "units")) would be unloaded and bring back \(back)"
    let note = answer.acts || !answer.enabled ? "" : "; it is only recorded, and nothing is touched (unloading.dry_run)"
    var lines = [words + note]
    var counts: [String: Int] = [:]
    for unit in answer.units where unit.verdict != "unload" { counts[Self.group(unit.reason), default: 0] += 1 }
    guard !counts.isEmpty else { return lines }
    let parts = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
    lines.append(
      "\(Phrases.count(answer.units.count - going.count, "unit stays", "units stay")): " + parts.joined(separator: ", ")
        + (showsAll ? "" : " (mlos plan --all lists them)"))
    return lines
  }

  /// Words for so many units that stay for the same reason.
  private static func group(_ reason: String) -> String {
    switch reason {
    case "in-use": "not idle for long enough"
    case "savings-too-small": "would bring back too little"
    case "needed-by": "needed by others"
    case "use-unknown": "not observed for long enough"
    case "user-preference": "denied by the user"
    case "critical": "critical"
    case "expected-soon": "expected to be used soon"
    case "target-reached": "not needed for the target"
    case "cycle-full": "in a later look"
    default: reason.split(separator: "-").joined(separator: " ")
    }
  }
}

extension PlanUnit {
  /// `torch`, `heap of python3`.
  fileprivate var isHeap: Bool { kind == ReclaimUnit.Kind.heap.rawValue }
  fileprivate var title: String { ReclaimUnit.Kind(rawValue: kind)?.title(of: name) ?? name }
}

/// `mlos why NAME`.
struct WhyView {
  var answer: PlanAnswer
  /// The one process asked about; nil for all.
  var pid: Int32?
  var showsAll = false

  /// What fits a screen.
  static let shown = 5

  func lines(_ terminal: Terminal) -> [String] {
    let units = answer.units.filter { pid == nil || $0.pid.value == pid }
    guard !units.isEmpty else {
      let holders = answer.units.compactMap(\.pid.value).map { "\($0)" }.joined(separator: ", ")
      return terminal.wrapped("not in process \(pid.map { "\($0)" } ?? "-"); it is in \(holders)", indent: 2)
    }
    let chosen = showsAll ? units : Array(units.prefix(Self.shown))
    var lines = terminal.wrapped(PlanView.memory(answer), indent: 2)
    for unit in chosen { lines += [""] + describe(unit, terminal) }
    if chosen.count < units.count { lines += [""] + terminal.footnote("\(units.count - chosen.count) more processes: --all") }
    return lines
  }

  /// What was decided before, newest first in `decisions`, shown newest last.
  static func lines(_ decisions: [DecisionRow], _ terminal: Terminal) -> [String] {
    guard !decisions.isEmpty else { return [] }
    return ["", Emphasis.heading.applied(to: "decided before", terminal)]
      + decisions.reversed().map { HistoryView.line($0, terminal, clock: EventLine.localTime) }
  }

  /// Why nothing is known of what was decided before.
  static func lines(problem: String?, _ terminal: Terminal) -> [String] {
    problem.map { [""] + terminal.footnote("what was decided before is not known: \($0)", .warning) } ?? []
  }

  /// A figure that was measured is never shown as 0.
  static func seconds(_ seconds: Double) -> String {
    if seconds >= 0.1 { return "\(Phrases.decimal(seconds, places: 2)) s" }
    return seconds >= 0.001 ? "\(Phrases.decimal(seconds * 1e3, places: 1)) ms" : "less than 1 ms"
  }

  private func describe(_ unit: PlanUnit, _ terminal: Terminal) -> [String] {
    let isGoing = unit.verdict == "unload"
    let place = unit.pid.value.map { " in \(unit.processName) (\($0))" } ?? ""
    let isHeap = unit.isHeap
    // `heap of python3 (4711)`: of what the process is its name.
    let holder = isHeap ? unit.pid.value.map { " (\($0))" } ?? "" : place
    let title = "\(unit.title)\(holder) \(isGoing ? (isHeap ? "would be given back" : "would be unloaded") : "stays")"
    let facts: [(String, String)] = [
      ("because", unit.explanation),
      ("otherwise, if", unit.otherwise.isEmpty ? "-" : unit.otherwise),
      (
        "brings back",
        "\(Phrases.bytes(unit.bytes)) (\(isHeap ? "free in its allocator, an estimate" : "clean pages: its own, or its share where all let go together"))"
      ),
      ("last used", Phrases.ago(unit.lastUsedAt, now: answer.takenAt)),
      (
        "used again",
        "within 10 min with a probability of \(Phrases.decimal(unit.reuseProbability * 100, places: 0)) %, by its own "
          + "history and that of all units"
      ),
      (
        "reload takes",
        unit.reloadSeconds.value.map(Self.seconds)
          ?? (isHeap ? "not measured; as new pages at 4 GB/s" : "not measured; by its size")
      ),
      (
        "regret",
        unit.regret > 1 ? "counts \(Phrases.decimal(unit.regret, places: 2)) times, having been needed soon again" : "none"
      ),
      ("rank", rank(unit)), ("strategy", "\(unit.strategy); class \(unit.unitClass)"),
    ]
    let width = facts.reduce(0) { max($0, $1.0.count) } + 2
    return terminal.wrapped(title, indent: 2).map { (isGoing ? Emphasis.warning : .heading).applied(to: $0, terminal) }
      + facts.flatMap { name, value in
        terminal.wrapped(
          "  " + name + String(repeating: " ", count: width - name.count) + value, indent: width + 2)
      }
  }

  private func rank(_ unit: PlanUnit) -> String {
    guard let score = unit.score.value else { return "-" }
    let bytes = Bytes(UInt64(min(max(score, 0), 1e18)))
    return "\(bytes) back for a second of expected reloading" + (unit.order.value.map { "; number \($0) to go" } ?? "")
  }
}
