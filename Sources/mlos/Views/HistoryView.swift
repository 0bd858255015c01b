import Model
import Wire

/// What `mlos history` found, as JSON; rows oldest first.
struct HistoryListing: Codable, Equatable {
  var schema = "mlos.history-listing/1"
  var decisions: [DecisionRow]
  var changes: [ChangeRow]
  var notices: [NoticeRow]
}

extension JournalStatus {
  /// Why what happened last is not in the journal; nil when all is.
  var unwritten: String? {
    guard condition != "writing" else { return nil }
    return "the journal is \(condition): \(problem.value ?? "no reason is known"); "
      + "\(Phrases.count(queuedRows, "row", "rows")) wait\(queuedRows == 1 ? "s" : "")"
      + (lostRows > 0 ? ", \(lostRows) are lost" : "")
  }
}

/// `mlos history`.
struct HistoryView {
  /// Newest first.
  var decisions: [DecisionRow]
  var changes: [ChangeRow]
  /// What the journal says about itself.
  var notices: [NoticeRow] = []
  /// Of all together.
  var limit: Int
  /// Why what happened last is not in it, in words; nil when all is.
  var unwritten: String?

  private enum Row {
    case decision(DecisionRow)
    case change(ChangeRow)
    case notice(NoticeRow)

    var order: (Double, Int, Int64) {
      switch self {
      case .decision(let row): (row.at, 0, row.id)
      case .change(let row): (row.at, 1, row.id)
      case .notice(let row): (row.at, 2, row.id)
      }
    }
  }

  /// The last ones, oldest first.
  private var rows: [Row] {
    let all = decisions.map { Row.decision($0) } + changes.map { Row.change($0) } + notices.map { Row.notice($0) }
    return Array(all.sorted { $0.order < $1.order }.suffix(limit))
  }

  var listing: HistoryListing {
    var listing = HistoryListing(decisions: [], changes: [], notices: [])
    for row in rows {
      switch row {
      case .decision(let row): listing.decisions.append(row)
      case .change(let row): listing.changes.append(row)
      case .notice(let row): listing.notices.append(row)
      }
    }
    return listing
  }

  /// - Parameter clock: Seconds since 1970 as a time of day.
  func lines(_ terminal: Terminal, clock: (Double) -> String) -> [String] {
    let rows = rows
    guard !rows.isEmpty else {
      guard let unwritten else { return terminal.footnote("nothing was decided or changed in that time") }
      return terminal.footnote("nothing of that time is in the journal; \(unwritten)")
    }
    return rows.map { row in
      switch row {
      case .decision(let row): Self.line(row, terminal, clock: clock)
      case .change(let row): Self.line(row, terminal, clock: clock)
      case .notice(let row):
        Self.joined([(Self.time(row.at, clock), .faint), ("journal", .plain), (row.text, .bad)], terminal)
      }
    }
  }

  /// `2026-11-21 09:41:07  numpy (4711)  would go  20 MiB expected, not measured  Usage pattern unloading (balanced)`
  static func line(_ row: DecisionRow, _ terminal: Terminal, clock: (Double) -> String) -> String {
    let place = row.pid.value.map { " (\($0))" } ?? ""
    let (verb, emphasis) = Self.verb(row)
    let title = ReclaimUnit.Kind(rawValue: row.kind)?.title(of: row.name) ?? row.name
    return joined(
      [
        (time(row.at, clock), .faint), ("\(title)\(place)", .plain), (verb, emphasis), (bytes(row), .plain),
        (row.text, .plain), (obstacle(row), .plain),
      ], terminal)
  }

  /// Why nothing came back.
  private static func obstacle(_ row: DecisionRow) -> String {
    guard let outcome = row.outcomes.last, outcome.result == "kept", let word = outcome.obstacle.value else { return "" }
    return ReclaimWords.reason(word)
  }

  private static func line(_ row: ChangeRow, _ terminal: Terminal, clock: (Double) -> String) -> String {
    if row.origin.hasSuffix(" turn it to and fro") {
      return joined(
        [
          (time(row.at, clock), .faint), (row.key, .plain), ("stays for a while", .warning), (shown(row.new.value), .plain),
          (row.origin, .plain),
        ], terminal)
    }
    // Who caused it does not say that nobody chose this value.
    let isEnd = row.origin.hasSuffix(" has ended")
    return joined(
      [
        (time(row.at, clock), .faint), (row.key, .plain), ("changed", .good),
        ("\(shown(row.old.value)) to \(shown(row.new.value))", .plain), ("by \(row.requester.name)", .plain),
        (isEnd ? row.origin : "", .plain),
      ], terminal)
  }

  private static func joined(_ pieces: [(text: String, emphasis: Emphasis)], _ terminal: Terminal) -> String {
    terminal.line(
      pieces.filter { !$0.text.isEmpty }.enumerated().flatMap {
        $0.offset == 0 ? [$0.element] : [(text: "  ", emphasis: .plain), $0.element]
      })
  }

  private static func shown(_ value: String?) -> String { value.map { $0.isEmpty ? "\"\"" : $0 } ?? "not set" }

  /// Decisions come by the minute: the fraction of the second goes.
  private static func time(_ at: Double, _ clock: (Double) -> String) -> String {
    let text = clock(at)
    return text.count == 23 ? String(text.dropLast(4)) : text
  }

  private static func verb(_ row: DecisionRow) -> (String, Emphasis) {
    guard row.verdict == "unload" else { return ("stays", .plain) }
    switch row.outcomes.last?.result {
    case "freed": return ("went", .good)
    case "kept": return ("could not go", .bad)
    case "dry-run": return ("would go", .warning)
    default: return ("is to go", .warning)
    }
  }

  private static func bytes(_ row: DecisionRow) -> String {
    guard row.verdict == "unload" else { return "" }
    let predicted = row.predictedBytes.value.map { "\(Phrases.bytes($0)) expected" } ?? "expected bytes not known"
    let freed = row.outcomes.compactMap(\.freedBytes.value)
    guard let first = freed.first else { return "\(predicted), not measured" }
    return "\(predicted), \(Phrases.bytes(freed.dropFirst().reduce(first) { $0 &+ $1 })) measured"
  }
}

/// `mlos history --metric NAME`.
struct MetricView {
  var answer: HistoryAnswer

  func lines(_ terminal: Terminal) -> [String] {
    guard !answer.points.isEmpty else { return terminal.footnote("\(answer.metric): nothing was measured in that time") }
    let table = Table(
      columns: [.text("FROM", minimum: 19), .number(answer.aggregation.uppercased()), .number("SAMPLES", drop: 1)],
      rows: answer.points.map { point in
        [
          Table.Cell(String(EventLine.localTime(point.at).prefix(19))), Table.Cell(value(point.value)),
          Table.Cell("\(point.samples)"),
        ]
      })
    return table.lines(terminal)
      + terminal.footnote("\(answer.metric), \(answer.aggregation) of every \(Phrases.duration(answer.stepSeconds))")
  }

  /// Bytes as bytes, by the names that `GET /api/v1/history` documents.
  private func value(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    if answer.aggregation != "count", ["memory.used", "processes.resident"].contains(answer.metric) {
      return Phrases.bytes(UInt64(min(max(value, 0), 1e18)))
    }
    return Phrases.decimal(value, places: value == value.rounded() ? 0 : 3)
  }
}
