import Foundation
import Model
import Simulator
import Testing

/// Histories of eight real servers (Tests/Fixtures/traces), recorded by `mlos record --units processes`.
@Suite struct RecordedTests {
  private static func trace(_ name: String) throws -> Trace {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/traces/\(name).trace")
    return try Trace(reading: Array(Data(contentsOf: file)))
  }

  @Test(
    "over three limits, less reloading than each rule that keeps to them and serves every use",
    arguments: ["popular", "bursts", "phases"])
  func beatsWhatPeopleUse(name: String) throws {
    let trace = try Self.trace(name)
    let comparison = Simulation.compare(trace: trace, policies: PolicyChoice.all)
    func total(_ policy: String) -> (reload: Double, over: Double, busy: Int, refused: Int) {
      comparison.rows.filter { $0.policy == policy }.reduce((0, 0, 0, 0)) {
        (
          $0.0 + $1.measures.reloadSeconds, $0.1 + $1.measures.secondsOverLimit, $0.2 + Int($1.measures.busyEvictions),
          $0.3 + Int($1.measures.refusedUses)
        )
      }
    }
    let ours = total("mlos-on-demand")
    #expect(ours.busy == 0 && ours.refused == 0)
    for peer in ["lru", "lfu", "ollama", "shortest-left", "gdsf"] {
      #expect(ours.reload < total(peer).reload, "\(peer): \(total(peer).reload), ours \(ours.reload)")
      #expect(ours.over <= total(peer).over + 10, "\(peer)")
    }
    // Those that do not compare: one ignores the limit, one refuses to serve.
    #expect(total("idle-timeout").over > 2 * ours.over && total("modelmesh").refused > 0)
    #expect(ours.reload >= total("clairvoyant").reload * 0.999)
  }

  @Test("what was recorded holds what was seen", arguments: [("popular", 128), ("bursts", 205), ("phases", 163)])
  func contents(name: String, uses: Int) throws {
    let trace = try Self.trace(name)
    #expect(trace.units.count == 8 && trace.events.count == uses)
    #expect(trace.units.allSatisfy { $0.reloadSeconds > 0.1 && $0.bytes > .mebibytes(50) })
  }
}
