import Model
import Simulator
import Testing

@testable import mlos

@Suite struct SimulationViewTests {
  private static let comparison = Simulation.compare(
    trace: Workload.phases.trace(seed: 1, hours: 0.5), limits: [0.25, 0.5],
    policies: [.mlosOnDemand, .lru, .modelMesh, .shortestKeepAlive()], equalMemoryTo: .mlosOnDemand)

  @Test("no line is wider than the terminal, and what is left out is named", arguments: [40, 60, 80])
  func width(columns: Int) {
    let lines = SimulationView(comparison: Self.comparison).lines(terminal(columns))
    #expect(lines.allSatisfy { DisplayWidth.of($0) <= columns })
    #expect(lines.joined(separator: " ").contains("no room for: "))
    #expect(lines.joined(separator: " ").contains("busy"))
    #expect(lines.filter { $0.hasPrefix("policy") }.allSatisfy { $0.contains("reload s") })
  }

  @Test("three tables at equal memory, the last one added up over the limits") func parts() {
    let lines = SimulationView(comparison: Self.comparison).lines(wide)
    #expect(lines.filter { $0.hasPrefix("policy") }.count == 3)
    #expect(lines.contains("each holding as much memory as mlos-on-demand does at the limit:"))
    #expect(lines.contains("added up over the limits (25 %, 50 %):"))
    #expect(lines.filter { $0.hasPrefix("mlos-on-demand") }.count == 5)
    let markdown = SimulationView(comparison: Self.comparison).markdown()
    #expect(markdown.filter { $0.hasPrefix("|---") }.count == 3)
  }

  @Test("how far it is, in words") func progress() {
    #expect(
      SimulationProgress.text(Comparison.Progress(policy: "gdsf", limitShare: 0.5, done: 41, total: 318))
        == "41 of 318 runs: gdsf at 50 %")
  }
}
