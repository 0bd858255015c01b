import Model
import Testing

@testable import Simulator

@Suite struct PeerTests {
  /// Which units were in memory at the end, as letters.
  private func left(_ history: Trace, limit: UInt64, _ policy: some EvictionPolicy) -> String {
    var engine = Engine(history, limit: Bytes(limit), policy: policy)
    _ = engine.run()
    return engine.memory.units.indices.filter { engine.memory.isLoaded[$0] }.map { history.units[$0].name }.joined()
  }

  @Test func lruEvictsTheLeastRecentlyUsed() {
    let history = trace([10, 10, 10], [(10, 0, 0), (20, 1, 0), (30, 0, 0), (40, 2, 0)])
    #expect(left(history, limit: 20, LeastRecentlyUsed()) == "ac")
  }

  @Test func lruCountsTheEndOfAUse() {
    let history = trace([10, 10, 10], [(10, 0, 15), (20, 1, 0), (40, 2, 0)])
    #expect(left(history, limit: 20, LeastRecentlyUsed()) == "ac")
  }

  @Test func lfuEvictsTheLeastFrequentlyUsed() {
    let history = trace([10, 10, 10], [(10, 0, 0), (20, 0, 0), (30, 1, 0), (40, 2, 0)])
    #expect(left(history, limit: 20, LeastFrequentlyUsed(history)) == "ac")
  }

  @Test func lfuForgetsWhatWasPopularOnce() {
    // a was used four times; then b and c take turns. Each eviction raises the age until a goes.
    let turns = (0..<8).map { (100 + Double($0) * 10, 1 + $0 % 2, 0.0) }
    let history = trace([10, 10, 10], [(10, 0, 0), (20, 0, 0), (30, 0, 0), (40, 0, 0)] + turns)
    #expect(left(history, limit: 20, LeastFrequentlyUsed(history)) == "bc")
  }

  @Test func gdsfKeepsWhatIsDearForItsSize() {
    let history = trace([10, 10, 10], reload: [1, 5, 1], [(10, 1, 0), (20, 0, 0), (40, 2, 0)])
    #expect(left(history, limit: 20, GreedyDualSizeFrequency(history)) == "bc")
  }

  @Test func gdsfEvictsTheLargeFirst() {
    let history = trace([30, 10, 30], reload: [1, 1, 1], [(10, 1, 0), (20, 0, 0), (40, 2, 0)])
    #expect(left(history, limit: 40, GreedyDualSizeFrequency(history)) == "bc")
  }

  @Test func idleTimeoutUnloadsOnTimeAndOnlyThen() {
    let history = trace([10, 10], duration: 330, [(10, 0, 5), (100, 1, 0)])
    #expect(left(history, limit: 10, IdleTimeout(seconds: 300)) == "b")
    var engine = Engine(history, limit: Bytes(10), policy: IdleTimeout(seconds: 300))
    // From its load at 10 until it is idle for 300 s: 1 s of loading, 5 s of use.
    let measures = engine.run()
    #expect(measures.byteSeconds == 10 * 306 + 10 * 230)
    #expect(measures.secondsOverLimit == 216)
  }

  @Test func idleTimeoutUnloadsDependentsFirst() {
    let history = trace([10, 10], needs: [1: [0]], duration: 500, [(10, 1, 0)])
    var engine = Engine(history, limit: Bytes(20), policy: IdleTimeout(seconds: 300))
    let measures = engine.run()
    #expect(measures.evictions == 2)
    #expect(measures.neededEvictions == 0)
    #expect(left(history, limit: 20, IdleTimeout(seconds: 300)) == "")
  }

  @Test func ollamaEvictsByConfiguredKeepAliveAndThenByName() {
    // b was used last but one, a last: by name a goes, by what is left b.
    let history = trace([10, 10, 10], duration: 200, [(10, 1, 0), (20, 0, 0), (30, 2, 0)])
    #expect(left(history, limit: 20, OllamaRule(order: .configured)) == "bc")
    #expect(left(history, limit: 20, OllamaRule(order: .left)) == "ac")
  }

  @Test func ollamaPrefersTheIdleAndUnloadsAfterFiveMinutes() {
    let busy = trace([10, 10, 10], duration: 200, [(10, 0, 100), (20, 1, 0), (30, 2, 0)])
    #expect(left(busy, limit: 20, OllamaRule()) == "ac")
    let idle = trace([10], duration: 400, [(10, 0, 0)])
    #expect(left(idle, limit: 10, OllamaRule()) == "")
  }

  @Test func modelMeshRefusesALoadWhenItsOldestIsYoung() {
    let history = trace([10, 10], duration: 2000, [(10, 0, 0), (600, 1, 0), (700, 1, 0)])
    var engine = Engine(history, limit: Bytes(10), policy: ModelMesh())
    let measures = engine.run()
    #expect(measures.refusedUses == 1)
    #expect(measures.loads == 2)
    // The refused use loaded elsewhere: the second is a reload.
    #expect(measures.reloadSeconds == 1)
    #expect(left(history, limit: 10, ModelMesh()) == "b")
  }

  @Test func theClairvoyantEvictsWhatIsNotNeededAgain() {
    let history = trace([10, 10, 10], [(10, 0, 0), (20, 1, 0), (30, 2, 0), (40, 0, 0)])
    for weight in Clairvoyant.Weight.allCases {
      var engine = Engine(history, limit: Bytes(20), policy: Clairvoyant(history, weight: weight))
      #expect(engine.run().reloads == 0, "\(weight)")
    }
  }

  @Test func theClairvoyantTakesBackWhatALargeVictimMakesNeedless() {
    // c goes last in the order and is large enough alone.
    let history = trace(
      [10, 40, 45], duration: 100, reload: [1, 1, 1], [(10, 0, 0), (20, 1, 0), (30, 2, 0), (50, 1, 0), (60, 0, 0)])
    var engine = Engine(history, limit: Bytes(60), policy: Clairvoyant(history, weight: .distance))
    #expect(engine.run().reloads == 1)
  }

  @Test func choicesAreFoundByTheirNames() {
    #expect(Set(PolicyChoice.all.map(\.name)).count == PolicyChoice.all.count)
    for choice in PolicyChoice.all { #expect(PolicyChoice.named(choice.name)?.name == choice.name) }
    #expect(PolicyChoice.named("random") == nil)
  }
}
