import Testing

@testable import SocketAPI

@Suite struct ConnectionBudgetTests {
  private let second: UInt64 = 1_000_000_000

  @Test("a burst is taken, what comes after it waits") func burst() {
    var budget = ConnectionBudget(at: 5)
    var taken = 0
    while budget.take(at: 5) { taken += 1 }
    #expect(taken == Int(ConnectionBudget.burst))
    #expect(!budget.isFull(at: 5))
  }

  @Test("a second later there is the rate's worth, never more than a burst") func refill() {
    var budget = ConnectionBudget(at: 0)
    while budget.take(at: 0) {}
    var taken = 0
    while budget.take(at: second) { taken += 1 }
    #expect(taken == Int(ConnectionBudget.rate))
    #expect(budget.isFull(at: 100 * second))
    taken = 0
    while budget.take(at: 100 * second) { taken += 1 }
    #expect(taken == Int(ConnectionBudget.burst))
  }
}
