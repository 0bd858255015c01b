import Foundation
import HTTPAPI
import Journal
import Logging
import Model
import Supervisor
import Testing
import Wire

@testable import mlosd

@Suite struct JournalKeeperTests {
  /// Some hours ago: what is much older is forgotten.
  static let base = (currentMoment().wall - 10_000).rounded()
  static let unit = ReclaimUnit(.package, "numpy", in: ProcessIdentity(pid: 4711, startTicks: 9))

  static func decision(at time: Double, reason: UnloadReason = .usagePattern("balanced")) -> DecisionRecord {
    let figures = JudgementFigures(
      idleSeconds: 901, timeoutSeconds: .infinity, strategy: "balanced", bytes: .mebibytes(20), reloadSeconds: nil,
      reuseProbability: 0.25, regret: 1, score: nil, unitClass: .optional)
    return DecisionRecord(
      Judgement(unit: unit, verdict: .unload(reason), figures: figures), time: time, cycle: 3,
      memory: MemoryPressure(used: .mebibytes(5), limit: .mebibytes(8), source: "machine"),
      requester: Requester("user 1000", uid: 1000, pid: 7))
  }

  /// A keeper in a folder that is gone afterwards.
  private func withKeeper(_ name: String = "a/journal.db", _ body: (JournalKeeper) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "mlos-keeper-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = "\(folder)/\(name)"
    #expect(JournalKeeper.makeFolder(of: path) == nil)
    let keeper = JournalKeeper(path: path, at: Self.base, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    try await body(keeper)
    keeper.close(at: currentMoment().wall)
  }

  private func query(limit: Int = 100, cursor: String? = nil) -> HistoryQuery {
    HistoryQuery(name: nil, pid: nil, from: nil, to: nil, limit: limit, cursor: cursor)
  }

  private func export(_ format: String, _ what: String, cursor: String? = nil) -> ExportQuery {
    ExportQuery(format: format, what: what, from: nil, to: nil, cursor: cursor)
  }

  @Test("a decision is answered as it was recorded, with what came of it") func decisions() async throws {
    try await withKeeper { keeper in
      let record = Self.decision(at: Self.base + 900.5)
      keeper.record(
        record, outcome: UnloadOutcome(unit: Self.unit, result: .freed(.mebibytes(19)), seconds: 0.5),
        because: .usagePattern("balanced"))
      let row = try #require(try await keeper.decisions(query()).decisions.first)
      #expect(row.at == Self.base + 900.5 && row.name == "numpy" && row.pid.value == 4711 && row.verdict == "unload")
      #expect(row.reason == "usage-pattern" && row.predictedBytes.value == 20 << 20)
      #expect(row.timeoutSeconds.value == nil && row.score.value == nil && row.reloadSeconds.value == nil)
      #expect(row.memory.value == RecordedMemory(usedBytes: 5 << 20, limitBytes: 8 << 20, source: "machine", stall: Known(nil)))
      #expect(row.requester == RequesterRow(name: "user 1000", uid: Known(1000), pid: Known(7)))
      #expect(row.outcomes.map(\.freedBytes.value) == [19 << 20] && row.outcomes.map(\.result) == ["freed"])
      let totals = try await keeper.totals()
      #expect(totals.all.successful == 1 && totals.units.map(\.name) == ["numpy"])
      #expect(totals.reasons.map(\.name) == ["usage-pattern"])
    }
  }

  @Test("pages follow one another, and what is no cursor is refused") func pages() async throws {
    try await withKeeper { keeper in
      for time in 1...5 { keeper.record(Self.decision(at: Self.base + Double(time)), outcome: nil, because: .manual) }
      let first = try await keeper.decisions(query(limit: 3))
      #expect(first.decisions.map { $0.at - Self.base } == [5, 4, 3])
      let second = try await keeper.decisions(query(limit: 3, cursor: first.next.value))
      #expect(second.decisions.map { $0.at - Self.base } == [2, 1] && second.next.value == nil)
      await #expect(throws: HistoryError.self) { try await keeper.decisions(query(cursor: "no/cursor")) }
    }
  }

  @Test("an export of several pieces has its header once and every row") func pieces() async throws {
    try await withKeeper { keeper in
      for time in 1...1_500 { keeper.record(Self.decision(at: Self.base + Double(time)), outcome: nil, because: .manual) }
      for format in ["csv", "json"] {
        var text = ""
        var cursor: String?
        var count = 0
        repeat {
          let answer = try await keeper.export(export(format, "decisions", cursor: cursor))
          (text, cursor, count) = (text + answer.text, answer.next.value, count + 1)
        } while cursor != nil
        let lines = text.split(whereSeparator: \.isNewline)
        #expect(count == 2 && lines.count == (format == "csv" ? 1_501 : 1_500), "\(format)")
        #expect(lines.count { $0.hasPrefix("id,") } == (format == "csv" ? 1 : 0))
      }
    }
  }

  @Test("metrics are exported one after the other, with their names") func metrics() async throws {
    try await withKeeper { keeper in
      let now = currentMoment().wall
      keeper.record([MetricSample("memory.used", 7, at: now - 60), MetricSample("memory.level", 0.5, at: now - 60)])
      #expect(try await keeper.metrics().metrics == ["memory.level", "memory.used"])
      let first = try await keeper.export(export("csv", "metrics"))
      #expect(first.next.value == "memory.level" && first.text.contains("memory.level,"))
      let second = try await keeper.export(export("csv", "metrics", cursor: first.next.value))
      #expect(second.next.value == nil && second.text.hasPrefix("memory.used,"))
      let course = MetricQuery(metric: "memory.used", from: now - 3600, to: now + 1, step: 60, aggregation: "max")
      #expect(try await keeper.history(course).points.map(\.value) == [7])
    }
  }

  @Test("an unknown metric is told with those there are") func unknownMetric() async throws {
    try await withKeeper { keeper in
      keeper.record([MetricSample("memory.used", 7, at: Self.base)])
      let query = MetricQuery(metric: "memory", from: 0, to: 1000, step: 60, aggregation: "avg")
      do throws(HistoryError) {
        _ = try await keeper.history(query)
        Issue.record("it was answered")
      } catch {
        guard case .unknownMetric("memory", ["memory.used"]) = error else { throw error }
      }
    }
  }

  @Test("what finds no room is counted") func overflow() async throws {
    try await withKeeper { keeper in
      for time in 0..<(JournalKeeper.limit + 10) {
        keeper.record(Self.decision(at: Self.base + Double(time)), outcome: nil, because: .manual)
      }
      let status = keeper.status()
      #expect(status.lostRows == 10 && status.queuedRows == JournalKeeper.limit && status.condition == "writing")
    }
  }

  @Test("a journal that cannot be opened is told, and answers nothing") func trouble() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "mlos-keeper-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = "\(folder)/journal.db"
    try Data("this is not a database, and must stay what it is".utf8).write(to: URL(filePath: path))
    let keeper = JournalKeeper(path: path, at: Self.base, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    keeper.record(Self.decision(at: 1), outcome: nil, because: .manual)
    let status = keeper.status()
    #expect(status.condition == "stopped" && status.bytes.value == nil && status.problem.value?.contains(path) == true)
    await #expect(throws: HistoryError.self) { try await keeper.decisions(query()) }
    keeper.close(at: currentMoment().wall)
    #expect(try String(contentsOfFile: path, encoding: .utf8).hasPrefix("this is not"))
  }
}
