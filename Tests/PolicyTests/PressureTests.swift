import Model
import Testing

@testable import Policy

@Suite struct PressureTests {
  @Test(arguments: [
    (0.0, PressureLevel.low), (0.499, .low), (0.5, .medium), (0.699, .medium), (0.7, .high), (0.85, .high), (0.851, .critical),
    (2.0, .critical), (.nan, .low), (-1, .low),
  ])
  func levelsBeginWhereTheSeedSays(_ share: Double, _ level: PressureLevel) {
    #expect(PressureLevel(share: share) == level)
  }

  @Test func theThresholdMustBeHeld() {
    let scene = Scene()
    scene.add("a", idle: 30)
    scene.use(0.81)
    #expect(scene.go().isEmpty)
    scene.now += 59
    #expect(scene.go().isEmpty)
    scene.now += 1
    #expect(scene.reason("a") == .memoryPressure(.high))
  }

  @Test func aBreakStartsTheTimeAnew() {
    let scene = Scene()
    scene.add("a", idle: 30)
    scene.use(0.81)
    _ = scene.go()
    scene.now += 40
    scene.use(0.79)
    _ = scene.go()
    scene.now += 10
    scene.use(0.81)
    _ = scene.go()
    scene.now += 59
    #expect(scene.go().isEmpty)
    scene.now += 1
    #expect(scene.go() == ["a"])
  }

  @Test func criticalMemoryWaitsForNothing() {
    let scene = Scene()
    scene.add("a", idle: 30)
    scene.use(0.86)
    #expect(scene.reason("a") == .memoryPressure(.critical))
  }

  @Test func stallsCountAtAHighLevelOnly() {
    let scene = Scene()
    scene.add("a", idle: 30)
    scene.use(0.6, stall: 0.9)
    #expect(scene.go().isEmpty)
    scene.use(0.75, stall: 0.09)
    #expect(scene.go().isEmpty)
    scene.use(0.75, stall: 0.1)
    #expect(scene.go() == ["a"])
  }

  @Test func itGoesOnDownToTheTargetAndNoFurther() {
    var gate = PressureGate()
    let settings = UnloadingSettings()
    func update(_ share: Double, _ seconds: Double) -> Bytes {
      gate.update(MemoryPressure(used: Bytes(UInt64(share * 1000)), limit: Bytes(1000)), settings, at: Instant(seconds: seconds))
    }
    #expect(update(0.9, 1) == Bytes(200))
    #expect(update(0.75, 2) == Bytes(50))
    #expect(update(0.7, 3) == .zero)
    // Between the marks it stays closed once it is closed.
    #expect(update(0.75, 4) == .zero)
    #expect(!gate.isOpen)
  }

  @Test func unreadableMemoryGivesNothingBack() {
    let scene = Scene()
    scene.add("a", idle: 30)
    scene.use(0.99)
    #expect(!scene.review().decisions.isEmpty)
    scene.policy = UnloadingPolicy()
    scene.memory = nil
    #expect(scene.go().isEmpty)
    scene.memory = MemoryPressure(used: .mebibytes(1), limit: .zero)
    #expect(scene.go().isEmpty)
  }

  @Test func pressureUnloadingCanBeSwitchedOff() {
    let scene = Scene()
    scene.policy.settings.enableMemoryPressureUnloading = false
    scene.add("a", idle: 30)
    scene.use(0.99, wanted: .mebibytes(500))
    #expect(scene.go().isEmpty)
  }

  @Test func aLoadThatWaitsIsServedAtOnce() {
    let scene = Scene()
    scene.add("a", mebibytes: 100, idle: 30)
    scene.add("b", mebibytes: 100, idle: 20)
    scene.use(0.5, wanted: .mebibytes(5120))
    #expect(scene.go().isEmpty)
    scene.use(0.5, wanted: .mebibytes(5121))
    #expect(scene.go().count == 1)
  }

  @Test func whatBringsMostForASecondOfReloadingGoesFirst() {
    let scene = Scene()
    scene.add("dear", mebibytes: 500, idle: 100, reload: 10)
    scene.add("cheap", mebibytes: 500, idle: 100, reload: 1)
    scene.add("small", mebibytes: 60, idle: 100, reload: 1)
    scene.use(0.9)
    #expect(scene.go() == ["cheap", "small", "dear"])
  }

  @Test func whatIsUsedOftenGoesLast() {
    let scene = Scene()
    scene.add("often")
    scene.add("seldom")
    for step in 1...60 {
      scene.now += 10
      scene.units[0].lastUsed = scene.instant
      if step % 30 == 0 { scene.units[1].lastUsed = scene.instant }
      _ = scene.review()
    }
    scene.now += 5
    scene.use(1, wanted: .mebibytes(1))
    #expect(scene.go().first == "seldom")
  }

  @Test func equalUnitsGoByName() {
    let scene = Scene()
    for name in ["c", "a", "b"] { scene.add(name, idle: 1000) }
    scene.policy.settings.maxUnloadsPerCycle = 2
    #expect(scene.go() == ["a", "b"])
  }

  @Test func theOrderOfTheInputChangesNothing() {
    let scene = Scene()
    for (number, name) in ["c", "a", "d", "b", "e"].enumerated() { scene.add(name, mebibytes: 50, idle: 500 + Double(number)) }
    scene.use(0.95)
    let other = scene.copy()
    other.units.reverse()
    #expect(scene.go() == other.go())
  }

  @Test func itStopsWhenTheTargetIsReached() {
    let scene = Scene()
    for name in "abcd" { scene.add(String(name), mebibytes: 400, idle: 1000) }
    // 10 % of 10 GiB lie above the target: three of 400 MiB.
    scene.use(0.801)
    _ = scene.go()
    scene.now += 60
    #expect(scene.go() == ["a", "b", "c"])
    let again = scene.copy()
    again.policy = UnloadingPolicy()
    again.use(0.86, wanted: .zero)
    again.policy.settings.memoryPressureTarget = 0.82
    #expect(again.go() == ["a", "b"])
    #expect(again.obstacle("c") == .targetReached)
  }

  @Test func whatALargeUnitMakesNeedlessStays() {
    let scene = Scene()
    scene.add("small", mebibytes: 100, idle: 1000, reload: 0.1)
    scene.add("large", mebibytes: 1000, idle: 1000, reload: 10)
    // Both would go in this order; the large one alone is enough.
    scene.use(0.86)
    scene.policy.settings.memoryPressureTarget = 0.8
    #expect(scene.go() == ["large"])
    #expect(scene.obstacle("small") != nil)
  }

  @Test func whatIsUnderWayCountsAsDone() {
    let scene = Scene()
    for name in "abcd" { scene.add(String(name), mebibytes: 400, idle: 1000) }
    scene.use(0.86)
    scene.policy.settings.memoryPressureTarget = 0.82
    #expect(scene.go() == ["a", "b"])
    #expect(scene.go().isEmpty)
  }

  @Test func underPressureIdleUnitsGoNoFurtherThanTheTarget() {
    let scene = Scene()
    for name in "abc" { scene.add(String(name), mebibytes: 600, idle: 1e6) }
    scene.use(0.86)
    scene.policy.settings.memoryPressureTarget = 0.82
    #expect(scene.go() == ["a"])
  }
}

@Suite struct RegretTests {
  @Test func whatIsNeededAgainSoonCostsMore() {
    let scene = Scene()
    scene.policy.settings.enableAdaptiveUnloading = false
    scene.add("a", idle: 1000)
    #expect(scene.go() == ["a"])
    scene.unload("a")
    _ = scene.review()
    scene.now += 599
    scene.load("a")
    #expect(scene.review().judgements[0].figures.regret == 2)
    #expect(scene.review().judgements[0].figures.timeoutSeconds == 1800)
    // Half of it is left after an hour.
    scene.now += 3600
    scene.units[0].lastUsed = scene.instant
    let later = scene.review().judgements[0].figures.regret
    #expect(abs(later - 1.5) < 1e-4)
  }

  @Test func whatIsNeededAgainLaterDoesNot() {
    let scene = Scene()
    scene.add("a", idle: 5000)
    #expect(scene.go() == ["a"])
    scene.unload("a")
    _ = scene.review()
    scene.now += 601
    scene.load("a")
    #expect(scene.review().judgements[0].figures.regret == 1)
  }

  @Test func withoutAnAccountNothingIsHeldAgainstAUnit() {
    let scene = Scene()
    scene.policy.settings.performanceImpactTracking = false
    scene.add("a", idle: 5000)
    #expect(scene.go() == ["a"])
    scene.unload("a")
    _ = scene.review()
    scene.now += 10
    scene.load("a")
    #expect(scene.review().judgements[0].figures.regret == 1)
  }

  @Test func regretHasABound() {
    var regret = Regret()
    for _ in 0..<100 { regret.raise(at: Instant(seconds: 5)) }
    #expect(regret.factor(at: Instant(seconds: 5)) == 16)
  }

  @Test func pagesThatComeBackCountByTheirShare() {
    let scene = Scene()
    scene.add("a", idle: 5000)
    #expect(scene.go() == ["a"])
    scene.policy.record(
      UnloadOutcome(unit: scene.units[0].unit, result: .freed(.mebibytes(100)), seconds: 0.1), at: scene.instant)
    scene.units[0].refaulted = .mebibytes(25)
    scene.now += 10
    #expect(scene.review().judgements[0].figures.regret == 1.25)
    // The same reading is not counted twice.
    #expect(scene.review().judgements[0].figures.regret < 1.2501)
  }

  @Test func halvesAreHalved() {
    var regret = Regret()
    regret.raise(at: Instant(seconds: 0))
    for (hours, left) in [(0.0, 2.0), (1, 1.5), (2, 1.25), (0.5, 1.70711), (10, 1.00098), (1000, 1)] {
      #expect(abs(regret.factor(at: Instant(seconds: hours * 3600)) - left) < 1e-4)
    }
  }
}

@Suite struct ReuseTests {
  @Test func aPeriodicUnitIsExpectedWhenItsTimeComes() {
    var history = ReuseHistory()
    for step in 0..<50 { _ = history.note(use: Instant(seconds: Double(step) * 3600)) }
    let prior = Prior()
    #expect(history.probability(idle: 60, within: 600, prior: prior) < 0.2)
    #expect(history.probability(idle: 3000, within: 600, prior: prior) > 0.4)
  }

  @Test func longerIdlenessMakesAReturnLessLikely() {
    let history = ReuseHistory()
    let prior = Prior()
    let probabilities = [0.0, 10, 100, 1000, 1e4, 1e5].map { history.probability(idle: $0, within: 600, prior: prior) }
    #expect(zip(probabilities, probabilities.dropFirst()).allSatisfy { $0 > $1 })
    #expect(probabilities.allSatisfy { $0 > 0 && $0 < 1 })
  }

  @Test func unitsOfWhichNoneReturnsAreNotExpected() {
    var prior = Prior()
    for _ in 0..<100 { prior.noteFirstUse() }
    #expect(ReuseHistory().probability(idle: 0, within: 600, prior: prior) < 0.02)
  }

  @Test func aUseIsCountedOnce() {
    var history = ReuseHistory()
    let returns = [5.0, 5, 4, 6].map { history.note(use: Instant(seconds: $0)) }
    #expect(returns == [false, false, false, true])
    #expect(history.uses == 2)
  }

  @Test(arguments: [(0.0, 0), (1.9, 0), (2, 1), (3.9, 1), (4, 2), (1e300, 23), (.infinity, 23)])
  func bucketsDouble(_ seconds: Double, _ bucket: Int) {
    #expect(ReuseHistory.bucket(seconds) == bucket)
  }

  @Test func noMoreIsRememberedThanTheLimit() {
    var policy = UnloadingPolicy()
    for round in 0..<4 {
      let units = (0..<5000).map { UnitObservation(ReclaimUnit(.package, "u\(round)-\($0)")) }
      _ = policy.evaluate(Snapshot(memory: nil, units: units), at: Instant(seconds: Double(round)))
    }
    #expect(policy.known.count <= UnloadingPolicy.memoryLimit + 5000)
    _ = policy.evaluate(Snapshot(memory: nil, units: []), at: Instant(seconds: 10))
    #expect(policy.known.count <= UnloadingPolicy.memoryLimit)
  }
}

@Suite struct SettingsTests {
  @Test func theSeedsDefaults() {
    let settings = UnloadingSettings()
    #expect(settings.isEnabled && settings.strategy == "balanced" && settings.checkIntervalSeconds == 60)
    #expect(settings.aggressiveTimeoutSeconds == 300 && settings.balancedTimeoutSeconds == 900)
    #expect(settings.conservativeTimeoutSeconds == 1800)
    #expect(settings.memoryPressureThreshold == 0.8 && settings.memoryPressureTimeoutSeconds == 60)
    #expect(settings.enableMemoryPressureUnloading && settings.enableUsagePatternUnloading)
    #expect(settings.enableUserPreferenceUnloading && settings.enableAdaptiveUnloading && settings.performanceImpactTracking)
    #expect(settings.maxUnloadsPerCycle == 5 && settings.minMemorySavingsThreshold.count == 1024 * 1024)
    #expect(settings.moduleCacheLimit == 100)
  }

  @Test func profilesKeepTheMarksInOrder() {
    for profile in TaskProfile.allCases {
      let settings = profile.applied(to: UnloadingSettings())
      #expect(settings.memoryPressureTarget < settings.memoryPressureThreshold)
      #expect(settings.memoryPressureThreshold <= settings.memoryPressureCritical)
      #expect(settings.strategy(named: settings.strategy) != nil)
      #expect(settings.preferences.isEmpty)
    }
  }

  @Test func reasonsReadAsInTheSeed() {
    #expect(UnloadReason.memoryPressure(.high).text == "Memory pressure unloading (high)")
    #expect(UnloadReason.usagePattern("balanced").text == "Usage pattern unloading (balanced)")
    #expect(UnloadReason.memoryPressure(.high).priority == 1.0)
    #expect(UnloadReason.usagePattern("balanced").priority == 0.8)
  }
}
