import Wire

/// The journal, and changes of settings.
extension ControlClient {
  /// The most rows that one answer has.
  private static let piece = 1_000

  /// A stretch of time, in seconds since 1970; nil is without an end.
  public struct Span: Sendable {
    public var from: Double?
    public var to: Double?

    public init(from: Double? = nil, to: Double? = nil) {
      self.from = from
      self.to = to
    }

    fileprivate var query: [(name: String, value: String?)] { [("from", from.map { "\($0)" }), ("to", to.map { "\($0)" })] }
  }

  /// What was decided, newest first, and what came of it; as many answers as it takes.
  public func decisions(
    of name: String? = nil, pid: Int32? = nil, in span: Span = Span(), limit: Int
  ) async throws(ClientError) -> [DecisionRow] {
    var rows: [DecisionRow] = []
    var cursor: String?
    repeat {
      let answer: Answer<DecisionsAnswer> = try await get(
        ["decisions"],
        query: [
          ("name", name), ("pid", pid.map { "\($0)" }), ("limit", "\(min(limit - rows.count, Self.piece))"), ("cursor", cursor),
        ] + span.query)
      rows += answer.body.decisions
      cursor = answer.body.decisions.isEmpty ? nil : answer.body.next.value
    } while cursor != nil && rows.count < limit
    return rows
  }

  /// Settings that changed while a supervisor ran, newest first; as many answers as it takes.
  public func changes(in span: Span = Span(), limit: Int) async throws(ClientError) -> [ChangeRow] {
    var rows: [ChangeRow] = []
    var cursor: String?
    repeat {
      let answer: Answer<ChangesAnswer> = try await get(
        ["changes"], query: [("limit", "\(min(limit - rows.count, Self.piece))"), ("cursor", cursor)] + span.query)
      rows += answer.body.changes
      cursor = answer.body.changes.isEmpty ? nil : answer.body.next.value
    } while cursor != nil && rows.count < limit
    return rows
  }

  /// What the journal says about itself, newest first; the last ones.
  public func notices(in span: Span = Span(), limit: Int) async throws(ClientError) -> [NoticeRow] {
    let answer: Answer<NoticesAnswer> = try await get(["notices"], query: [("limit", "\(min(limit, Self.piece))")] + span.query)
    return answer.body.notices
  }

  /// The names of everything that has been measured.
  public func metrics() async throws(ClientError) -> Answer<MetricsAnswer> { try await get(["history"]) }

  /// The course of a metric.
  public func history(
    of metric: String, in span: Span, step: Double?, aggregation: String?
  ) async throws(ClientError) -> Answer<HistoryAnswer> {
    try await get(
      ["history"],
      query: [("metric", metric), ("step", step.map { "\($0)" }), ("aggregation", aggregation)] + span.query)
  }

  /// Unloads since the journal began.
  public func totals() async throws(ClientError) -> Answer<TotalsAnswer> { try await get(["totals"]) }

  /// The journal as text, one piece.
  public func export(
    _ what: String, as format: String, in span: Span, cursor: String?
  ) async throws(ClientError) -> Answer<ExportAnswer> {
    try await get(["export"], query: [("format", format), ("what", what), ("cursor", cursor)] + span.query)
  }

  /// Changes a setting while the supervisor runs.
  public func setConfiguration(_ key: String, to value: String) async throws(ClientError) -> Answer<ConfigAnswer> {
    try await put(["config", key], body: SettingRequest(value: value))
  }

  /// Takes such a change back.
  public func unsetConfiguration(_ key: String) async throws(ClientError) -> Answer<ConfigAnswer> {
    try await delete(["config", key])
  }
}
