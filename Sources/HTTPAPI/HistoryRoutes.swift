import Hummingbird
import Model
import Wire

/// Which rows of the journal, newest first. Nil is every.
public struct HistoryQuery: Sendable {
  public var name: String?
  public var pid: Int32?
  /// Seconds since 1970: from here on, and before that.
  public var from: Double?
  public var to: Double?
  public var limit: Int
  /// As an answer before gave it.
  public var cursor: String?

  public init(name: String?, pid: Int32?, from: Double?, to: Double?, limit: Int, cursor: String?) {
    self.name = name
    self.pid = pid
    self.from = from
    self.to = to
    self.limit = limit
    self.cursor = cursor
  }
}

/// Which course of a metric.
public struct MetricQuery: Sendable {
  public var metric: String
  public var from: Double
  public var to: Double
  public var step: Double
  /// One of `HistoryChoices.aggregations`.
  public var aggregation: String

  public init(metric: String, from: Double, to: Double, step: Double, aggregation: String) {
    self.metric = metric
    self.from = from
    self.to = to
    self.step = step
    self.aggregation = aggregation
  }
}

/// What is exported.
public struct ExportQuery: Sendable {
  /// One of `HistoryChoices.formats`.
  public var format: String
  /// One of `HistoryChoices.exported`.
  public var what: String
  /// Seconds since 1970: from here on, and before that.
  public var from: Double?
  public var to: Double?
  /// As an answer before gave it.
  public var cursor: String?

  public init(format: String, what: String, from: Double?, to: Double?, cursor: String?) {
    self.format = format
    self.what = what
    self.from = from
    self.to = to
    self.cursor = cursor
  }
}

/// Words that questions to the journal may use.
public enum HistoryChoices {
  public static let aggregations = ["avg", "min", "max", "sum", "count", "last"]
  public static let formats = ["json", "csv", "prometheus"]
  public static let exported = ["decisions", "outcomes", "changes", "metrics"]
}

/// The journal, as far as the control API asks it.
public protocol HistoryAnswering: Sendable {
  /// Never waits for a disk.
  func status() -> JournalStatus
  func decisions(_ query: HistoryQuery) async throws(HistoryError) -> DecisionsAnswer
  func changes(_ query: HistoryQuery) async throws(HistoryError) -> ChangesAnswer
  func notices(_ query: HistoryQuery) async throws(HistoryError) -> NoticesAnswer
  func metrics() async throws(HistoryError) -> MetricsAnswer
  func history(_ query: MetricQuery) async throws(HistoryError) -> HistoryAnswer
  func totals() async throws(HistoryError) -> TotalsAnswer
  /// Counted over a stretch of time, in seconds since 1970.
  func unloads(from: Double, to: Double) async throws(HistoryError) -> UnloadWindow
  func export(_ query: ExportQuery) async throws(HistoryError) -> ExportAnswer
}

/// Why a question to the journal has no answer.
public enum HistoryError: Error, Sendable {
  /// It cannot be read now; why.
  case unavailable(String)
  /// No answer gave this cursor.
  case badCursor
  /// With the names there are.
  case unknownMetric(String, [String])
}

extension APIError {
  init(_ error: HistoryError) {
    switch error {
    case .unavailable(let why): self.init(.conflict, "unavailable", "the journal cannot be read: \(why)")
    case .badCursor:
      self.init(.unprocessableContent, "invalid_request", "'cursor' must be the 'next' of an answer before this one")
    case .unknownMetric(let name, let names):
      let near = nearestName(to: name, among: names)
      self.init(
        .notFound, "not_found",
        "nothing called '\(printable(name.utf8.prefix(200)))' has been measured"
          + (near.map { "; did you mean '\($0)'?" } ?? ""),
        names.isEmpty ? [:] : ["metrics": names.prefix(50).joined(separator: ", ")])
    }
  }
}

extension ControlAPI {
  /// Rows in one answer.
  static let rowLimit = 1_000
  /// Steps in one answer.
  static let stepLimit = 10_000.0
  /// After the year 33,000.
  static let times: ClosedRange<Double> = 0...1e12

  var historyEndpoints: [Endpoint] {
    [
      .get("api/v1/decisions", query: ["name", "pid", "from", "to", "limit", "cursor"]) { request, _ in
        try JSON.response(try await journal().decisions(try rows(request)))
      },
      .get("api/v1/changes", query: ["name", "from", "to", "limit", "cursor"]) { request, _ in
        try JSON.response(try await journal().changes(try rows(request)))
      },
      .get("api/v1/notices", query: ["from", "to", "limit", "cursor"]) { request, _ in
        try JSON.response(try await journal().notices(try rows(request)))
      },
      .get("api/v1/history", query: ["metric", "from", "to", "step", "aggregation"]) { request, _ in
        try await course(request)
      },
      .get("api/v1/totals") { _, _ in try JSON.response(try await journal().totals()) },
      .get("api/v1/export", query: ["format", "what", "from", "to", "cursor"]) { request, _ in try await export(request) },
    ]
  }

  private func journal() throws -> any HistoryAnswering {
    guard let history else {
      throw APIError(
        .conflict, "unavailable", "this supervisor keeps no journal: journal.path is empty, or it ends with its program")
    }
    return history
  }

  private func rows(_ request: Request) throws -> HistoryQuery {
    let query = request.uri.queryParameters
    let (from, to) = try Self.span(request)
    let limit: Int = try query["limit"].map { try Self.number(String($0), of: "limit", in: 1...Self.rowLimit) } ?? 100
    return HistoryQuery(
      name: query["name"].map(String.init), pid: try query["pid"].map { try Self.pid(String($0), of: "pid") }, from: from,
      to: to, limit: limit, cursor: query["cursor"].map(String.init))
  }

  private static func span(_ request: Request) throws -> (from: Double?, to: Double?) {
    let query = request.uri.queryParameters
    let from: Double? = try query["from"].map { try number(String($0), of: "from", in: times) }
    let to: Double? = try query["to"].map { try number(String($0), of: "to", in: times) }
    if let from, let to, from >= to { throw APIError(.unprocessableContent, "invalid_request", "'from' must lie before 'to'") }
    return (from, to)
  }

  private static func choice(_ request: Request, _ name: String, of values: [String], standard: String) throws -> String {
    guard let asked = request.uri.queryParameters[Substring(name)].map({ String($0) }) else { return standard }
    guard values.contains(asked) else {
      throw APIError(
        .unprocessableContent, "invalid_request", "'\(name)' must be one of \(values.joined(separator: ", "))",
        ["values": values.joined(separator: ", ")])
    }
    return asked
  }

  private func course(_ request: Request) async throws -> Response {
    let journal = try journal()
    let query = request.uri.queryParameters
    guard let metric = query["metric"].map({ String($0) }) else {
      if let other = ["from", "to", "step", "aggregation"].first(where: { query[Substring($0)] != nil }) {
        throw APIError(.unprocessableContent, "invalid_request", "'\(other)' needs a 'metric'")
      }
      return try JSON.response(try await journal.metrics())
    }
    let (asked, to) = try Self.span(request)
    let end = to ?? now()
    let from = asked ?? max(0, end - 3600)
    guard from < end else { throw APIError(.unprocessableContent, "invalid_request", "'from' must lie before 'to'") }
    let step: Double = try query["step"].map { try Self.number(String($0), of: "step", in: 10...1e9) } ?? 60
    guard (end - from) / step <= Self.stepLimit else {
      throw APIError(
        .unprocessableContent, "invalid_request",
        "that is more than \(Int(Self.stepLimit)) steps: take a 'step' of \(Int(((end - from) / Self.stepLimit).rounded(.up))) s at least"
      )
    }
    let aggregation = try Self.choice(request, "aggregation", of: HistoryChoices.aggregations, standard: "avg")
    return try JSON.response(
      try await journal.history(MetricQuery(metric: metric, from: from, to: end, step: step, aggregation: aggregation)))
  }

  private func export(_ request: Request) async throws -> Response {
    let (from, to) = try Self.span(request)
    let format = try Self.choice(request, "format", of: HistoryChoices.formats, standard: "json")
    let what = try Self.choice(request, "what", of: HistoryChoices.exported, standard: "decisions")
    return try JSON.response(
      try await journal().export(
        ExportQuery(
          format: format, what: what, from: from, to: to, cursor: request.uri.queryParameters["cursor"].map(String.init))))
  }
}
