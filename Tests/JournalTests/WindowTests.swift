import Model
import TestKit
import Testing

@testable import Journal

@Suite struct WindowTests {
  let scratch = Scratch()

  @Test("unloads of a stretch of time are counted by result and unit; a dry run is none, the end is not in it")
  func counted() throws {
    let journal = try scratch.open()
    for row in [
      outcome("torch", .freed(Bytes(500)), at: now - 1), outcome("torch", .freed(Bytes(100)), at: now),
      outcome("torch", .kept("nodelete"), at: now + 3), outcome("numpy", .freed(Bytes(50)), at: now + 2),
      outcome("numpy", .dryRun, at: now + 1), outcome("numpy", .freed(Bytes(900)), at: now + 10),
    ] { journal.append(row) }
    journal.flush(at: now + 10)
    #expect(
      try journal.unloads(from: now, to: now + 10)
        == UnloadWindow(from: now, to: now + 10, unloads: 3, successful: 2, freed: Bytes(150), units: 2, firstAt: now))
  }

  @Test("the same name in another process is another unit") func units() throws {
    let journal = try scratch.open()
    let processes: [ProcessIdentity?] = [
      ProcessIdentity(pid: 7, startTicks: 1), ProcessIdentity(pid: 7, startTicks: 2), ProcessIdentity(pid: 8, startTicks: 1), nil,
      ProcessIdentity(pid: 7, startTicks: 1),
    ]
    for process in processes {
      let unit = ReclaimUnit(.package, "torch", in: process)
      journal.append(
        OutcomeRecord(
          UnloadOutcome(unit: unit, result: .freed(Bytes(.max)), seconds: 1), of: nil, because: .manual, time: now))
    }
    journal.flush(at: now)
    let window = try journal.unloads(from: now, to: now + 1)
    #expect(window.unloads == 5 && window.units == 4 && window.freed == Bytes(1_000_000_000_000_000_000))
  }

  @Test("nothing is no unload") func empty() throws {
    let window = try scratch.open().unloads(from: 0, to: now)
    #expect(window.unloads == 0 && window.firstAt == nil && window.successRate == nil && window.averageFreed == nil)
  }
}
