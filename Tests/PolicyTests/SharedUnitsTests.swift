import Model
import Testing

@testable import Policy

@Suite struct SharedUnitsTests {
  private let now = Instant(seconds: 10_000)

  /// Held by a process, with 1 MiB for itself and a share of what is common.
  private func unit(_ pid: Int32, idle: Double, share: UInt64 = 8, name: String = "torch") -> UnitObservation {
    UnitObservation(
      ReclaimUnit(.package, name, in: ProcessIdentity(pid: pid, startTicks: 1)),
      lastUsed: Instant(seconds: now.seconds(since: Instant(seconds: 0)) - idle), bytes: .mebibytes(1), reloadSeconds: 0.1,
      together: .init(bytes: .mebibytes(share), reloadSeconds: 0.8))
  }

  private func review(_ units: [UnitObservation], pressed: Bool = true, _ change: (inout UnloadingSettings) -> Void = { _ in })
    -> Review
  {
    var settings = UnloadingSettings()
    change(&settings)
    var policy = UnloadingPolicy(settings: settings)
    let memory = MemoryPressure(used: .mebibytes(pressed ? 950 : 100), limit: .mebibytes(1000))
    return policy.review(Snapshot(memory: memory, units: units), at: now)
  }

  @Test func whatAllLetGoOfComesBackWholly() {
    let review = review([unit(1, idle: 60), unit(2, idle: 20), unit(3, idle: 2000)])
    #expect(review.decisions.map { $0.unit.process?.pid }.sorted { $0! < $1! } == [1, 2, 3])
    #expect(review.decisions.allSatisfy { $0.predicted == .mebibytes(8) })
  }

  @Test func whileOneUsesItTheOthersGoByThemselvesWithWhatIsTheirs() {
    let review = review([unit(1, idle: 60), unit(2, idle: 3)]) { $0.maxUnloadsPerCycle = 1 }
    #expect(review.decisions.map(\.predicted) == [.mebibytes(1)])
  }

  @Test func whoIsBusyKeepsItForAll() {
    var busy = unit(2, idle: 500)
    busy.busy = "request-in-flight"
    let review = review([unit(1, idle: 500), busy])
    #expect(review.decisions.map { $0.unit.process?.pid } == [1])
    #expect(review.decisions.map(\.predicted) == [.mebibytes(1)])
  }

  @Test func withoutWantOfMemoryAllMustBeIdleForTheirTime() {
    let some = review([unit(1, idle: 5000), unit(2, idle: 60)], pressed: false)
    #expect(some.decisions.isEmpty)
    // It is named who does not let go.
    let holder = ReclaimUnit(.package, "torch", in: ProcessIdentity(pid: 2, startTicks: 1))
    #expect(some.judgements.first?.verdict == .keep(.neededBy([holder])))
    #expect(review([unit(1, idle: 5000), unit(2, idle: 5000)], pressed: false).decisions.count == 2)
  }

  @Test func smallSharesOfMuchAreWorthIt() {
    var units = (1...40).map { unit($0, idle: 60, share: 1) }
    for index in units.indices {
      units[index].bytes = .zero
      units[index].together?.bytes = Bytes(600_000)
    }
    #expect(review(units).decisions.count == 40)
    #expect(review(Array(units.prefix(1))).decisions.isEmpty)
  }

  @Test func aPackageInManyProcessesIsOneOfTheCycle() {
    let many = (1...9).map { unit($0, idle: 60) } + (1...9).map { unit($0, idle: 60, name: "numpy") }
    let review = review(many) { $0.maxUnloadsPerCycle = 1 }
    #expect(review.decisions.count == 9 && Set(review.decisions.map(\.unit.name)).count == 1)
  }

  @Test func theOneThatNeedsItMostSetsTheOrder() {
    var often = unit(2, idle: 20)
    often.together?.reloadSeconds = 80
    let review = review([unit(1, idle: 5000), often, unit(3, idle: 5000, name: "alone")])
    let scores = review.judgements.filter { $0.unit.name == "torch" }.map(\.figures.score)
    #expect(scores.count == 2 && scores[0] == scores[1])
    let alone = review.judgements.first { $0.unit.name == "alone" }?.figures.score ?? 0
    #expect(alone > scores[0] ?? .infinity)
  }
}

@Suite struct VainTests {
  private func obstacle(_ vain: Vain, _ seconds: Double) -> Double? {
    guard case .triedLately("nodelete", let left)? = vain.obstacle(at: Instant(seconds: seconds)) else { return nil }
    return left
  }

  @Test func theNextTryWaitsTwiceAsLongEachTime() {
    var vain = Vain()
    for (tries, pause) in [(1, 2.0), (2, 4), (3, 8), (7, 128), (8, 256), (9, 300), (60, 300)] {
      vain = Vain()
      for _ in 0..<tries { vain.note(.kept("nodelete"), at: Instant(seconds: 100)) }
      #expect(obstacle(vain, 100) == pause, "\(tries)")
      #expect(obstacle(vain, 100 + pause - 0.5) == 0.5 && obstacle(vain, 100 + pause) == nil, "\(tries)")
    }
  }

  @Test func whatCameBackEndsIt() {
    var vain = Vain()
    vain.note(.kept("nodelete"), at: Instant(seconds: 1))
    vain.note(.dryRun, at: Instant(seconds: 1))
    #expect(obstacle(vain, 1) == 2)
    vain.note(.freed(.mebibytes(1)), at: Instant(seconds: 2))
    #expect(vain == Vain())
  }

  @Test func aUnitThatGaveNothingRestsAndSaysWhy() {
    let scene = Scene()
    scene.add("a", idle: 5000)
    #expect(scene.go() == ["a"])
    scene.policy.record(UnloadOutcome(unit: scene.units[0].unit, result: .kept("nodelete"), seconds: 0.1), at: scene.instant)
    #expect(scene.go() == [])
    #expect(scene.review().judgements[0].verdict == .keep(.triedLately("nodelete", secondsLeft: 2)))
    scene.now += 2
    #expect(scene.go() == ["a"])
  }
}
