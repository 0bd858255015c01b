import Model
import Testing

@testable import Policy

/// Which of several reasons is shown, and what a reason must not reach beyond.
@Suite struct ObstacleTests {
  @Test func theFirstReasonInTheOrderIsTheOneShown() {
    let scene = Scene()
    scene.add("a", mebibytes: nil, idle: 1e6)
    _ = scene.policy.review(scene.snapshot, at: scene.instant)
    // Everything that can hold a unit holds this one; each is taken away in its turn.
    scene.units[0].bytes = .mebibytes(100)
    #expect(scene.go() == ["a"])
    scene.policy.settings.isEnabled = false
    scene.policy.settings.preferences["a"] = UnitPreference(allowUnload: false, unitClass: .critical)
    scene.units[0].busy = "thread-inside:1"
    scene.units[0].bytes = nil
    #expect(scene.obstacle("a") == .disabled)
    let gone = scene.copy()
    gone.units[0].isLoaded = false
    #expect(gone.obstacle("a") == .disabled)
    scene.policy.settings.isEnabled = true
    gone.policy.settings.isEnabled = true
    #expect(gone.obstacle("a") == .notLoaded)
    #expect(scene.obstacle("a") == .userPreference)
    scene.policy.settings.preferences["a"]?.allowUnload = nil
    #expect(scene.obstacle("a") == .critical)
    scene.policy.settings.preferences["a"] = nil
    #expect(scene.obstacle("a") == .busy("thread-inside:1"))
    scene.units[0].busy = nil
    #expect(scene.obstacle("a") == .underWay)
    scene.now += 30
    #expect(scene.obstacle("a") == .bytesUnknown)
    scene.units[0].bytes = Bytes(1)
    #expect(scene.obstacle("a") == .savingsTooSmall(minimum: .mebibytes(1)))
  }

  @Test func theMildestReasonThatExplainsItIsSaid() {
    let scene = Scene()
    scene.policy.settings.preferences["a"] = UnitPreference(allowUnload: true)
    scene.add("a", idle: 1e6)
    scene.use(0.75)
    #expect(scene.reason("a") == .usagePattern("balanced"))
    scene.units[0].lastUsed = Instant(seconds: scene.now - 500)
    #expect(scene.reason("a") == .userPreference)
  }

  @Test("what comes back with half a chance stays while memory is plentiful, and no other", arguments: 0...20)
  func expectationBeginsAtAHalf(likely: Int) {
    let scene = Scene()
    scene.add("a", idle: 0)
    for step in 0..<20 {
      scene.now += step * 7 % 20 < likely ? 1100 : 100_000
      scene.units[0].lastUsed = scene.instant
      _ = scene.policy.review(Snapshot(memory: nil, units: scene.units), at: scene.instant)
    }
    scene.policy.settings.conservativeTimeoutSeconds = 900
    scene.policy.settings.strategy = "conservative"
    // Of the shorter pauses all end within it, of the longer none.
    scene.policy.settings.regretWindowSeconds = 1200
    scene.now += 950
    let probability = scene.copy().review().judgements[0].figures.reuseProbability
    #expect((scene.obstacle("a") == .expectedSoon) == (probability >= 0.5), "\(probability)")
    // Whoever wants no adaptive unloading wants the times as they are written.
    scene.policy.settings.enableAdaptiveUnloading = false
    #expect(scene.reason("a") == .usagePattern("conservative"))
  }

  @Test func whatIsExpectedSoonGoesAllTheSameWhenMemoryIsHigh() {
    let scene = Scene()
    scene.add("a", idle: 0)
    for _ in 0..<20 {
      scene.now += 500
      scene.units[0].lastUsed = scene.instant
      _ = scene.review()
    }
    scene.now += 480
    scene.use(0.75)
    #expect(scene.review().judgements[0].figures.reuseProbability >= 0.5)
    #expect(scene.policy.known[scene.units[0].unit]?.asked == scene.instant)
  }

  @Test func closedModulesTakeNoPlaceOfACycle() {
    let scene = Scene()
    scene.policy.settings.moduleCacheLimit = 0
    scene.policy.settings.maxUnloadsPerCycle = 1
    scene.add("lib.so", mebibytes: 0, idle: 10, kind: .closedModule)
    scene.add("a", idle: 1e6)
    #expect(scene.go() == ["lib.so", "a"])
  }

  @Test func aClosedModuleThatIsNeededIsKeptBeyondTheBound() {
    let scene = Scene()
    scene.policy.settings.moduleCacheLimit = 0
    scene.add("lib.so", mebibytes: 0, idle: 10, kind: .closedModule)
    scene.add("a", idle: 1)
    scene.units[1].needs = [scene.units[0].unit]
    #expect(scene.go().isEmpty)
  }
}

/// The order of what goes for want of memory, a factor at a time.
@Suite struct ScoreTests {
  private func first(_ change: (Scene) -> Void) -> String? {
    let scene = Scene()
    // By name "a" would be first.
    for name in ["a", "b"] { scene.add(name, mebibytes: 100, idle: 1000) }
    change(scene)
    scene.use(0.99)
    return scene.go().first
  }

  @Test func whatBringsMoreGoesFirst() {
    #expect(first { $0.units[1].bytes = .mebibytes(200) } == "b")
  }

  @Test func whatReloadsSoonerGoesFirst() {
    #expect(first { $0.units[1].reloadSeconds = 0.5 } == "b")
  }

  @Test func whatWasRegrettedGoesLast() {
    let scene = Scene()
    for name in ["a", "b"] { scene.add(name, mebibytes: 100, idle: 1000) }
    #expect(scene.go() == ["a", "b"])
    scene.now += UnloadingPolicy.answerSeconds
    scene.policy.known[scene.units[0].unit]?.regret.raise(at: scene.instant)
    scene.use(0.99)
    #expect(scene.go() == ["b", "a"])
  }

  @Test func regretCountsHalfAgainAtMost() {
    let scene = Scene()
    scene.add("a", idle: 1000)
    let before = scene.review().judgements[0].figures.score ?? 0
    for _ in 0..<4 { scene.policy.known[scene.units[0].unit]?.regret.raise(at: scene.instant) }
    let after = scene.review().judgements[0].figures
    #expect(after.regret == 16)
    #expect(abs((after.score ?? 0) * 1.5 - before) < before * 1e-6)
  }

  @Test func aReloadThatNobodyMeasuredIsARead() {
    func score(_ mebibytes: UInt64, reload: Double?) -> Double? {
      let scene = Scene()
      scene.add("a", mebibytes: mebibytes, idle: 1000, reload: reload)
      return scene.review().judgements[0].figures.score
    }
    #expect(score(500, reload: nil) == score(500, reload: Double(500 << 20) / 200e6))
    #expect(score(1, reload: nil) == score(1, reload: 0.01))
    #expect(score(1, reload: .nan) == score(1, reload: nil))
  }

  @Test func whatIsPopularGoesLastThoughItsPausesSayNothing() {
    let scene = Scene()
    scene.add("a", idle: 0)
    for _ in 0..<60 {
      scene.now += 60
      scene.units[0].lastUsed = scene.instant
      _ = scene.review()
    }
    // Both have now been idle for longer than any pause that was seen: of their returns the pauses know nothing.
    scene.add("b", idle: 0)
    _ = scene.review()
    scene.now += 100
    scene.use(0.99)
    #expect(scene.go() == ["b", "a"])
  }

  @Test func theOrderLooksTheMiddlePauseAhead() {
    let scene = Scene()
    scene.add("often", mebibytes: 100)
    scene.add("often too", mebibytes: 100)
    scene.add("seldom", mebibytes: 60)
    for step in 1...400 {
      scene.now += 20
      scene.units[0].lastUsed = scene.instant
      scene.units[1].lastUsed = scene.instant
      if step % 20 == 0 { scene.units[2].lastUsed = scene.instant }
      _ = scene.review()
    }
    scene.now += 5
    scene.use(1, wanted: .mebibytes(1))
    // Within ten minutes all are used, and a larger one would go first.
    #expect(scene.go().first == "seldom")
  }

  @Test func whatIsExactlyNeedlessIsTakenBack() {
    let scene = Scene()
    scene.add("small", mebibytes: 100, idle: 1000, reload: 0.1)
    scene.add("large", mebibytes: 300, idle: 1000, reload: 10)
    scene.memory = MemoryPressure(used: .mebibytes(900), limit: .mebibytes(1000))
    scene.policy.settings.memoryPressureTarget = 0.6
    #expect(scene.go() == ["large"])
  }

  @Test func aCircleBeyondTheTargetStays() {
    let scene = Scene()
    scene.add("a", mebibytes: 1000, idle: 1000, reload: 0.1)
    scene.add("b", mebibytes: 100, idle: 1000, reload: 10, needs: ["c"])
    scene.add("c", mebibytes: 100, idle: 1000, reload: 10, needs: ["b"])
    scene.use(0.86)
    scene.policy.settings.memoryPressureTarget = 0.8
    #expect(scene.go() == ["a"])
  }

  @Test func whatARuleTakesCountsTowardsTheTarget() {
    let scene = Scene()
    for name in ["a", "b"] { scene.add(name, mebibytes: 1000, idle: 1000) }
    scene.use(0.86)
    scene.policy.settings.memoryPressureTarget = 0.8
    #expect(scene.go([ReclaimUnit(.package, "b"): .rule("night")]) == ["b"])
  }
}

/// The marks of `PressureGate` by themselves.
@Suite struct MarkTests {
  private var settings = UnloadingSettings()

  private func update(
    _ gate: inout PressureGate, _ used: UInt64, stall: Double? = nil, wanted: UInt64 = 0, _ seconds: Double
  ) -> Bytes {
    let memory = MemoryPressure(used: Bytes(used), limit: Bytes(1000), stall: stall, wanted: Bytes(wanted))
    return gate.update(memory, settings, at: Instant(seconds: seconds))
  }

  @Test func theThresholdItselfCounts() {
    var gate = PressureGate()
    #expect(update(&gate, 800, 1) == .zero)
    #expect(update(&gate, 800, 61) == Bytes(100))
  }

  @Test func theCriticalMarkItselfDoesNot() {
    var gate = PressureGate()
    #expect(update(&gate, 850, 1) == .zero)
    #expect(update(&gate, 851, 1) == Bytes(151))
  }

  @Test mutating func aStallBelowTheTargetOpensNothing() {
    settings.memoryPressureTarget = 0.75
    var gate = PressureGate()
    #expect(update(&gate, 740, stall: 0.9, 1) == .zero)
    #expect(!gate.isOpen)
  }

  @Test mutating func aStallBelowAHighLevelOpensNothing() {
    settings.memoryPressureTarget = 0.5
    var gate = PressureGate()
    #expect(update(&gate, 690, stall: 0.9, 1) == .zero)
    #expect(update(&gate, 700, stall: 0.9, 2) == Bytes(200))
  }

  @Test func aClockThatIsSetBackStartsTheTimeFromThere() {
    var gate = PressureGate()
    #expect(update(&gate, 810, 10_000) == .zero)
    #expect(update(&gate, 810, 9_000) == .zero)
    #expect(update(&gate, 810, 9_059) == .zero)
    #expect(update(&gate, 810, 9_060) == Bytes(110))
  }

  @Test func whatCouldNotBeReadHeldNothing() {
    var gate = PressureGate()
    #expect(update(&gate, 810, 1) == .zero)
    #expect(gate.update(nil, settings, at: Instant(seconds: 30)) == .zero)
    #expect(update(&gate, 810, 61) == .zero)
    #expect(update(&gate, 810, 121) == Bytes(110))
  }

  @Test func aLoadThatWaitsAndAMarkWantTheLargerOfTheTwo() {
    var gate = PressureGate()
    #expect(update(&gate, 900, wanted: 150, 1) == Bytes(200))
    #expect(update(&gate, 900, wanted: 400, 1) == Bytes(300))
    // Between the marks, with the gate shut, only what is missing.
    #expect(update(&gate, 700, 2) == .zero)
    #expect(update(&gate, 750, wanted: 260, 3) == Bytes(10))
  }
}

/// What the policy keeps of a unit from look to look.
@Suite struct RememberingTests {
  @Test func whatIsBackBeforeAnybodyLooksIsRegretted() {
    let scene = Scene()
    scene.add("a", idle: 1000)
    #expect(scene.go() == ["a"])
    scene.unload("a")
    scene.now += 5
    scene.load("a")
    #expect(scene.review().judgements[0].figures.regret == 2)
    #expect(scene.policy.regrets(at: scene.instant) == 1)
    scene.now += 601
    #expect(scene.policy.regrets(at: scene.instant) == 0)
  }

  @Test func whatIsPagedOutAndNotUsedIsNotRegretted() {
    let scene = Scene()
    scene.add("a", idle: 1000)
    #expect(scene.go() == ["a"])
    let unit = scene.units[0].unit
    scene.policy.record(UnloadOutcome(unit: unit, result: .freed(.mebibytes(100)), seconds: 0.1), at: scene.instant)
    scene.now += 5
    #expect(scene.review().judgements[0].figures.regret == 1)
  }

  @Test func aClockThatIsSetBackMakesNoRegretOlder() {
    var regret = Regret()
    regret.raise(at: Instant(seconds: 7200))
    regret.raise(at: Instant(seconds: 0), share: 0)
    #expect(regret.factor(at: Instant(seconds: 7200)) == 2)
  }

  @Test func nothingIsRememberedBeyondTheLimit() {
    var policy = UnloadingPolicy()
    func look(_ names: Range<Int>, _ seconds: Double) {
      let units = names.map { UnitObservation(ReclaimUnit(.package, "u\($0)")) }
      _ = policy.evaluate(Snapshot(memory: nil, units: units), at: Instant(seconds: seconds))
    }
    look(0..<UnloadingPolicy.memoryLimit, 1)
    #expect(policy.known.count == 8192)
    look(10_000..<10_001, 2)
    #expect(policy.known.count <= 8192)
    #expect(policy.known[ReclaimUnit(.package, "u10000")] != nil)
  }

  @Test func aUseAheadOfTheClockIsAUseNow() {
    let scene = Scene()
    scene.add("a", idle: 0)
    scene.units[0].lastUsed = Instant(seconds: scene.now + 5000)
    _ = scene.review()
    scene.now += 10
    scene.units[0].lastUsed = scene.instant
    _ = scene.review()
    #expect(scene.policy.known[scene.units[0].unit]?.history.uses == 2)
  }

  @Test func olderPausesFade() {
    var history = ReuseHistory()
    var time = 0.0
    func use(after pause: Double, times: Int) {
      for _ in 0..<times {
        time += pause
        _ = history.note(use: Instant(seconds: time))
      }
    }
    use(after: 10, times: 200)
    let before = history.probability(idle: 100, within: 600, prior: Prior())
    use(after: 400, times: 100)
    let after = history.probability(idle: 100, within: 600, prior: Prior())
    #expect(before < 0.9 && after > 0.95)
    // Half of them is left after 14 more: of the short pauses next to nothing counts after 100 long ones.
    let short = history.probability(idle: 0, within: 16, prior: Prior())
    #expect(short < 0.2, "\(short)")
  }
}
