import Model
import TestKit
import Testing

@testable import Journal

@Suite struct RetentionTests {
  let scratch = Scratch()

  private func size(_ journal: Journal) throws -> UInt64 { try #require(journal.health.bytes) }

  @Test("the size stays bounded over 100,000 rows, the newest stay, the totals keep all")
  func bytes() throws {
    var limits = JournalLimits()
    limits.bytes = 4 << 20
    let journal = try scratch.open(limits)
    let clock = ContinuousClock()
    var largest: UInt64 = 0
    var spent = Duration.zero
    for batch in 0..<100 {
      spent += clock.measure {
        for number in 0..<500 {
          let number = batch * 500 + number
          let time = now + Double(number)
          let id = journal.append(decision("unit-\(number % 50)", at: time, cycle: UInt64(number)))
          journal.append(outcome("unit-\(number % 50)", of: id, at: time))
          journal.append(MetricSample("m\(number % 20)", 1, at: time))
        }
        journal.flush(at: now + Double(batch * 500))
      }
      largest = max(largest, try size(journal))
    }
    #expect(journal.health.condition == .writing && journal.health.lostRows == 0)
    // A transaction may stand in the log beside the file.
    #expect(largest <= 5 << 20, "\(largest)")
    #expect(try journal.decisions(JournalQuery(limit: 1)).rows.first?.cycle == 49_999)
    #expect(try journal.totals().all.unloads == 50_000 && journal.totals().all.freed == Bytes(5_000_000))
    #expect(try journal.totals(ofUnits: "unit-7")?.unloads == 1000)
    let seconds = Double(spent.components.seconds) + Double(spent.components.attoseconds) / 1e18
    print("journal: \(Int(100_000 / seconds)) rows/s with pruning to 4 MiB, file at most \(largest) bytes")
  }

  @Test("how many rows a second, and bytes a row")
  func figure() throws {
    let journal = try scratch.open()
    let clock = ContinuousClock()
    let empty = try size(journal)
    var appending = Duration.zero
    var flushing = Duration.zero
    for batch in 0..<20 {
      appending += clock.measure {
        for number in 0..<1000 { journal.append(decision("unit-\(number % 50)", at: now + Double(batch), cycle: 1)) }
      }
      flushing += clock.measure { journal.flush(at: now + Double(batch)) }
    }
    journal.close(at: now)
    let bytes = UInt64(scratch.bytes().count) - min(empty, UInt64(scratch.bytes().count))
    func rate(_ time: Duration) -> Int {
      Int(20_000 / (Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18))
    }
    print("journal: append \(rate(appending)) rows/s, flush \(rate(flushing)) rows/s, \(bytes / 20_000) bytes a decision")
    #expect(bytes / 20_000 < 1000)
  }

  @Test("rows and ages have their limits, the oldest go first")
  func rowsAndAges() throws {
    var limits = JournalLimits()
    limits.decisionRows = 100
    limits.outcomeSeconds = 50
    limits.configurationRows = 5
    let journal = try scratch.open(limits)
    for number in 0..<300 {
      let time = now + Double(number)
      let id = journal.append(decision("torch", at: time, cycle: UInt64(number)))
      journal.append(outcome("torch", of: id, at: time))
      journal.append(
        ConfigurationChange(time: time, key: "k", old: nil, new: "\(number)", origin: "o", requester: Requester("ada")))
    }
    journal.flush(at: now + 300)
    #expect(try journal.decisions(JournalQuery(limit: 500)).rows.map(\.cycle) == Array((200..<300).reversed()))
    let outcomes = try journal.outcomes(JournalQuery(limit: 500)).rows
    #expect(outcomes.map(\.time).min() == now + 250 && outcomes.count == 50)
    #expect(try journal.configurationChanges(JournalQuery()).rows.map(\.new) == ["299", "298", "297", "296", "295"])
    #expect(try journal.totals().all.unloads == 300)
  }

  @Test("a clock that gives no number forgets nothing")
  func noTime() throws {
    let journal = try scratch.open()
    journal.append(decision("torch"))
    for time in [.nan, .infinity, -.infinity, -1e300, 0] as [Double] {
      #expect(journal.flush(at: time).condition == .writing)
    }
    #expect(try journal.decisions(JournalQuery()).rows.count == 1)
  }

  @Test("an outcome outlives its decision")
  func outlived() throws {
    var limits = JournalLimits()
    limits.decisionRows = 1
    let journal = try scratch.open(limits)
    let id = journal.append(decision("torch"))
    journal.append(outcome(of: id))
    journal.append(decision("numpy", at: now + 1))
    journal.flush(at: now + 1)
    #expect(try journal.outcomes(JournalQuery()).rows.map(\.decision) == [nil])
  }

  @Test("the file shrinks when its rows have gone")
  func shrinks() throws {
    let journal = try scratch.open()
    for batch in 0..<10 {
      for _ in 0..<2000 { journal.append(decision("torch", at: now)) }
      journal.flush(at: now + Double(batch))
    }
    let before = try size(journal)
    for number in 0..<20 { journal.flush(at: now + 40 * 86_400 + Double(number) * 100) }
    #expect(try journal.decisions(JournalQuery()).rows.isEmpty)
    let after = try size(journal)
    #expect(before > 4 << 20 && after < before / 4, "\(before) \(after)")
  }

  @Test("what people changed goes only after everything else")
  func precious() throws {
    var limits = JournalLimits()
    limits.bytes = 512 << 10
    limits.configurationSeconds = .infinity
    let journal = try scratch.open(limits)
    journal.append(ConfigurationChange(time: 1, key: "k", old: nil, new: "v", origin: "o", requester: Requester("ada")))
    for number in 0..<20_000 {
      journal.append(decision("torch", at: now + Double(number)))
      if number % 1000 == 999 { journal.flush(at: now + Double(number)) }
    }
    #expect(try size(journal) < 1 << 20)
    #expect(try journal.decisions(JournalQuery(limit: 500)).rows.count == 500)
    #expect(try journal.configurationChanges(JournalQuery()).rows.map(\.new) == ["v"])
  }
}
