import Model
import Testing

@testable import Simulator

@Suite struct ComparisonTests {
  private let history = trace(
    [10, 20, 30], (0..<60).map { (Double($0) * 15, [0, 1, 0, 2, 1][$0 % 5], 1.0) })

  @Test func everyPolicyHasARowUnderEveryLimitAndNoneIsBelowItsBound() {
    let comparison = Simulation.compare(trace: history, limits: [0.5, 0.9])
    #expect(comparison.rows.count == 2 * PolicyChoice.all.count)
    for row in comparison.rows {
      #expect(row.measures.busyEvictions == 0)
      #expect(row.measures.neededEvictions == 0)
      if let bound = row.bound { #expect(row.measures.reloadSeconds >= bound - 1e-9, "\(row.policy)") }
    }
  }

  @Test func equalMemoryIsInterpolatedAndSaysWhatItCannotTell() {
    let comparison = Simulation.compare(trace: history, limits: [0.75], policies: [.lru, .modelMesh], equalMemoryTo: .lru)
    // The reference itself is left out of the others; the bound is added.
    #expect(comparison.equalMemory.map(\.policy) == ["modelmesh", "bound"])
    let same = Simulation.compare(trace: history, limits: [0.75], policies: [.lru], equalMemoryTo: .mlosOnDemand)
    let row = same.equalMemory[0]
    #expect(row.reference == "mlos-on-demand")
    #expect(row.reloadSeconds != nil)
  }

  @Test("reload seconds at equal memory are added up over the limits, and are not known where one is not") func sums() {
    let comparison = Simulation.compare(
      trace: history, limits: [0.5, 0.9], policies: [.lru, .gdsf, .idle(), .mlosOnDemand], equalMemoryTo: .mlosOnDemand)
    let sums = comparison.equalMemorySums
    #expect(sums.map(\.policy) == ["mlos-on-demand", "lru", "gdsf", "idle-timeout", "bound"])
    let own = comparison.rows.filter { $0.policy == "mlos-on-demand" }
    #expect(sums[0].reloadSeconds == own.reduce(0) { $0 + $1.measures.reloadSeconds })
    #expect(sums[0].reloads == own.reduce(0) { $0 + Double($1.measures.reloads) })
    for sum in sums.dropFirst() {
      let cells = comparison.equalMemory.filter { $0.policy == sum.policy }.map(\.reloadSeconds)
      #expect(cells.count == 2)
      #expect(sum.reloadSeconds == (cells.contains(nil) ? nil : cells.reduce(0) { $0 + ($1 ?? 0) }))
      #expect(sum.reloads == nil || sum.policy != "bound")
    }
    #expect(comparison.equalMemorySumGrid.rows.map(\.count) == [4, 4, 4, 4, 4])
    // The reference stands before the others of each limit, also when it is the only policy.
    let alone = Simulation.compare(trace: history, limits: [0.5], policies: [.lru], equalMemoryTo: .lru)
    #expect(alone.equalMemoryGrid.rows.map(\.first) == ["lru", "bound"])
  }

  @Test("who waits hears of every run, of how many there are") func progress() {
    var told: [Comparison.Progress] = []
    _ = Simulation.compare(trace: history, limits: [0.5, 0.9], policies: [.lru, .idle()], equalMemoryTo: .mlosOnDemand) {
      told.append($0)
    }
    #expect(told.map(\.done) == Array(0..<told.count))
    #expect(Set(told.map(\.total)) == [told.count])
    #expect(told.first == Comparison.Progress(policy: "lru", limitShare: 0.5, done: 0, total: told.count))
  }

  @Test func tablesLineUpAndMarkdownHasItsRule() {
    let comparison = Simulation.compare(trace: history, limits: [0.5], policies: [.lru, .gdsf])
    #expect(comparison.grid.rows.map(\.first) == ["lru", "gdsf"])
    let markdown = comparison.grid.markdown().split(separator: "\n")
    #expect(Set(markdown.map(\.count)).count == 2, "the rule has its own length")
    #expect(markdown.count == 4)
    #expect(markdown[1].hasPrefix("|---|---:|"))
    #expect(markdown.allSatisfy { $0.hasPrefix("|") && $0.hasSuffix("|") })
  }

  @Test func jsonHasAnObjectALine() {
    let comparison = Simulation.compare(trace: history, limits: [0.5], policies: [.lru, .modelMesh], equalMemoryTo: .lru)
    let lines = comparison.jsonLines().split(separator: "\n")
    // Two at the limit, two at equal memory with the bound, and three sums.
    #expect(lines.count == 7)
    #expect(lines.allSatisfy { $0.hasPrefix(#"{"trace":"test","policy":""#) && $0.hasSuffix("}") })
    #expect(lines[0].contains(#""reload_seconds":"#))
    #expect(lines[1].contains(#""memory_bound_seconds":null"#))
  }

  @Test(
    "numbers are rounded half away from zero",
    arguments: [
      (0, 0, "0"), (-0.04, 1, "0.0"), (1.25, 1, "1.3"), (-1.25, 1, "-1.3"), (9.96, 1, "10.0"), (0.007, 2, "0.01"), (.nan, 1, "-"),
      (1e300, 0, "-"),
    ] as [(Double, Int, String)])
  func rounding(value: Double, digits: Int, text: String) {
    #expect(Comparison.fixed(value, digits) == text)
  }
}
