import Model
import Testing

@testable import Policy

@Suite struct IdlenessTests {
  @Test(arguments: [("aggressive", 300.0), ("balanced", 900), ("conservative", 1800)])
  func eachStrategyHasItsTime(_ name: String, _ timeout: Double) {
    let scene = Scene()
    scene.policy.settings.strategy = name
    scene.add("young", idle: timeout - 1)
    scene.add("old", idle: timeout)
    // Its pauses were unknown so far, so nothing speaks for a return.
    scene.policy.settings.enableAdaptiveUnloading = false
    #expect(scene.reason("old") == .usagePattern(name))
    #expect(scene.obstacle("young") == .inUse)
  }

  @Test func theNamesOfStrategiesMayBeWrittenInAnyCase() {
    let scene = Scene()
    scene.policy.settings.strategy = "AGGRESSIVE"
    scene.add("a", idle: 400)
    #expect(scene.go() == ["a"])
  }

  @Test func aUnitsOwnStrategyComesBeforeTheDefault() {
    let scene = Scene()
    scene.policy.settings.preferences["slow"] = UnitPreference(strategy: "conservative")
    scene.policy.settings.preferences["quick"] = UnitPreference(strategy: "mine")
    scene.policy.settings.customStrategies = [UnloadingStrategy(name: "mine", timeoutSeconds: 42)]
    scene.add("slow", idle: 1000)
    scene.add("quick", idle: 43)
    #expect(scene.reason("quick") == .usagePattern("mine"))
    #expect(scene.obstacle("slow") == .inUse)
  }

  @Test func aStrategyThatIsGoneCountsAsTheDefault() {
    let scene = Scene()
    scene.policy.settings.preferences["a"] = UnitPreference(strategy: "removed")
    scene.add("a", idle: 1000)
    #expect(scene.reason("a") == .usagePattern("balanced"))
    scene.policy.settings.strategy = "removed too"
    #expect(scene.review().judgements[0].figures.timeoutSeconds == 900)
  }

  @Test func usagePatternsCanBeSwitchedOff() {
    let scene = Scene()
    scene.policy.settings.enableUsagePatternUnloading = false
    scene.add("a", idle: 1e6)
    #expect(scene.go().isEmpty)
    #expect(scene.obstacle("a") == .inUse)
  }

  @Test func nothingHappensWhileItIsDisabled() {
    let scene = Scene()
    scene.policy.settings.isEnabled = false
    scene.add("a", idle: 1e6)
    scene.use(0.99)
    #expect(scene.go([ReclaimUnit(.package, "a"): .manual]).isEmpty)
    #expect(scene.obstacle("a") == .disabled)
  }

  @Test func whatWasNeverSeenInUseIsNotCalledIdle() {
    let scene = Scene()
    scene.add("a", idle: nil)
    #expect(scene.obstacle("a") == .useUnknown)
    scene.units[0].loadedAt = Instant(seconds: scene.now - 1000)
    #expect(scene.reason("a") == .usagePattern("balanced"))
  }

  @Test func aLoadIsAUse() {
    let scene = Scene()
    scene.add("a", idle: 5000)
    scene.units[0].loadedAt = Instant(seconds: scene.now - 10)
    #expect(scene.obstacle("a") == .inUse)
  }

  @Test func highAndCriticalMemoryShortenTheTime() {
    let scene = Scene()
    scene.add("a", idle: 460)
    scene.add("b", idle: 240)
    scene.use(0.69)
    #expect(scene.go().isEmpty)
    scene.use(0.72)
    #expect(scene.reason("a") == .adaptive(.high))
    #expect(scene.obstacle("b") == .inUse)
    scene.policy = UnloadingPolicy()
    scene.policy.settings.enableMemoryPressureUnloading = false
    scene.use(0.9)
    #expect(scene.reason("b") == .adaptive(.critical))
    scene.policy.settings.enableAdaptiveUnloading = false
    #expect(scene.obstacle("b") == .inUse)
  }

  @Test func whatIsExpectedBackSoonStaysWhileMemoryIsPlentiful() {
    let scene = Scene()
    scene.add("hourly", idle: 0)
    // Used every 1,000 s: at 950 s of idleness it is about to be used.
    for _ in 0..<20 {
      scene.now += 1000
      scene.units[0].lastUsed = scene.instant
      #expect(scene.go().isEmpty)
    }
    scene.now += 950
    #expect(scene.obstacle("hourly") == .expectedSoon)
    // At high memory it does not.
    scene.use(0.75)
    #expect(scene.reason("hourly") == .usagePattern("balanced"))
  }

  @Test func expectationEndsAtTwiceTheTime() {
    let scene = Scene()
    scene.policy.settings.strategy = "aggressive"
    scene.add("a", idle: 0)
    for _ in 0..<20 {
      scene.now += 700
      scene.units[0].lastUsed = scene.instant
      _ = scene.review()
    }
    scene.now += 590
    #expect(scene.obstacle("a") == .expectedSoon)
    scene.now += 10
    #expect(scene.reason("a") == .usagePattern("aggressive"))
  }

  @Test func aClockThatIsSetBackMakesNothingIdle() {
    let scene = Scene()
    scene.add("a", idle: 0)
    _ = scene.review()
    scene.now -= 5000
    #expect(scene.review().judgements[0].figures.idleSeconds == 0)
    #expect(scene.go().isEmpty)
  }
}

@Suite struct PreferenceTests {
  @Test func whatTheUserDeniesStaysWhateverHappens() {
    let scene = Scene()
    scene.policy.settings.preferences["a"] = UnitPreference(allowUnload: false)
    scene.policy.settings.enableUserPreferenceUnloading = false
    scene.add("a", idle: 1e6)
    scene.use(0.99)
    #expect(scene.go([ReclaimUnit(.package, "a"): .manual]).isEmpty)
    #expect(scene.obstacle("a") == .userPreference)
  }

  @Test func whatTheUserAllowsGoesEarly() {
    let scene = Scene()
    scene.policy.settings.preferences["a"] = UnitPreference(allowUnload: true)
    scene.add("a", idle: 300)
    scene.add("b", idle: 300)
    scene.policy.settings.enableAdaptiveUnloading = false
    #expect(scene.reason("a") == .userPreference)
    #expect(scene.obstacle("b") == .inUse)
    scene.policy = UnloadingPolicy(settings: scene.policy.settings)
    scene.policy.settings.enableUserPreferenceUnloading = false
    #expect(scene.obstacle("a") == .inUse)
  }

  @Test func criticalUnitsStayAndOptionalOnesGoFirst() {
    let scene = Scene()
    scene.policy.settings.preferences["core"] = UnitPreference(unitClass: .critical)
    scene.policy.settings.preferences["extra"] = UnitPreference(unitClass: .optional)
    scene.add("core", mebibytes: 900, idle: 5000)
    scene.add("large", mebibytes: 800, idle: 5000)
    scene.add("extra", mebibytes: 10, idle: 5000)
    #expect(scene.go() == ["extra", "large"])
    #expect(scene.obstacle("core") == .critical)
  }

  @Test func busyUnitsStay() {
    let scene = Scene()
    scene.add("a", idle: 1e6, busy: "thread-inside:12")
    scene.use(0.99)
    #expect(scene.obstacle("a") == .busy("thread-inside:12"))
  }

  @Test func smallAndUnmeasuredUnitsStay() {
    let scene = Scene()
    scene.add("small", mebibytes: 0, idle: 1e6)
    scene.add("unknown", mebibytes: nil, idle: 1e6)
    scene.add("edge", mebibytes: 1, idle: 1e6)
    scene.policy.settings.enableAdaptiveUnloading = false
    #expect(scene.obstacle("small") == .savingsTooSmall(minimum: .mebibytes(1)))
    #expect(scene.obstacle("unknown") == .bytesUnknown)
    #expect(scene.reason("edge") == .usagePattern("balanced"))
  }

  @Test func aCycleIsLimited() {
    let scene = Scene()
    for name in "abcdefg" { scene.add(String(name), idle: 1e6) }
    #expect(scene.go() == ["a", "b", "c", "d", "e"])
    #expect(scene.obstacle("f") == nil || scene.obstacle("f") == .underWay)
    scene.policy = UnloadingPolicy()
    #expect(scene.obstacle("g") == .cycleFull(5))
  }

  @Test func whatWasAskedIsNotAskedAgainUntilItIsLost() {
    let scene = Scene()
    scene.add("a", idle: 1e6)
    #expect(scene.go() == ["a"])
    scene.now += 29
    #expect(scene.obstacle("a") == .underWay)
    scene.now += 1
    #expect(scene.go() == ["a"])
  }

  @Test func anAnswerEndsTheWait() {
    let scene = Scene()
    scene.add("a", idle: 1e6)
    #expect(scene.go() == ["a"])
    scene.policy.record(UnloadOutcome(unit: scene.units[0].unit, result: .kept("nodelete"), seconds: 0.1), at: scene.instant)
    scene.now += 2
    #expect(scene.go() == ["a"])
  }

  @Test func requestsNeedNoIdlenessAndRespectWhatForbids() {
    let scene = Scene()
    scene.add("a", idle: 1)
    scene.add("b", idle: 1, busy: "request-in-flight")
    let requests: [ReclaimUnit: UnloadReason] = [
      ReclaimUnit(.package, "a"): .rule("night"), ReclaimUnit(.package, "b"): .manual,
    ]
    let review = scene.policy.review(scene.snapshot, requests: requests, at: scene.instant)
    #expect(review.decisions.map(\.unit.name) == ["a"])
    #expect(review.decisions.first?.reason == .rule("night"))
  }

  @Test func theModuleCacheHasABound() {
    let scene = Scene()
    scene.policy.settings.moduleCacheLimit = 3
    for number in 0..<10 { scene.add("lib\(number).so", mebibytes: 0, idle: Double(number), kind: .closedModule) }
    scene.units[9].busy = "thread-inside:1"
    // The longest unused go, and more than a cycle's five.
    #expect(scene.go() == ["lib8.so", "lib7.so", "lib6.so", "lib5.so", "lib4.so", "lib3.so", "lib2.so"])
  }

  @Test func theDefaultBoundOfTheModuleCacheIsAHundred() {
    let scene = Scene()
    for number in 0..<101 { scene.add("lib\(number).so", idle: 10 + Double(number), kind: .closedModule) }
    #expect(scene.go() == ["lib100.so"])
  }
}
