import HTTPAPI
import Journal
import Wire

/// One step of one metric.
private struct NamedPoint: ExportableRow {
  static var exportColumns: [String] { ["metric"] + MetricPoint.exportColumns }
  var name: String
  var point: MetricPoint
  var exportValues: [ExportValue] { [.text(name)] + point.exportValues }
}

extension JournalKeeper {
  /// Rows in one piece.
  private static let exportPiece = 1_000
  /// Steps of one metric: the finest that are kept for more than an hour, and what that makes of a week.
  private static let exportStep = 60.0
  private static let exportSpan = 7 * 86_400.0

  func export(_ query: ExportQuery) async throws(HistoryError) -> ExportAnswer {
    if query.format == "prometheus" {
      let health = health.health
      return try await answering {
        ExportAnswer(format: query.format, text: PrometheusExport.text(try $0.totals(), health: health), next: Known(nil))
      }
    }
    if query.what == "metrics" { return try await exportMetrics(query) }
    let asked = JournalQuery(
      from: query.from, to: query.to, limit: Self.exportPiece, after: try JournalCursor(ofAnswer: query.cursor))
    return try await answering { journal in
      switch query.what {
      case "outcomes": Self.piece(try journal.outcomes(asked), query)
      case "changes": Self.piece(try journal.configurationChanges(asked), query)
      default: Self.piece(try journal.decisions(asked), query)
      }
    }
  }

  private static func piece<Row: ExportableRow & Hashable & Sendable>(
    _ page: JournalPage<Row>, _ query: ExportQuery
  ) -> ExportAnswer {
    ExportAnswer(format: query.format, text: text(page.rows, query), next: Known(page.next?.description))
  }

  private static func text<Row: ExportableRow>(_ rows: [Row], _ query: ExportQuery) -> String {
    guard query.format == "csv" else { return JournalExport.jsonLines(rows) }
    let text = JournalExport.csv(rows)
    // The header stands once, in the first piece.
    guard query.cursor != nil, let end = text.utf8.firstIndex(of: UInt8(ascii: "\n")) else { return text }
    return String(text[text.utf8.index(after: end)...])
  }

  /// A metric a piece; the cursor is the name of the last.
  private func exportMetrics(_ query: ExportQuery) async throws(HistoryError) -> ExportAnswer {
    let to = query.to ?? currentMoment().wall
    let from = query.from ?? max(0, to - 86_400)
    let step = max(10, min(Self.exportStep, (to - from) / 60), (to - from) / Self.exportSpan * Self.exportStep)
    return try await answering { journal in
      let names = try journal.metricNames().drop { name in query.cursor.map { name <= $0 } ?? false }
      guard let name = names.first else { return ExportAnswer(format: query.format, text: "", next: Known(nil)) }
      let points = try journal.metric(name, from: from, to: to, step: step).map { NamedPoint(name: name, point: $0) }
      return ExportAnswer(
        format: query.format, text: Self.text(points, query), next: Known(names.count > 1 ? name : nil))
    }
  }
}
