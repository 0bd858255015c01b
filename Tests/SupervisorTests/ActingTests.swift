import Model
import Testing

@testable import Supervisor

@Suite struct ActingTests {
  let meter = FakeMeter()
  let history = FakeHistory()
  let pages = FakePages()

  private func stage(_ settings: UnloadingSettings = UnloadingSettings()) -> (Stage, FakeAgent) {
    let stage = Stage(meter: meter, history: history, unloading: settings, pages: pages)
    stage.proc.add(10)
    var code = mapping(0x10_0000, 8 << 20, .file(file("/lib/big/libbig.so", inode: 5)), resident: 8 << 20, [.read, .execute])
    code.usage.privateClean = .mebibytes(8)
    stage.proc.state.withLock { $0.mappings[10] = [code] }
    let agent = FakeAgent(stage, pid: 10, session: 1)
    _ = stage.attach(10, session: 1, commands: agent)
    return (stage, agent)
  }

  private func run(_ stage: Stage, looks: Int) async {
    for _ in 0..<looks {
      stage.clock.advance(seconds: 60)
      await stage.supervisor.tick()
    }
  }

  @Test func anIdlePackageGoesAndWhatCameBackIsMeasuredAndRecorded() async {
    let (stage, agent) = stage()
    await run(stage, looks: 20)
    let outcomes = await history.outcomes(1)
    #expect(agent.drops == 1)
    #expect(outcomes[0].result == .freed && outcomes[0].freed == .mebibytes(8))
    #expect(outcomes[0].text == "Usage pattern unloading (balanced)")
    #expect(pages.state.withLock { $0.dropped }.isEmpty, "idle and memory free: the kernel's copies may stay")
    await run(stage, looks: 5)
    #expect(agent.drops == 1, "nothing of it is left to go")
  }

  @Test func forWantOfMemoryTheKernelsCopiesGoToo() async {
    let (stage, _) = stage()
    await run(stage, looks: 2)
    meter.set(0.9, stalled: 0)
    await run(stage, looks: 1)
    _ = await history.outcomes(1)
    #expect(pages.state.withLock { $0.dropped } == ["/lib/big/libbig.so"])
  }

  @Test func aDryRunOnlySays() async {
    var settings = UnloadingSettings()
    settings.isDryRun = true
    let (stage, agent) = stage(settings)
    await run(stage, looks: 30)
    #expect(agent.asked.isEmpty)
    #expect(history.state.withLock { $0.decisions.first?.outcome?.result } == .dryRun)
  }

  @Test func pagesThatComeBackSoonAreRegretted() async {
    let (stage, agent) = stage()
    await run(stage, looks: 20)
    _ = await history.outcomes(1)
    stage.proc.state.withLock { state in
      state.mappings[10]![0].usage.resident = .mebibytes(8)
      state.mappings[10]![0].usage.privateClean = .mebibytes(8)
      state.mappings[10]![0].usage.referenced = .mebibytes(8)
      state.facts[10]!.processorTicks += 1
    }
    await run(stage, looks: 1)
    let figures = await stage.supervisor.plan(name: "big").rows[0].judgement.figures
    #expect(figures.regret > 1.5, "regret \(figures.regret)")
    #expect(agent.drops == 1)
  }
}
