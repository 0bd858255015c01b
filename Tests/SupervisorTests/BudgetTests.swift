import Testing

@testable import Supervisor

@Suite struct BudgetTests {
  @Test func lookUpsAreABurstAndThenARate() {
    var budget = LookUpBudget()
    let start: UInt64 = 1_000_000_000_000
    var taken = 0
    while budget.take(at: start) { taken += 1 }
    #expect(taken == Int(LookUpBudget.burst))
    taken = 0
    while budget.take(at: start + 2_000_000_000) { taken += 1 }
    #expect(taken == 2 * Int(LookUpBudget.rate))
  }

  @Test func scansGrowWithTheProcessesSoThatTheIntervalIsKept() {
    let second: UInt64 = 1_000_000_000
    #expect(Supervisor.scans(processes: 10, elapsed: second, interval: 60) == Supervisor.scansPerTick)
    #expect(Supervisor.scans(processes: 1_000, elapsed: second, interval: 60) == 17)
    #expect(Supervisor.scans(processes: 1_000, elapsed: 100 * second, interval: 60) == 1_000)
    #expect(Supervisor.scans(processes: 1_000, elapsed: second, interval: nil) == Supervisor.scansPerTick)
    #expect(Supervisor.scans(processes: 0, elapsed: .max, interval: 1e-9) == Supervisor.scansPerTick)
  }
}
