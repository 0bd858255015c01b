import Model
import Testing

@testable import Supervisor

@Suite struct ModuleCacheTests {
  let stage = Stage()

  private func attach(_ pid: Int32 = 10, session: UInt64 = 1, limit: Int?, environment: String? = nil) -> FakeAgent {
    stage.proc.add(pid)
    if let environment { stage.proc.state.withLock { $0.variables[pid] = ["MLOS_MODULE_CACHE": environment] } }
    let segment = FakeSegment()
    segment.state.withLock { $0.cacheLimit = limit }
    let agent = FakeAgent(stage, pid: pid, session: session)
    // As a real one does: what it was told is in its segment.
    agent.state.withLock { state in
      state.answer = { command in
        guard case .cacheLimit(let limit) = command else { return .done(0) }
        return segment.state.withLock { state in
          defer { state.cacheLimit = limit }
          return .done(Int64(state.cacheLimit ?? 0))
        }
      }
    }
    #expect(stage.attach(pid, session: session, segment: segment, commands: agent) == nil)
    return agent
  }

  private func set(_ limit: Int) async {
    var settings = UnloadingSettings()
    settings.moduleCacheLimit = limit
    await stage.supervisor.reload(observeInterval: 60, processLimit: 100, unloading: settings)
  }

  @Test func anAgentThatHasTheLimitIsNotWokenForIt() async {
    let agent = attach(limit: 100)
    await set(100)
    #expect(agent.asked.isEmpty)
  }

  @Test func aChangeReachesEveryAgentOnceAndAtOnce() async {
    let agents = [attach(limit: 100), attach(11, session: 2, limit: 7)]
    #expect(agents.map(\.asked) == [[], [.cacheLimit(100)]], "when it connects")
    await set(1)
    #expect(agents.map(\.asked) == [[.cacheLimit(1)], [.cacheLimit(100), .cacheLimit(1)]])
    await set(1)
    #expect(agents.map(\.asked.count) == [1, 2], "not again")
  }

  @Test func noAgentIsToldMoreThanItCanKeep() async {
    let agent = attach(limit: 128)
    #expect(agent.asked == [.cacheLimit(100)], "of the default, when it connected")
    await set(100_000)
    #expect(agent.asked == [.cacheLimit(100), .cacheLimit(128)])
  }

  @Test func anotherConnectionIsToldAnew() async {
    let segment = FakeSegment()
    segment.state.withLock { $0.cacheLimit = 128 }
    stage.proc.add(10)
    for session in 1...2 as ClosedRange<UInt64> {
      let agent = FakeAgent(stage, pid: 10, session: session)
      _ = stage.attach(10, session: session, segment: segment, commands: agent)
      #expect(agent.asked == [.cacheLimit(100)])
    }
  }

  @Test(arguments: [("0", 0), ("5", 5), ("", 0), ("999999999999999999999", 100), ("12x", 12), ("-3", 0)])
  func whatAProgramWasStartedWithIsTheMostItKeeps(text: String, limit: Int) async {
    // The supervisor before had set it to another value: the segment does not tell what the program began with.
    let agent = attach(limit: 77, environment: text)
    #expect(agent.asked == [.cacheLimit(limit)])
  }

  @Test func whereTheBeginIsNotKnownTheLimitIsOnlyLowered() async {
    stage.proc.state.withLock { $0.hidesVariables = true }
    let agent = attach(limit: 3)
    #expect(agent.asked.isEmpty)
    await set(2)
    #expect(agent.asked == [.cacheLimit(2)])
  }

  @Test func whatIsOnItsWayCountsBeforeWhatTheSegmentShows() async {
    let agent = attach(limit: 128)
    // It computes, or has no thread: it has taken nothing yet.
    agent.state.withLock { $0.answer = { _ in nil } }
    await set(128)
    #expect(agent.asked == [.cacheLimit(100), .cacheLimit(128)], "or 100 would stay")
  }

  @Test func anAgentThatKeepsNothingIsNotAsked() async {
    let agent = attach(limit: nil)
    await set(1)
    #expect(agent.asked.isEmpty)
  }
}
