import Model
import Testing

@testable import Policy

/// Free heap among the units: what nobody holds anything in goes before what may have to be read again.
@Suite struct HeapUnitTests {
  @Test func freeHeapGoesBeforeAnyPagesOfFiles() {
    let scene = Scene()
    // Everything speaks for the packages: larger, of a class that goes first, idle for hours.
    scene.add("cold", mebibytes: 1_500, idle: 50_000, reload: 0.01)
    scene.add("extra", mebibytes: 500, idle: 50_000, reload: 0.01)
    scene.policy.settings.preferences["extra"] = UnitPreference(unitClass: .optional)
    scene.add("server", mebibytes: 30, idle: 0, reload: nil, kind: .heap)
    scene.add("worker", mebibytes: 60, idle: 0, reload: nil, kind: .heap)
    scene.use(0.9)
    #expect(scene.go() == ["server", "worker", "extra", "cold"], "though without the server's the target would be reached, too")
  }

  @Test func whereFreeHeapIsEnoughNoFileGoes() {
    let scene = Scene()
    scene.add("cold", mebibytes: 900, idle: 50_000)
    scene.add("server", mebibytes: 1_200, idle: 0, reload: nil, kind: .heap)
    scene.use(0.8, stall: 0.5)
    #expect(scene.go() == ["server"])
    #expect(scene.obstacle("cold") == .targetReached)
  }

  @Test func theHeapOfAnIdleProcessGoesWhenItsTimeIsOver() {
    let scene = Scene()
    scene.add("server", mebibytes: 30, idle: 899, kind: .heap)
    #expect(scene.obstacle("server") == .inUse)
    scene.now += 1
    #expect(scene.reason("server") == .usagePattern("balanced"))
  }

  @Test func howMuchIsFreeMustBeKnownAndWorthIt() {
    let scene = Scene()
    scene.add("unknown", mebibytes: nil, idle: 5_000, kind: .heap)
    scene.add("small", mebibytes: 0, idle: 5_000, kind: .heap)
    scene.add("asked", mebibytes: 90, idle: 5_000, busy: "trimmed-a-moment-ago", kind: .heap)
    scene.use(0.95)
    #expect(scene.go().isEmpty)
    #expect(scene.obstacle("unknown") == .bytesUnknown)
    #expect(scene.obstacle("small") == .savingsTooSmall(minimum: .mebibytes(1)))
    #expect(scene.obstacle("asked") == .busy("trimmed-a-moment-ago"))
  }

  @Test func whatItsUserDeniesStays() {
    let scene = Scene()
    scene.add("server", mebibytes: 90, idle: 5_000, kind: .heap)
    scene.policy.settings.preferences["server"] = UnitPreference(allowUnload: false)
    scene.use(0.95)
    #expect(scene.obstacle("server") == .userPreference)
  }

  @Test func thatAProcessRunsSaysNothingAboutOtherUnits() {
    // A program that is active every other minute, beside the same package with and without it.
    func probability(beside heap: Bool) -> Double? {
      let scene = Scene()
      scene.add("package", idle: 30)
      if heap { scene.add("server", mebibytes: 30, idle: 0, kind: .heap) }
      for _ in 0..<40 {
        scene.now += 60
        for index in scene.units.indices where scene.units[index].unit.kind == .heap {
          scene.units[index].lastUsed = scene.instant
        }
        _ = scene.go()
      }
      return scene.review().judgements.first { $0.unit.name == "package" }?.figures.reuseProbability
    }
    #expect(probability(beside: true) == probability(beside: false))
  }

  @Test func aHeapThatIsThereAgainIsRegrettedByItsShare() {
    let scene = Scene()
    scene.add("server", mebibytes: 100, idle: 5_000, kind: .heap)
    _ = scene.go()
    scene.policy.record(
      UnloadOutcome(unit: scene.units[0].unit, result: .freed(.mebibytes(100)), seconds: 0.1), at: scene.instant)
    scene.now += 10
    // The process runs, and wants half of it back.
    scene.units[0].lastUsed = scene.instant
    scene.units[0].refaulted = .mebibytes(50)
    #expect(scene.review().judgements[0].figures.regret == 1.5)
  }

  @Test func theMetricsOfAPackageAreNotThoseOfAHeapOfItsName() {
    let scene = Scene()
    scene.add("server", mebibytes: 30, idle: 10)
    scene.add("server", mebibytes: 90, idle: 0, kind: .heap)
    let metrics = RuleMetrics(scene.snapshot, at: scene.instant)
    #expect(metrics[.package("server", .loaded)] == 1)
    #expect(metrics[.package("server", .bytes)] == Double(Bytes.mebibytes(30).count))
    #expect(metrics[.package("server", .idle)] == 10)
  }
}
