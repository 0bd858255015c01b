import Model
import TestKit
import Testing

@testable import Journal

@Suite struct TotalsTests {
  let scratch = Scratch()

  @Test("unloads are counted by result, reason and unit; a dry run is none")
  func counted() throws {
    let journal = try scratch.open()
    #expect(try journal.totals() == JournalTotals() && journal.totals().all.successRate == nil)
    for row in [
      outcome("torch", .freed(Bytes(100)), because: .memoryPressure(.high), at: now),
      outcome("torch", .kept("nodelete"), because: .memoryPressure(.critical), at: now + 3),
      outcome("numpy", .freed(Bytes(50)), because: .usagePattern("balanced"), at: now + 2),
      outcome("numpy", .dryRun, because: .usagePattern("balanced"), at: now + 9),
    ] {
      journal.append(row)
      journal.flush(at: now)
    }
    let totals = try journal.totals()
    #expect(totals.all.unloads == 3 && totals.all.successful == 2 && totals.all.failed == 1)
    #expect(totals.all.freed == Bytes(150) && totals.all.seconds == 1.5 && totals.all.lastTime == now + 3)
    #expect(totals.all.averageFreed == Bytes(50) && totals.all.averageSeconds == 0.5)
    #expect(totals.byWord.map { "\($0.name) \($0.totals.unloads)" } == ["memory-pressure 2", "usage-pattern 1"])
    #expect(
      totals.byReason.map { "\($0.name) \($0.totals.unloads)" } == [
        "Memory pressure unloading (critical) 1", "Memory pressure unloading (high) 1", "Usage pattern unloading (balanced) 1",
      ])
    #expect(try journal.totalsByUnit().map { "\($0.name) \($0.totals.unloads)" } == ["numpy 1", "torch 2"])
    #expect(try journal.totals(ofUnits: "torch")?.failed == 1 && journal.totals(ofUnits: "x") == nil)
  }

  @Test("names beyond the limit share a total")
  func names() throws {
    var limits = JournalLimits()
    limits.totalNames = 3
    let journal = try scratch.open(limits)
    for number in 0..<10 { journal.append(outcome("unit-\(number)")) }
    journal.flush(at: now)
    #expect(
      try journal.totalsByUnit().map { "\($0.name) \($0.totals.unloads)" } == ["(others) 7", "unit-0 1", "unit-1 1", "unit-2 1"])
    #expect(try journal.totals().all.unloads == 10)
  }

  @Test("sums do not overflow")
  func saturated() throws {
    let journal = try scratch.open()
    for _ in 0..<3 { journal.append(outcome("torch", .freed(Bytes(.max)))) }
    journal.flush(at: now)
    #expect(try journal.totals().all.freed == Bytes(UInt64(Int64.max)))
  }
}
