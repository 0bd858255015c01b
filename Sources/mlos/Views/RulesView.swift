import Wire

/// `mlos rules`.
struct RulesView {
  var answer: RulesAnswer

  func lines(_ terminal: Terminal) -> [String] {
    let table = Table(
      columns: [
        .wrapping("RULE", minimum: Table.least(12, beside: 14, terminal)),
        .text("STATE", minimum: Table.least(13, beside: 14, terminal)),
        .number("HOLDS", drop: 4), .number("FIRED", drop: 2), .number("TIMES", drop: 5),
        .wrapping("WHEN", minimum: 16, drop: 3), .wrapping("THEN", minimum: 12, drop: 1),
        .text("FROM", minimum: 12, keepsEnd: true, drop: 6),
      ],
      rows: answer.rules.map { rule in
        [
          Table.Cell(rule.name), Table.Cell(Self.state(rule), Self.emphasis(rule)),
          Table.Cell(rule.holdsSince.value.map { Phrases.duration(answer.takenAt - $0) } ?? "-"),
          Table.Cell(rule.lastFiredAt.value.map { Phrases.ago(Known($0), now: answer.takenAt) } ?? "never"),
          Table.Cell("\(rule.firings)"), Table.Cell(rule.condition), Table.Cell(rule.actions.joined(separator: "; ")),
          Table.Cell(rule.origin, .faint),
        ]
      })
    let count = answer.rules.isEmpty ? "no rules are in force" : Phrases.count(answer.rules.count, "rule", "rules")
    let problem = answer.problem.value.map { terminal.footnote("added at run time, and not in force: \($0)", .warning) } ?? []
    let waiting = answer.rules.flatMap { rule in
      rule.heldBack.flatMap { terminal.footnote("\(rule.name): \($0)", .warning) }
    }
    return (answer.rules.isEmpty ? [] : table.lines(terminal)) + terminal.footnote(count) + waiting + problem
  }

  /// `cooling down`, for people.
  static func state(_ rule: RuleRow) -> String {
    switch rule.state {
    case "unseen": "not looked at"
    case "unknown": "not known"
    default: rule.state.split(separator: "-").joined(separator: " ")
    }
  }

  static func emphasis(_ rule: RuleRow) -> Emphasis {
    switch rule.state {
    case "fired", "cooling-down", "holding": .good
    case "unknown": .warning
    case "disabled", "unseen": .faint
    default: .plain
    }
  }
}

/// `mlos rules show NAME`.
struct RuleView {
  var rule: RuleRow
  var takenAt: Double

  func lines(_ terminal: Terminal) -> [String] {
    let facts: [(String, String)] =
      [("state", rule.explanation)] + rule.heldBack.map { ("held back", $0) } + [
        ("when", rule.condition),
        ("for", rule.forSeconds == 0 ? "at once" : Phrases.duration(rule.forSeconds)),
        ("every", Phrases.duration(rule.everySeconds)),
        ("after", rule.after.isEmpty ? "-" : rule.after.joined(separator: ", ")),
        ("then", rule.actions.joined(separator: "; ")),
        ("holds", rule.holdsSince.value.map { "for \(Phrases.duration(takenAt - $0))" } ?? "-"),
        ("fired", rule.lastFiredAt.value.map { "\(Phrases.ago(Known($0), now: takenAt)), \(times)" } ?? "never"),
        ("from", rule.origin),
      ]
    let width = facts.reduce(0) { max($0, $1.0.count) } + 2
    return [RulesView.emphasis(rule).applied(to: rule.name, terminal)]
      + facts.flatMap { name, value in
        terminal.wrapped("  " + name + String(repeating: " ", count: width - name.count) + value, indent: width + 2)
      } + [""]
      // YAML goes on in a line that is indented further.
      + rule.text.split(separator: "\n").flatMap { line in
        terminal.wrapped(String(line), indent: line.prefix { $0 == " " || $0 == "-" }.count + 4)
      }
  }

  private var times: String { rule.firings == 1 ? "once" : "\(rule.firings) times" }
}
