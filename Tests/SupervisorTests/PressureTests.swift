import Model
import Synchronization
import Testing

@testable import Supervisor

/// Records what it is asked for.
final class FakeWatcher: PressureWatching {
  let asked = Mutex<[UInt64]>([])
  func lookAgain(after nanoseconds: UInt64) { asked.withLock { $0.append(nanoseconds) } }
  func report() -> PressureWatchReport {
    PressureWatchReport(
      triggers: [PressureTriggerReport(source: "machine", path: "/p", state: .armed, trigger: .quick)], limits: nil)
  }
}

final class FakeBell: PressureTelling {
  let rings = Mutex(0)
  func ring() { rings.withLock { $0 += 1 } }
  func report() -> PressureBellReport {
    PressureBellReport(path: "/b", clients: 0, refused: 0, rings: UInt64(rings.withLock { $0 }))
  }
}

@Suite struct PressureTests {
  let meter = FakeMeter()
  let history = FakeHistory()
  let watcher = FakeWatcher()
  let bell = FakeBell()
  let stage: Stage

  init() async {
    stage = Stage(meter: meter, history: history)
    meter.set(0.5, stalled: 0)
    await stage.supervisor.use(watcher: watcher, bell: bell)
    await stage.supervisor.tick()
  }

  private var asked: [UInt64] { watcher.asked.withLock { $0 } }
  private var rings: Int { bell.rings.withLock { $0 } }
  private func event(stall: Double? = 0.1) {
    stage.supervisor.pressureChanged(PressureEvent(source: "machine", at: stage.clock.now.monotonic, stall: stall))
  }
  /// What the queue had to do before is done when this is answered.
  private var status: PressureSnapshot { get async { await stage.supervisor.status().pressure } }
  private func values(_ name: String) -> [Double] {
    history.state.withLock { $0.samples.filter { $0.name == name }.map(\.value) }
  }

  @Test func aCalmMachineIsNotLookedAtBetweenRegularLooks() async {
    for _ in 0..<600 {
      stage.clock.advance(seconds: 1)
      await stage.supervisor.tick()
    }
    #expect(asked.isEmpty && rings == 0)
    #expect(values("memory.level").count == 11)
    let status = await status
    #expect(status.events == 0 && status.decisions == 0 && status.lastMilliseconds == nil && !status.isPressed)
  }

  @Test func anEventIsDecidedAtOnceWithLevelAndStallTogether() async {
    stage.clock.advance(seconds: 5)
    meter.set(0.75, stalled: 0)
    // The sums alone would spread the stall over the five seconds since the last look.
    event()
    let status = await status
    #expect(status.isPressed && status.events == 1 && status.decisions == 1)
    #expect(asked == [250_000_000] && rings == 1)
  }

  @Test func aStallAtALowLevelIsNoPressure() async {
    stage.clock.advance(seconds: 5)
    event()
    let status = await status
    #expect(!status.isPressed && status.decisions == 1)
    #expect(asked.isEmpty && rings == 0)
  }

  @Test func aLevelWithoutAStallIsNoPressureYet() async {
    stage.clock.advance(seconds: 5)
    meter.set(0.75, stalled: 0)
    // The group met a limit, which is no stall.
    event(stall: nil)
    let status = await status
    #expect(!status.isPressed && status.decisions == 1 && asked.isEmpty)
  }

  @Test func eventsDuringAnActionAreRememberedAndAreOneDecision() async {
    meter.set(0.9, stalled: 0)
    stage.supervisor.synchronously { _ in for _ in 0..<50 { event() } }
    let status = await status
    #expect(status.events == 50 && status.decisions == 1)
  }

  @Test func thereAreTenDecisionsASecondAtMost() async {
    meter.set(0.5, stalled: 0)
    event()
    #expect(await status.decisions == 1)
    stage.clock.advance(seconds: 0.03)
    event()
    #expect(await status.decisions == 1)
    #expect(asked == [70_000_000])
    stage.clock.advance(seconds: 0.07)
    stage.supervisor.lookForPressure()
    let status = await status
    #expect(status.decisions == 2 && status.events == 2)
    #expect(abs((status.lastMilliseconds ?? 0) - 70) < 0.001)
    // Recorded is one in ten seconds.
    #expect(values("pressure.decision_milliseconds") == [0])
    stage.clock.advance(seconds: 10)
    event()
    #expect(await self.status.decisions == 3)
    #expect(values("pressure.decision_milliseconds").count == 2)
  }

  @Test func whileMemoryIsShortLooksComeSoonUntilItIsNot() async {
    meter.set(0.9, stalled: 0)
    event()
    _ = await status
    for share in [0.85, 0.8, 0.75, 0.7] {
      stage.clock.advance(seconds: 0.25)
      meter.set(share, stalled: 0)
      stage.supervisor.lookForPressure()
      _ = await status
    }
    #expect(asked == [250_000_000, 250_000_000, 250_000_000, 250_000_000])
    #expect(await !status.isPressed)
    // Five looks in a second: programs are told once a second.
    #expect(rings == 1)
    #expect(values("memory.level").count == 1)
  }

  @Test func looksThatFindNothingBetterBecomeRarerUntilTheNextEvent() async {
    meter.set(0.9, stalled: 0)
    event()
    _ = await status
    for _ in 0..<5 {
      stage.clock.advance(seconds: 2)
      stage.supervisor.lookForPressure()
      _ = await status
    }
    #expect(asked.map { $0 / 1_000_000 } == [250, 500, 1000, 2000, 2000, 2000])
    #expect(rings == 6)
    stage.clock.advance(seconds: 1)
    event()
    _ = await status
    #expect(asked.last == 250_000_000)
  }

  @Test func theSumsSinceTheLastLookAreTheFeedback() async {
    meter.set(0.9, stalled: 0)
    event()
    _ = await status
    stage.clock.advance(seconds: 0.25)
    meter.set(0.9, stalled: 125_000)
    #expect(await stage.supervisor.plan(name: nil).memory?.stall == 0.5)
  }

  @Test func anAlarmThatCameTooEarlyLooksAtNothing() async {
    stage.clock.advance(seconds: 5)
    meter.set(0.9, stalled: 0)
    stage.supervisor.lookForPressure()
    #expect(await !status.isPressed)
  }

  @Test func switchedOffEventsAreCountedAndNothingElse() async {
    var settings = UnloadingSettings()
    settings.enableMemoryPressureUnloading = false
    await stage.supervisor.reload(observeInterval: 60, processLimit: 100, unloading: settings)
    meter.set(0.95, stalled: 0)
    event()
    let status = await status
    #expect(status.events == 1 && status.decisions == 0 && !status.isPressed && asked.isEmpty && rings == 0)
  }
}
