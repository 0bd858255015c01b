import Model
import Testing

@testable import Simulator

/// Does what it is told, and remembers what it was asked.
struct ScriptedPolicy: EvictionPolicy {
  var script: (SimulatedMemory, Double) -> [Int]
  var asked: [Double] = []
  var outcomes: [EvictionOutcome] = []

  init(_ script: @escaping (SimulatedMemory, Double) -> [Int] = { _, _ in [] }) { self.script = script }

  mutating func evict(_ memory: SimulatedMemory, at now: Double) -> [Int] {
    asked.append(now)
    return script(memory, now)
  }

  mutating func evicted(_ unit: Int, outcome: EvictionOutcome, memory: SimulatedMemory, at now: Double) {
    outcomes.append(outcome)
  }
}

/// Units `a`, `b`, ... of these sizes; reload seconds are a tenth of the size. `uses` are (time, unit, busy).
func trace(
  _ sizes: [UInt64], needs: [Int: [Int]] = [:], duration: Double = 1000, reload: [Double]? = nil, _ uses: [(Double, Int, Double)]
) -> Trace {
  Trace(
    header: .init(source: "test", recorder: "test", machine: "none", duration: duration),
    units: sizes.enumerated().map { index, size in
      Trace.Unit(
        String(Unicode.Scalar(UInt8(97 + index))), bytes: Bytes(size), reloadSeconds: reload?[index] ?? Double(size) / 10,
        needs: needs[index] ?? [])
    },
    events: uses.map { Trace.Event(time: $0.0, unit: $0.1, busy: $0.2) })
}

@Suite struct EngineTests {
  @Test func whatIsInMemoryIsHeldToTheEnd() {
    var engine = Engine(trace([10, 20], [(100, 0, 1), (200, 1, 1), (300, 0, 1)]), limit: Bytes(30), policy: ScriptedPolicy())
    let measures = engine.run()
    #expect(measures.uses == 3)
    #expect(measures.hits == 1)
    #expect(measures.loads == 2)
    #expect(measures.reloads == 0)
    #expect(measures.firstLoadSeconds == 3)
    #expect(measures.byteSeconds == 10 * 900 + 20 * 800)
    #expect(measures.peak == Bytes(30))
    #expect(measures.secondsOverLimit == 0)
  }

  @Test func checksComeAtTheirIntervalAndAUseBeforeACheckOfTheSameMoment() {
    var engine = Engine(trace([10], duration: 200, [(60, 0, 0)]), limit: Bytes(10), policy: ScriptedPolicy())
    _ = engine.run()
    #expect(engine.policy.asked == [60, 120, 180])
    // What the check of that moment takes back was loaded by the use before it.
    let policy = ScriptedPolicy { memory, now in now == 60 && memory.isLoaded[0] ? [0] : [] }
    var other = Engine(trace([10], duration: 200, reload: [0], [(60, 0, 0)]), limit: Bytes(10), policy: policy)
    #expect(other.run().evictions == 1)
  }

  @Test func aLoadThatDoesNotFitAsksUntilItDoes() {
    let policy = ScriptedPolicy { memory, _ in memory.excess > .zero ? [memory.isLoaded[0] ? 0 : 1] : [] }
    var engine = Engine(
      trace([10, 10, 20], duration: 50, [(1, 0, 0), (20, 1, 0), (40, 2, 0)]), limit: Bytes(20), policy: policy)
    let measures = engine.run()
    #expect(engine.policy.asked == [40, 40])
    #expect(measures.evictions == 2)
    #expect(measures.secondsOverLimit == 0)
    #expect(measures.beyondTarget == .zero)
  }

  @Test func aLoadWithoutRoomTakesPlaceOverTheLimit() {
    var engine = Engine(
      trace([10, 10], duration: 50, [(10, 0, 0), (20, 1, 0)]), limit: Bytes(15), policy: ScriptedPolicy())
    let measures = engine.run()
    #expect(measures.loads == 2)
    #expect(measures.secondsOverLimit == 30)
    #expect(measures.byteSecondsOverLimit == 30 * 5)
  }

  @Test func bytesFreedBeyondWhatALoadLackedAreCounted() {
    let policy = ScriptedPolicy { memory, _ in memory.excess > .zero ? [0, 1] : [] }
    var engine = Engine(
      trace([10, 10, 5], duration: 50, [(1, 0, 0), (10, 1, 0), (20, 2, 0)]), limit: Bytes(20), policy: policy)
    #expect(engine.run().beyondTarget == Bytes(15))
  }

  @Test func aReloadCostsItsSecondsAndIsThrashWithinTenMinutes() {
    let policy = ScriptedPolicy { _, now in now == 60 || now == 900 ? [0] : [] }
    var engine = Engine(
      trace([10], duration: 3000, [(10, 0, 0), (659, 0, 0), (1600, 0, 0)]), limit: Bytes(10), policy: policy)
    let measures = engine.run()
    #expect(measures.loads == 3)
    #expect(measures.reloads == 2)
    #expect(measures.reloadSeconds == 2)
    #expect(measures.firstLoadSeconds == 1)
    #expect(measures.thrash == 1)
  }

  @Test func aUnitInUseIsNotEvictedAndTheTryIsCounted() {
    // In use from 50 until 50 + 1 (its load) + 20.
    let policy = ScriptedPolicy { _, now in now == 60 || now == 120 ? [0] : [] }
    var engine = Engine(trace([10], duration: 200, [(50, 0, 20)]), limit: Bytes(10), policy: policy)
    let measures = engine.run()
    #expect(measures.busyEvictions == 1)
    #expect(engine.policy.outcomes == [.busy, .freed(Bytes(10))])
  }

  @Test func whatALoadThatWaitsNeedsIsInUse() {
    // c needs a, which is idle; b is large.
    let policy = ScriptedPolicy { memory, _ in memory.excess > .zero ? [0, 1] : [] }
    var engine = Engine(
      trace([10, 20, 10], needs: [2: [0]], duration: 50, [(1, 0, 0), (10, 1, 0), (20, 2, 0)]), limit: Bytes(30), policy: policy)
    let measures = engine.run()
    #expect(measures.busyEvictions == 1)
    #expect(engine.policy.outcomes == [.busy, .freed(Bytes(20))])
    #expect(measures.loads == 3)
  }

  @Test func aUseLoadsWhatItsUnitNeedsAndThatStaysWithIt() {
    let policy = ScriptedPolicy { _, now in now == 60 ? [0] : now == 120 ? [1, 0] : [] }
    var engine = Engine(trace([10, 20], needs: [1: [0]], duration: 200, [(10, 1, 0)]), limit: Bytes(30), policy: policy)
    let measures = engine.run()
    #expect(measures.firstLoadSeconds == 3)
    #expect(measures.neededEvictions == 1)
    #expect(engine.policy.outcomes == [.needed, .freed(Bytes(20)), .freed(Bytes(10))])
  }

  @Test func unloadingWhatIsNotLoadedDoesNothing() {
    let policy = ScriptedPolicy { _, now in now == 60 ? [0] : [] }
    var engine = Engine(trace([10], duration: 100, [(70, 0, 0)]), limit: Bytes(10), policy: policy)
    #expect(engine.run().evictions == 0)
    #expect(engine.policy.outcomes == [.notLoaded])
  }

  @Test("nothing makes the engine stumble: every policy on traces at their edges", arguments: PolicyChoice.all.map(\.name))
  func edges(name: String) throws {
    let policy = try #require(PolicyChoice.named(name))
    for history in [
      trace([], []), trace([10], []), trace([10], duration: 0, [(0, 0, 5)]),
      trace([1, 1], reload: [0, 0], [(1, 0, 0), (1, 1, 0), (1, 0, 0)]),
    ] {
      for limit in [1, 10, 1000] as [UInt64] {
        let measures = Simulation.run(history, limit: Bytes(limit), policy: policy)
        #expect(measures.uses == history.events.count)
        #expect(measures.busyEvictions == 0)
      }
    }
  }
}
