import Model
import Testing

@testable import Simulator

@Suite struct LowerBoundTests {
  @Test func withoutMemoryForIdleUnitsEveryReturnIsAReload() {
    let bound = LowerBound(trace([10, 20], [(10, 0, 5), (20, 1, 0), (30, 0, 0), (40, 0, 0)]))
    #expect(bound.allReloadSeconds == 2)
    #expect(bound.inUseByteSeconds == 50)
    #expect(bound.reloadSeconds(holding: 50) == 2)
    // The gap from 30 to 40 is the shorter, so the cheaper to keep; half of it saves half.
    #expect(bound.reloadSeconds(holding: 50 + 50) == 1.5)
    #expect(bound.reloadSeconds(holding: 50 + 100) == 1)
    #expect(bound.reloadSeconds(holding: 50 + 250) == 0)
  }

  @Test func usesThatOverlapAreOne() {
    let bound = LowerBound(trace([10], [(10, 0, 50), (20, 0, 1), (60, 0, 1)]))
    #expect(bound.gaps.isEmpty)
    #expect(bound.allReloadSeconds == 0)
    #expect(bound.inUseByteSeconds == 510)
  }

  @Test func twoThatDoNotFitTogetherCostTheirAlternation() {
    // a and b in turns, room for one: each return is a reload, and the prices find that.
    let turns = (0..<10).map { (Double($0) * 10, $0 % 2, 1.0) }
    let bound = LowerBound(trace([10, 10], turns))
    let found = bound.reloadSeconds(limit: Bytes(10), achieved: 8)
    #expect(found > 7.9 && found <= 8)
    #expect(bound.reloadSeconds(limit: Bytes(20), achieved: 0) == 0)
  }

  @Test func aUseOfNoLengthStillTakesItsRoom() {
    let bound = LowerBound(trace([10, 10], [(10, 0, 0), (20, 1, 0), (30, 0, 0)]))
    #expect(bound.reloadSeconds(limit: Bytes(10), achieved: 1) > 0.9)
  }

  @Test func usesAtOneMomentMayFollowEachOther() {
    // Both at 20, one after the other: a may be kept, then b loaded in its place. The bound must not add them up.
    let bound = LowerBound(trace([10, 10], duration: 30, [(10, 0, 0), (20, 0, 0), (20, 1, 0)]))
    #expect(bound.reloadSeconds(limit: Bytes(10), achieved: 1) == 0)
  }

  @Test func theStepsComeCloseToWhatMoreOfThemFind() {
    let history = Workload.zipf.trace(seed: 1, hours: 2)
    let bound = LowerBound(history)
    let limit = history.bytes(share: 0.5)
    let achieved = Simulation.run(history, limit: limit, policy: .clairvoyant).reloadSeconds
    let found = bound.reloadSeconds(limit: limit, achieved: achieved)
    #expect(found >= 0.98 * bound.reloadSeconds(limit: limit, achieved: achieved, steps: 3000))
    #expect(found <= achieved)
    #expect(found >= 0.5 * achieved)
  }

  @Test func whatNeverFitsBesideTheOthersIsReloaded() {
    // a stays in use all the time, b fits only while c is not used.
    let bound = LowerBound(trace([10, 15, 15], [(0, 0, 900), (10, 1, 0), (20, 2, 0), (30, 1, 0)]))
    #expect(bound.reloadSeconds(limit: Bytes(30), achieved: 1.5) > 1.49)
  }

  /// The best of all schedules that keep a subset of the gaps and stay within the limit.
  private func optimum(_ bound: LowerBound, _ history: Trace, limit: Double) -> Double {
    var best = Double.infinity
    for mask in 0..<(1 << bound.gaps.count) {
      let kept = bound.gaps.enumerated().filter { mask >> $0.offset & 1 == 1 }.map(\.element)
      let fits = history.events.allSatisfy { event in
        // Uses have no length here: what is held changes at uses only, so it is enough to look at each use.
        kept.filter { $0.start < event.time && event.time < $0.end }.reduce(0) { $0 + $1.bytes }
          + Double(history.units[event.unit].bytes.count) <= limit
      }
      if fits { best = min(best, bound.allReloadSeconds - kept.reduce(0) { $0 + $1.cost }) }
    }
    return best
  }

  @Test("the bound is never above the optimum, nor this above what a policy gets", arguments: 0..<40 as Range<UInt64>)
  func bruteForce(seed: UInt64) {
    var random = RandomSource(seed: seed)
    let sizes = (0..<4).map { _ in UInt64(10 + random.below(40)) }
    let reload = (0..<4).map { _ in random.uniform(0.1...10) }
    let uses = (0..<14).map { (Double($0 * 10 + random.below(10)), random.below(4), 0.0) }
    let history = trace(sizes, duration: 200, reload: reload, uses)
    let bound = LowerBound(history)
    for share in [0.5, 0.7, 0.9] {
      let limit = history.bytes(share: share)
      guard limit.count >= sizes.max() ?? 0 else { continue }
      let best = optimum(bound, history, limit: Double(limit.count))
      let found = bound.reloadSeconds(limit: limit, achieved: best)
      #expect(found <= best + 1e-9)
      for policy in PolicyChoice.all {
        let measures = Simulation.run(history, limit: limit, policy: policy)
        guard measures.refusedUses == 0 else { continue }
        #expect(measures.reloadSeconds >= bound.reloadSeconds(holding: measures.byteSeconds) - 1e-9, "\(policy.name)")
        // A load makes its use longer here, and so may make another impossible: that is never cheaper.
        if measures.secondsOverLimit == 0 { #expect(measures.reloadSeconds >= best - 1e-9, "\(policy.name)") }
      }
    }
  }
}
