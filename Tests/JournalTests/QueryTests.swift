import Model
import TestKit
import Testing

@testable import Journal

@Suite struct QueryTests {
  let scratch = Scratch()

  /// Five hundred decisions, a second apart, of five names, a third of them to keep.
  private func filled() throws -> (Journal, [DecisionRecord]) {
    let journal = try scratch.open()
    var rows: [DecisionRecord] = []
    for number in 0..<500 {
      var row = decision(
        "unit-\(number % 5)", at: now + Double(number), cycle: UInt64(number), pid: Int32(number % 2 + 1),
        verdict: number % 3 == 0 ? .keep : .unload)
      row.id = try #require(journal.append(row))
      rows.append(row)
    }
    journal.flush(at: now)
    return (journal, rows.reversed())
  }

  @Test("rows are found by time, name, process and verdict, newest first")
  func filters() throws {
    let (journal, rows) = try filled()
    func found(_ query: JournalQuery) throws -> [DecisionRecord] { try journal.decisions(query).rows }
    #expect(try found(JournalQuery()) == Array(rows.prefix(100)))
    #expect(try found(JournalQuery(limit: 10_000)) == rows)
    #expect(
      try found(JournalQuery(from: now + 10, to: now + 20))
        == rows.filter { $0.time >= now + 10 && $0.time < now + 20 })
    #expect(try found(JournalQuery(name: "unit-3", limit: 500)) == rows.filter { $0.unit.name == "unit-3" })
    #expect(try found(JournalQuery(verdict: .keep, limit: 500)) == rows.filter { $0.verdict == .keep })
    #expect(try found(JournalQuery(pid: 2, limit: 500)) == rows.filter { $0.unit.process?.pid == 2 })
    #expect(
      try found(JournalQuery(from: now + 100, to: now + 400, name: "unit-1", pid: 1, verdict: .unload, limit: 7))
        == Array(
          rows.filter {
            $0.time >= now + 100 && $0.time < now + 400 && $0.unit.name == "unit-1" && $0.unit.process?.pid == 1
              && $0.verdict == .unload
          }.prefix(7)))
    #expect(try found(JournalQuery(name: "' OR 1 --")).isEmpty)
    #expect(try found(JournalQuery(limit: 0)).count == 1 && found(JournalQuery(limit: -3)).count == 1)
    #expect(try found(JournalQuery(from: .nan)).isEmpty && found(JournalQuery(from: .infinity)).isEmpty)
  }

  @Test("pages follow each other without a gap, also for equal times and while rows are added")
  func pages() throws {
    let journal = try scratch.open()
    for number in 0..<250 as Range<UInt64> { journal.append(decision("torch", at: now + Double(number / 50), cycle: number)) }
    journal.flush(at: now)
    var seen: [UInt64] = []
    var cursor: JournalCursor?
    repeat {
      let page = try journal.decisions(JournalQuery(limit: 30, after: cursor))
      seen += page.rows.map(\.cycle)
      cursor = try page.next.map { try #require(JournalCursor($0.description)) }
      journal.append(decision("newer", at: now + 1000))
      journal.flush(at: now)
    } while cursor != nil
    #expect(seen == Array((0..<250).reversed()))
  }

  @Test(
    "a cursor that is none is none",
    arguments: ["", "/", "1/", "/1", "a/b", "nan/1", "inf/1", "1/2/3", "1.5/9999999999999999999"])
  func cursors(text: String) {
    #expect(JournalCursor(text) == nil)
  }

  @Test("the last judgement of each unit of a name, with what came of it")
  func last() throws {
    let journal = try scratch.open()
    for time in 0..<3 {
      for pid in [1, 2] as [Int32] { journal.append(decision("torch", at: now + Double(time), pid: pid)) }
    }
    let model = journal.append(decision("torch", at: now - 5, pid: nil))
    journal.append(decision("numpy", at: now + 9))
    journal.append(outcome("torch", .kept("busy"), of: model, at: now + 1))
    journal.append(outcome("torch", .freed(Bytes(7)), of: model, at: now + 2))
    journal.flush(at: now)
    let found = try journal.lastJudgements(of: "torch")
    #expect(found.map(\.decision.unit.process?.pid) == [2, 1, nil])
    #expect(found.map(\.decision.time) == [now + 2, now + 2, now - 5])
    #expect(found.map { $0.outcomes.map(\.result) } == [[], [], [.kept, .freed]])
    #expect(try journal.lastJudgements(of: "torch", limit: 1).count == 1)
    #expect(try journal.lastJudgements(of: "none").isEmpty)
  }

  @Test("every query finds its rows by an index")
  func plans() throws {
    let journal = try scratch.open()
    try journal.reading { database throws(SQLiteFailure) in
      for (selection, name) in [
        (DecisionRecord.selection, "unit_name"), (OutcomeRecord.selection, "unit_name"),
      ] {
        for condition in ["WHERE time >= 1 AND time < 2", "WHERE \(name) = 'a'", "WHERE (time, id) < (1, 2)", ""] {
          let plan = try database.prepare("EXPLAIN QUERY PLAN \(selection) \(condition) ORDER BY time DESC, id DESC LIMIT 3")
          var steps: [String] = []
          try plan.rows([]) { row in
            steps.append(row.text(3) ?? "")
            return true
          }
          #expect(steps.count == 1 && steps[0].contains("USING INDEX"), "\(steps)")
        }
      }
    }
  }
}
