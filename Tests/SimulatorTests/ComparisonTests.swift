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

  @Test func tablesLineUpAndMarkdownHasItsRule() {
    let comparison = Simulation.compare(trace: history, limits: [0.5], policies: [.lru, .gdsf])
    let plain = comparison.table().split(separator: "\n")
    #expect(plain.count == 3)
    #expect(Set(plain.map(\.count)).count == 1)
    #expect(plain[1].hasPrefix("lru "))
    let markdown = comparison.table(.markdown).split(separator: "\n")
    #expect(markdown.count == 4)
    #expect(markdown[1].hasPrefix("|---|---:|"))
    #expect(markdown.allSatisfy { $0.hasPrefix("|") && $0.hasSuffix("|") })
  }

  @Test func jsonHasAnObjectALine() {
    let comparison = Simulation.compare(trace: history, limits: [0.5], policies: [.lru, .modelMesh], equalMemoryTo: .lru)
    let lines = comparison.jsonLines().split(separator: "\n")
    #expect(lines.count == 4)
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
