import Model
import Testing

@testable import Supervisor

@Suite struct ReclaimTests {
  let pages = FakePages()
  let history = FakeHistory()
  let stage: Stage

  init() {
    stage = Stage(history: history, pages: pages)
  }

  /// A process that maps code of `big`, its data, and a file of weights, and computes nothing.
  private func add(_ pid: Int32, session: UInt64, isIdle: Bool = true) async -> FakeAgent {
    stage.proc.add(pid)
    var code = mapping(0x10_0000, 8 << 20, .file(file("/lib/big/libbig.so", inode: 5)), resident: 8 << 20, [.read, .execute])
    code.usage.privateClean = .mebibytes(8)
    var data = mapping(0x90_0000, 1 << 20, .file(file("/lib/big/libbig.so", inode: 5)), resident: 1 << 20, [.read, .write])
    data.usage.privateDirty = .mebibytes(1)
    var constants = mapping(0xA0_0000, 2 << 20, .file(file("/lib/big/libbig.so", inode: 5)), resident: 2 << 20, [.read])
    constants.usage.anonymous = .mebibytes(1)
    constants.usage.privateDirty = .mebibytes(1)
    let weights = mapping(0x200_0000, 4 << 20, .file(file("/srv/w", inode: 9)), resident: 4 << 20, [.read, .shared])
    let heap = mapping(0x400_0000, 3 << 20, .anonymous(label: "heap"), resident: 3 << 20, [.read, .write])
    stage.proc.state.withLock { $0.mappings[pid] = [code, data, constants, weights, heap] }
    let agent = FakeAgent(stage, pid: pid, session: session)
    _ = stage.attach(pid, session: session, commands: agent)
    // Two scans, so that use has been observed and the process has computed nothing since.
    for _ in 0..<2 {
      stage.clock.advance(seconds: 60)
      await stage.supervisor.tick()
    }
    if !isIdle { stage.proc.state.withLock { $0.facts[pid]?.processorTicks += 1 } }
    return agent
  }

  private func request(
    _ target: ReclaimRequest.Target, _ rungs: Set<ReclaimRung>? = nil, wanted: Bytes? = nil, force: Bool = false,
    dryRun: Bool = false
  ) -> ReclaimRequest {
    ReclaimRequest(
      target: target, rungs: rungs ?? ReclaimRequest.standardRungs(of: target), wanted: wanted, isForced: force, isDryRun: dryRun,
      requester: Requester("user 0", uid: 0, pid: 1))
  }

  @Test func onlyCleanCodeIsAskedForAndTheFilesCopyGoesAfterwards() async throws {
    let agent = await add(10, session: 1)
    let report = try await stage.supervisor.reclaim(request(.package("big", pids: nil), [.modulePages])).reports[0]
    #expect(agent.asked == [.drop(AddressRange(start: 0x10_0000, end: 0x90_0000), nil)])
    #expect(report.freedOfUnit == .mebibytes(8) && report.predicted == .mebibytes(8) && report.obstacle == nil)
    #expect(report.packageBefore?.resident == .mebibytes(11) && report.packageAfter?.resident == .mebibytes(3))
    #expect(report.rungs[0].agentSeconds == 0.002)
    pages.state.withLock {
      #expect($0.dropped == ["/lib/big/libbig.so"])
      #expect($0.pagedOut.isEmpty, "the agent did it")
    }
  }

  @Test func filesThatAreNoCodeGoFromOutside() async throws {
    _ = await add(10, session: 1)
    _ = try await stage.supervisor.reclaim(request(.process(10), [.modulePages]))
    pages.state.withLock {
      #expect($0.pagedOut.map(\.ranges) == [[AddressRange(start: 0x200_0000, end: 0x240_0000)]])
      #expect($0.dropped.sorted() == ["/lib/big/libbig.so", "/srv/w"])
    }
  }

  @Test("what the agent touches while it gives back is no use of the program's") func ownUseIsNone() async throws {
    stage.proc.state.withLock { $0.clearsReferenced = true }
    let agent = await add(10, session: 1)
    let (proc, stageClock) = (stage.proc, stage.clock)
    agent.state.withLock {
      $0.answer = { _ in
        // The headers of what it drops, and its own time.
        proc.setReferenced(10, Bytes(4096))
        proc.state.withLock { $0.facts[10]?.processorTicks += 1 }
        return .done(0)
      }
    }
    let before = await stage.supervisor.plan(name: "big").rows.first?.lastUsedAt
    _ = try await stage.supervisor.reclaim(request(.package("big", pids: nil), [.modulePages]))
    for _ in 0..<3 {
      stageClock.advance(seconds: 60)
      await stage.supervisor.tick()
    }
    #expect(await stage.supervisor.plan(name: "big").rows.first?.lastUsedAt == before)
    // What the program touches afterwards is one.
    proc.setReferenced(10, Bytes(4096))
    proc.state.withLock { $0.facts[10]?.processorTicks += 1 }
    stageClock.advance(seconds: 60)
    await stage.supervisor.tick()
    #expect(await stage.supervisor.plan(name: "big").rows.first?.lastUsedAt == stageClock.now.wall)
  }

  @Test("what the program used until it was asked is not forgotten") func useBeforeCounts() async throws {
    stage.proc.state.withLock { $0.clearsReferenced = true }
    _ = await add(10, session: 1, isIdle: false)
    stage.proc.setReferenced(10, .mebibytes(1))
    let asked = stage.clock.now.wall
    _ = try await stage.supervisor.reclaim(request(.process(10), [.trim]))
    #expect(await stage.supervisor.plan(name: "big").rows.first?.lastUsedAt == asked)
  }

  @Test func everyProcessLetsGoBeforeTheFilesCopyDoes() async throws {
    let agents = [await add(10, session: 1), await add(11, session: 2)]
    let snapshot = try await stage.supervisor.reclaim(request(.package("big", pids: nil), [.modulePages]))
    #expect(agents.map { $0.asked.count } == [1, 1])
    #expect(snapshot.reports.map(\.freedOfUnit) == [.mebibytes(8), .mebibytes(8)])
    #expect(pages.state.withLock { $0.dropped } == ["/lib/big/libbig.so"], "once")
  }

  @Test func whatIsInUseStaysUnlessForced() async throws {
    let agent = await add(10, session: 1, isIdle: false)
    stage.proc.setReferenced(10, .mebibytes(1))
    let kept = try await stage.supervisor.reclaim(request(.package("big", pids: nil), [.modulePages])).reports[0]
    #expect(agent.asked.isEmpty)
    #expect(kept.obstacle == "in-use")
    #expect(kept.remainders == [ReclaimRemainder(name: "/lib/big/libbig.so", reason: "in-use", bytes: .mebibytes(8))])
    let forced = try await stage.supervisor.reclaim(request(.package("big", pids: nil), [.modulePages], force: true)).reports[0]
    #expect(forced.freedOfUnit == .mebibytes(8))
  }

  @Test func aDryRunSaysWhatWouldGoAndTouchesNothing() async throws {
    let agent = await add(10, session: 1)
    let snapshot = try await stage.supervisor.reclaim(request(.package("big", pids: nil), dryRun: true))
    #expect(snapshot.isDryRun && snapshot.reports[0].predicted == .mebibytes(8))
    #expect(agent.asked.isEmpty)
    #expect(history.decisions.isEmpty)
  }

  @Test func theLadderStopsWhenEnoughCameBack() async throws {
    let agent = await add(10, session: 1)
    agent.state.withLock { state in
      state.answer = { [stage] command in
        if command == .trim {
          stage.proc.drop(AddressRange(start: 0x400_0000, end: 0x430_0000), of: 10)
        }
        return .done(1)
      }
    }
    let enough = try await stage.supervisor.reclaim(request(.process(10), [.trim, .modulePages], wanted: .mebibytes(3)))
    #expect(agent.asked == [.trim])
    #expect(enough.reports[0].freed == .mebibytes(3))
  }

  @Test func aProcessShowsWhatItIsAtAndWhatCameBackOfIt() async throws {
    let agent = await add(10, session: 1)
    func row() async throws -> ProcessSnapshot { try #require(await stage.supervisor.processes().processes.first) }
    #expect(try await row().activity == nil, "never seen to do anything")
    stage.proc.state.withLock { $0.facts[10]?.processorTicks += 1 }
    #expect(try await row().activity == .active)
    stage.clock.advance(seconds: 5)
    #expect(try await row().activity == .idle)
    let (asked, continuation) = AsyncStream<Void>.makeStream()
    agent.state.withLock { state in
      state.answer = { _ in
        continuation.yield()
        return nil
      }
    }
    async let snapshot = stage.supervisor.reclaim(request(.process(10), [.trim]))
    for await _ in asked { break }
    #expect(try await row().activity == .reclaiming(.trim))
    stage.proc.drop(AddressRange(start: 0x400_0000, end: 0x430_0000), of: 10)
    stage.supervisor.answered(SessionID(1), request: agent.state.withLock { $0.request }, .done(1), seconds: 0.002)
    #expect(try await snapshot.reports[0].freed == .mebibytes(3))
    let after = try await row()
    #expect(after.activity == .idle)
    #expect(after.givenBack == GivenBack(bytes: .mebibytes(3), lastAt: stage.clock.now.wall))
    // A trial run gives nothing back.
    _ = try await stage.supervisor.reclaim(request(.process(10), dryRun: true))
    #expect(try await row().givenBack == after.givenBack)
    stage.proc.state.withLock { $0.facts[10]?.state = "T" }
    #expect(try await row().activity == .stopped)
  }

  @Test func theProcesssOwnGroupIsAskedForWhatIsStillWanted() async throws {
    _ = await add(10, session: 1)
    pages.state.withLock { $0.groupAnswers = [.taken(.mebibytes(60), hasMore: true), .taken(.mebibytes(30), hasMore: true)] }
    let report = try await stage.supervisor.reclaim(request(.process(10), [.trim, .controlGroup], wanted: .mebibytes(80)))
      .reports[0]
    pages.state.withLock {
      #expect($0.groupAsked.map(\.bytes) == [.mebibytes(64), .mebibytes(20)], "64 MiB at once")
      #expect($0.groupAsked.allSatisfy { $0.pid == 10 && $0.meant == [10] })
    }
    #expect(report.rungs.last?.rung == .controlGroup && report.rungs.last?.count == Bytes.mebibytes(90).count)
  }

  @Test func aGroupThatGivesNothingIsLetBe() async throws {
    _ = await add(10, session: 1)
    pages.state.withLock { $0.groupAnswers = [.taken(.zero, hasMore: true)] }
    let ask = request(.process(10), [.controlGroup], wanted: .mebibytes(80))
    _ = try await stage.supervisor.reclaim(ask)
    #expect(pages.state.withLock { $0.groupAsked.count } == 2)
    pages.state.withLock { $0.groupAnswers = [.taken(.mebibytes(1), hasMore: false)] }
    _ = try await stage.supervisor.reclaim(ask)
    #expect(pages.state.withLock { $0.groupAsked.count } == 3, "the kernel found no more")
  }

  @Test func whyAGroupCannotBeAskedIsToldAndHidesNoOtherReason() async throws {
    _ = await add(10, session: 1)
    let ask = request(.process(10), [.controlGroup], wanted: .mebibytes(1))
    #expect(try await stage.supervisor.reclaim(ask).reports[0].obstacle == "unavailable:no-cgroup-v2")
    pages.state.withLock { $0.groupAnswers = [.unavailable("kernel:errno-5")] }
    #expect(try await stage.supervisor.reclaim(ask).reports[0].obstacle == "kernel:errno-5")
    pages.state.withLock { $0.groupAnswers = [.unavailable("group-shared-with-3")] }
    let both = request(.process(10), [.controlGroup, .heapPages], wanted: .mebibytes(1))
    #expect(try await stage.supervisor.reclaim(both).reports[0].obstacle == "no-swap")
    #expect(
      try await stage.supervisor.reclaim(request(.process(10), [.controlGroup])).reports[0].obstacle == "unavailable:no-amount")
    let package = request(.package("big", pids: nil), [.controlGroup], wanted: .mebibytes(1))
    #expect(try await stage.supervisor.reclaim(package).reports[0].obstacle == "not-of-a-package")
    #expect(pages.state.withLock { $0.groupAsked.count } == 3)
  }

  @Test func anAmountThatIsWantedMakesTheKernelsChoiceARung() {
    #expect(!ReclaimRequest.standardRungs(of: .process(1)).contains(.controlGroup))
    #expect(ReclaimRequest.standardRungs(of: .process(1), wanted: .mebibytes(1)).contains(.controlGroup))
    #expect(!ReclaimRequest.standardRungs(of: .package("big", pids: nil), wanted: .mebibytes(1)).contains(.controlGroup))
  }

  @Test func aProgramThatMarksItselfBusySaysSo() async throws {
    stage.proc.add(12)
    let segment = FakeSegment()
    segment.state.withLock { $0.busyRegions = 2 }
    _ = stage.attach(12, session: 3, segment: segment)
    #expect(await stage.supervisor.processes().processes.first?.activity == .busy(regions: 2))
  }

  @Test(arguments: [
    (CommandOutcome.failed(2 | 1500 << 32), "too-soon:1500ms"), (.failed(8), "seccomp"), (.unsupported, "agent-too-old"),
    (.failed(25 | 812 << 32), "thread-inside:812"), (.failed(99), "agent-code-99"),
  ])
  func whatTheAgentRefusesIsToldInAWord(outcome: CommandOutcome, word: String) async throws {
    let agent = await add(10, session: 1)
    agent.state.withLock { $0.answer = { _ in outcome } }
    let report = try await stage.supervisor.reclaim(request(.process(10), [.trim])).reports[0]
    #expect(report.rungs[0].refusal == word)
    #expect(report.obstacle == word)
  }

  @Test func aProcessThatEndsMeanwhileEndsTheWait() async throws {
    let agent = await add(10, session: 1)
    agent.state.withLock { state in
      state.answer = { [stage] _ in
        // As its socket's thread tells, a moment after the question.
        Task.detached { stage.supervisor.agentDetached(SessionID(1), hasExited: true) }
        return nil
      }
    }
    stage.proc.state.withLock { _ = $0.cleared }
    let report = try await stage.supervisor.reclaim(request(.process(10), [.trim])).reports[0]
    #expect(report.rungs[0].refusal == "connection-ended")
  }

  @Test func anAgentThatCannotBeReachedIsNoWait() async throws {
    let agent = await add(10, session: 1)
    agent.state.withLock { $0.isReachable = false }
    let report = try await stage.supervisor.reclaim(request(.process(10), [.trim])).reports[0]
    #expect(report.rungs[0].refusal == "not-answered")
  }

  @Test func aStoppedProcessIsNotAsked() async throws {
    let agent = await add(10, session: 1)
    stage.proc.state.withLock { $0.facts[10]?.state = "T" }
    let report = try await stage.supervisor.reclaim(request(.process(10), [.trim])).reports[0]
    #expect(report.rungs[0].refusal == "stopped" && agent.asked.isEmpty)
  }

  @Test func withoutAnAgentPagesGoFromOutsideAndTheRestIsRefused() async throws {
    _ = await add(10, session: 1)
    stage.proc.add(12)
    stage.proc.state.withLock { $0.mappings[12] = $0.mappings[10] }
    _ = try await stage.supervisor.adopt(12)
    let report = try await stage.supervisor.reclaim(request(.process(12), [.trim, .modulePages])).reports[0]
    #expect(report.rungs.map(\.refusal) == ["no-agent", nil])
    #expect(pages.state.withLock { $0.pagedOut.map(\.pid) } == [12])
  }

  @Test func withoutARightTheRefusalIsNamed() async throws {
    _ = await add(10, session: 1)
    stage.proc.add(12)
    stage.proc.state.withLock { $0.mappings[12] = $0.mappings[10] }
    _ = try await stage.supervisor.adopt(12)
    pages.state.withLock { $0.failure = .notPermitted("ptrace") }
    let report = try await stage.supervisor.reclaim(request(.process(12), [.modulePages])).reports[0]
    #expect(report.obstacle == "not-permitted")
  }

  @Test func heapPagesNeedASwap() async throws {
    _ = await add(10, session: 1)
    let none = try await stage.supervisor.reclaim(request(.process(10), [.heapPages])).reports[0]
    #expect(none.obstacle == "no-swap")
    pages.state.withLock { $0.swap = .mebibytes(100) }
    _ = try await stage.supervisor.reclaim(request(.process(10), [.heapPages]))
    #expect(pages.state.withLock { $0.pagedOut.map(\.ranges) } == [[AddressRange(start: 0x400_0000, end: 0x430_0000)]])
  }

  @Test func filesThatMayBeGoneStay() async throws {
    let agent = await add(10, session: 1)
    pages.state.withLock { $0.obstacles["/lib/big/libbig.so"] = "remote-file-system" }
    let report = try await stage.supervisor.reclaim(request(.package("big", pids: nil), [.modulePages])).reports[0]
    #expect(agent.asked.isEmpty && report.obstacle == "remote-file-system")
  }

  @Test func aUsersWordForbids() async throws {
    _ = await add(10, session: 1)
    for preference in [UnitPreference(allowUnload: false), UnitPreference(unitClass: .critical)] {
      var settings = UnloadingSettings()
      settings.preferences["big"] = preference
      await stage.supervisor.reload(observeInterval: 60, processLimit: 100, unloading: settings)
      await #expect(throws: CommandError.self) {
        try await stage.supervisor.reclaim(request(.package("big", pids: nil)))
      }
      #expect(try await stage.supervisor.reclaim(request(.package("big", pids: nil), force: true)).reports.count == 1)
    }
  }

  @Test func unknownNamesAndProcessesAreErrors() async throws {
    _ = await add(10, session: 1)
    await #expect(throws: CommandError.noSuchUnit("bug", nearest: "big")) {
      try await stage.supervisor.reclaim(request(.package("bug", pids: nil)))
    }
    await #expect(throws: CommandError.notWatched(pid: 77, watched: [10])) {
      try await stage.supervisor.reclaim(request(.process(77)))
    }
  }

  @Test func twoAtATimeInOneProcessAreRefused() async throws {
    let agent = await add(10, session: 1)
    let (asked, told) = AsyncStream.makeStream(of: Void.self)
    agent.state.withLock {
      $0.answer = { _ in
        told.yield(); return nil
      }
    }
    let first = Task { try await stage.supervisor.reclaim(request(.process(10), [.trim])) }
    for await _ in asked { break }
    await #expect(throws: CommandError.self) { try await stage.supervisor.reclaim(request(.process(10), [.trim])) }
    let other = try await stage.supervisor.reclaim(request(.package("big", pids: nil), [.modulePages]))
    #expect(other.reports.map(\.refusal) == ["under-way"])
    stage.supervisor.agentDetached(SessionID(1), hasExited: false)
    #expect(try await first.value.reports[0].rungs[0].refusal == "connection-ended")
  }

  @Test func whatIsBegunIsInTheJournalBeforeItIsDone() async throws {
    let agent = await add(10, session: 1)
    agent.state.withLock { state in
      state.answer = { [history] _ in
        history.state.withLock { $0.log.append("asked") }
        return .done(0)
      }
    }
    _ = try await stage.supervisor.reclaim(request(.package("big", pids: nil), [.modulePages]))
    #expect(history.state.withLock { $0.log } == ["begin big", "asked", "end big"])
    let outcome = history.state.withLock { $0.outcomes[0] }
    #expect(outcome.result == .freed && outcome.freed == .mebibytes(8) && outcome.reason == "manual")
    #expect(outcome.rungs == [RungRecord(rung: "module-pages", freed: .mebibytes(8), seconds: 0.002, refusal: nil)])
    #expect(history.decisions[0].requester.uid == 0)
  }
}
