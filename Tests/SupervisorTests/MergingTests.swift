import Model
import Testing

@testable import Supervisor

@Suite struct MergingTests {
  let pages = FakePages()
  let history = FakeHistory()
  let meter = FakeMeter()
  let stage: Stage

  init() {
    stage = Stage(meter: meter, history: history, pages: pages)
    meter.set(0.5)
  }

  private static let large = AddressRange(start: 0x100_0000, end: 0x300_0000)
  private static let larger = AddressRange(start: 0x800_0000, end: 0xC00_0000)

  private func add(_ pid: Int32, session: UInt64, name: String = "worker") -> FakeAgent {
    stage.proc.add(pid, name: name)
    func block(_ range: AddressRange, label: String = "", _ permissions: Mapping.Permissions = [.read, .write]) -> Mapping {
      let size = range.end - range.start
      var mapping = mapping(
        range.start, size, .anonymous(label: label), resident: size, anonymous: size, referenced: size, permissions)
      mapping.usage.proportional = Bytes(size)
      return mapping
    }
    stage.proc.state.withLock {
      $0.mappings[pid] = [
        block(Self.large), block(Self.larger), block(AddressRange(start: 0xD00_0000, end: 0xD01_0000)),
        block(AddressRange(start: 0xE00_0000, end: 0xF00_0000), label: "stack"),
        block(AddressRange(start: 0x1000_0000, end: 0x1100_0000), [.read, .write, .shared]),
      ]
    }
    let agent = FakeAgent(stage, pid: pid, session: session)
    _ = stage.attach(pid, session: session, commands: agent)
    return agent
  }

  private func fire(dryRun: Bool = false) async {
    var settings = UnloadingSettings()
    settings.isDryRun = dryRun
    let condition = RuleCondition.comparison(RuleComparison(.machine(.memoryLevel), .above, 0.1))
    await stage.supervisor.reload(
      observeInterval: 60, processLimit: 100, unloading: settings,
      rules: [Rule(name: "share", condition: condition, actions: [.merge("worker")])])
    stage.clock.advance(seconds: 1)
    await stage.supervisor.tick()
  }

  /// The kernel finds half of what was marked of a process in another one.
  private func merge(halfOf pid: Int32) {
    pages.state.withLock { $0.merged[pid] = .mebibytes(48) }
    stage.proc.state.withLock { state in
      for index in state.mappings[pid]!.indices.prefix(2) {
        state.mappings[pid]![index].usage.proportional = Bytes(state.mappings[pid]![index].usage.resident.count / 2)
      }
    }
  }

  @Test func aRuleHasLargePrivateMemoryOfItsProgramsMergedTheLargestFirst() async {
    let agents = [add(10, session: 1), add(11, session: 2), add(12, session: 3, name: "other")]
    for (pid, agent) in [(Int32(10), agents[0]), (11, agents[1])] {
      pages.state.withLock { $0.merged[pid] = .zero }
      agent.state.withLock { state in
        state.answer = { [self] command in
          if command == .merge(Self.large, begins: true) { merge(halfOf: pid) }
          return .done(1)
        }
      }
    }
    await fire()
    let outcomes = await history.outcomes(2)
    #expect(agents[0].asked == [.merge(Self.larger, begins: true), .merge(Self.large, begins: true)])
    #expect(agents[1].asked == agents[0].asked && agents[2].asked.isEmpty)
    // 96 MiB of each are kept once for two: its part is 48.
    #expect(outcomes.map(\.freed) == [.mebibytes(48), .mebibytes(48)])
    #expect(outcomes.map(\.obstacle) == [nil, nil])
    #expect(history.decisions.map(\.reason) == ["rule", "rule"])
    #expect(await stage.supervisor.processes().processes.map(\.givenBack.bytes) == [.mebibytes(48), .mebibytes(48), .zero])
  }

  @Test func whatTheKernelHasNotFoundYetIsNotCalledGivenBack() async {
    pages.state.withLock { $0.merged[10] = .zero }
    let agent = add(10, session: 1)
    await fire()
    let outcome = await history.outcomes(1)[0]
    #expect(agent.asked.count == 2)
    #expect(outcome.obstacle == "not-equal-yet" && outcome.freed == nil)
  }

  @Test(arguments: ["ksm-off", "no-ksm"]) func whereTheKernelMergesNothingNothingIsMarked(word: String) async {
    pages.state.withLock { $0.mergingObstacle = word }
    let agent = add(10, session: 1)
    await fire()
    #expect(await history.outcomes(1)[0].obstacle == "unavailable:\(word)")
    #expect(agent.asked.isEmpty)
  }

  @Test func aPersonsOrderDoesNotMerge() async throws {
    let agent = add(10, session: 1)
    let request = ReclaimRequest(target: .process(10), rungs: [.equalPages], isForced: true, requester: Requester("user 0"))
    #expect(try await stage.supervisor.reclaim(request).reports[0].obstacle == "not-asked-for")
    #expect(agent.asked.isEmpty)
  }

  @Test func aDryRunMarksNothing() async {
    let agent = add(10, session: 1)
    await fire(dryRun: true)
    _ = await stage.supervisor.status()
    #expect(agent.asked.isEmpty && history.decisions.isEmpty)
  }

  @Test func anAgentThatRefusesIsToldApart() async {
    let agent = add(10, session: 1)
    agent.state.withLock { $0.answer = { _ in .failed(8) } }
    await fire()
    #expect(await history.outcomes(1)[0].obstacle == "seccomp")
  }
}
