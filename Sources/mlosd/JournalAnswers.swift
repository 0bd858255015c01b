import HTTPAPI
import Journal
import Model
import Wire

/// The journal's rows as the control API's JSON.
extension JournalKeeper: HistoryAnswering {
  func status() -> JournalStatus {
    let (health, waiting, lost) = health
    let condition =
      switch health.condition {
      case .writing: "writing"
      case .waiting: "waiting"
      case .stopped: "stopped"
      }
    return JournalStatus(
      path: path, condition: condition, problem: Known(health.condition.error?.description), bytes: Known(health.bytes),
      queuedRows: health.queuedRows + waiting, lostRows: health.lostRows + lost)
  }

  func decisions(_ query: HistoryQuery) async throws(HistoryError) -> DecisionsAnswer {
    let asked = try JournalQuery(query)
    return try await answering { journal in
      let page = try journal.decisions(asked)
      return DecisionsAnswer(
        decisions: try page.rows.map { DecisionRow($0, try journal.outcomes(of: $0.id)) }, next: Known(page.next?.description))
    }
  }

  func changes(_ query: HistoryQuery) async throws(HistoryError) -> ChangesAnswer {
    let asked = try JournalQuery(query)
    return try await answering { journal in
      let page = try journal.configurationChanges(asked)
      return ChangesAnswer(changes: page.rows.map { ChangeRow($0) }, next: Known(page.next?.description))
    }
  }

  func notices(_ query: HistoryQuery) async throws(HistoryError) -> NoticesAnswer {
    let asked = try JournalQuery(query)
    return try await answering { journal in
      let page = try journal.notices(asked)
      return NoticesAnswer(
        notices: page.rows.map {
          NoticeRow(id: $0.id, at: $0.time, kind: $0.kind.rawValue, text: $0.text, lostRows: Known($0.rows))
        }, next: Known(page.next?.description))
    }
  }

  func metrics() async throws(HistoryError) -> MetricsAnswer {
    try await answering { MetricsAnswer(metrics: try $0.metricNames()) }
  }

  func history(_ query: MetricQuery) async throws(HistoryError) -> HistoryAnswer {
    let aggregation = MetricAggregation(rawValue: query.aggregation) ?? .average
    return try await answering { journal in
      let names = try journal.metricNames()
      guard names.contains(query.metric) else { throw HistoryError.unknownMetric(query.metric, names) }
      let points = try journal.metric(query.metric, from: query.from, to: query.to, step: query.step)
      return HistoryAnswer(
        metric: query.metric, from: query.from, to: query.to, stepSeconds: query.step, aggregation: query.aggregation,
        points: points.map {
          HistoryPoint(at: $0.start, value: $0.value(aggregation), samples: $0.count, resolutionSeconds: $0.resolution)
        })
    }
  }

  func totals() async throws(HistoryError) -> TotalsAnswer {
    try await answering { journal in
      let totals = try journal.totals()
      return TotalsAnswer(
        all: TotalsRow(totals.all), reasons: totals.byWord.map { NamedTotals($0) },
        units: try journal.totalsByUnit().map { NamedTotals($0) })
    }
  }

  func unloads(from: Double, to: Double) async throws(HistoryError) -> UnloadWindow {
    try await answering { try $0.unloads(from: from, to: to) }
  }

  func answering<Value: Sendable>(
    _ question: @escaping @Sendable (Journal) throws -> Value
  ) async throws(HistoryError) -> Value {
    do {
      return try await ask(at: currentMoment().wall, question)
    } catch let error as HistoryError {
      throw error
    } catch {
      throw .unavailable("\(error)")
    }
  }
}

extension JournalQuery {
  init(_ query: HistoryQuery) throws(HistoryError) {
    self.init(
      from: query.from, to: query.to, name: query.name, pid: query.pid, limit: query.limit,
      after: try JournalCursor(ofAnswer: query.cursor))
  }
}

extension JournalCursor {
  /// Nil for the begin.
  init?(ofAnswer text: String?) throws(HistoryError) {
    guard let text else { return nil }
    guard let cursor = JournalCursor(text) else { throw .badCursor }
    self = cursor
  }
}

extension DecisionRow {
  fileprivate init(_ record: DecisionRecord, _ outcomes: [OutcomeRecord]) {
    let figures = record.figures
    let timeout = figures.timeoutSeconds
    self.init(
      id: record.id, at: record.time, cycle: record.cycle, name: record.unit.name, kind: record.unit.kind.rawValue,
      pid: Known(record.unit.process?.pid), verdict: record.verdict.rawValue, reason: record.reason, text: record.text,
      rule: Known(record.rule), predictedBytes: Known(record.predicted?.count), idleSeconds: Known(figures.idleSeconds),
      timeoutSeconds: Known(timeout.isFinite ? timeout : nil), strategy: figures.strategy,
      unitClass: figures.unitClass.rawValue, reloadSeconds: Known(figures.reloadSeconds),
      reuseProbability: figures.reuseProbability, regret: figures.regret, score: Known(figures.score),
      memory: Known(
        record.memory.map {
          RecordedMemory(
            usedBytes: $0.used.count, limitBytes: $0.limit.count, source: $0.source, stall: Known($0.stall))
        }),
      requester: RequesterRow(record.requester), outcomes: outcomes.map { OutcomeRow($0) })
  }
}

extension OutcomeRow {
  fileprivate init(_ record: OutcomeRecord) {
    self.init(
      at: record.time, result: record.result.rawValue, freedBytes: Known(record.freed?.count),
      freedPrivateBytes: Known(record.freedPrivate?.count), freedProportionalBytes: Known(record.freedProportional?.count),
      seconds: record.seconds, obstacle: Known(record.obstacle), stayed: record.stayed,
      rungs: record.rungs.map {
        RungOutcomeRow(
          rung: $0.rung, freedBytes: Known($0.freed?.count), seconds: $0.seconds, refusal: Known($0.refusal))
      })
  }
}

extension ChangeRow {
  fileprivate init(_ record: ConfigurationChange) {
    self.init(
      id: record.id, at: record.time, key: record.key, old: Known(record.old), new: Known(record.new), origin: record.origin,
      requester: RequesterRow(record.requester))
  }
}

extension RequesterRow {
  fileprivate init(_ requester: Requester) {
    self.init(name: requester.name, uid: Known(requester.uid), pid: Known(requester.pid))
  }
}

extension TotalsRow {
  fileprivate init(_ totals: UnloadTotals) {
    self.init(
      unloads: totals.unloads, successful: totals.successful, failed: totals.failed, freedBytes: totals.freed.count,
      seconds: totals.seconds, lastAt: Known(totals.lastTime))
  }
}

extension NamedTotals {
  fileprivate init(_ named: JournalTotals.Named) { self.init(name: named.name, totals: TotalsRow(named.totals)) }
}
