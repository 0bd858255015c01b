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

  @Test(
    "at equal memory, less reloading under each limit than each rule that keeps to it and serves every use",
    arguments: ["popular", "bursts", "phases"])
  func beatsWhatPeopleUseAtEqualMemory(name: String) throws {
    let peers = ["lru", "lfu", "ollama", "shortest-left", "gdsf"]
    let reference = try #require(PolicyChoice.named("mlos-on-demand"))
    let comparison = Simulation.compare(
      trace: try Self.trace(name), policies: peers.compactMap(PolicyChoice.named), equalMemoryTo: reference)
    let cells = comparison.equalMemory.filter { $0.policy != "bound" }
    #expect(cells.count == 3 * peers.count)
    for cell in cells {
      // Nil: the rule cannot be brought to hold that much.
      guard let seconds = cell.reloadSeconds else { continue }
      #expect(cell.referenceReloadSeconds < seconds, "\(cell.policy) at \(cell.limitShare)")
    }
    #expect(cells.count { $0.reloadSeconds == nil } <= 6)
  }

  @Test("what was recorded holds what was seen", arguments: [("popular", 128), ("bursts", 205), ("phases", 163)])
  func contents(name: String, uses: Int) throws {
    let trace = try Self.trace(name)
    #expect(trace.units.count == 8 && trace.events.count == uses)
    #expect(trace.units.allSatisfy { $0.reloadSeconds > 0.1 && $0.bytes > .mebibytes(50) })
  }
}
