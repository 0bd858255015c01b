import Model
import Testing

@testable import Supervisor

@Suite struct SupervisorTests {
  @Test func attachedProcessIsListedWithItsHeap() async {
    let stage = Stage()
    stage.proc.add(10)
    #expect(stage.attach(10, session: 1, segment: FakeSegment(live: 4_096)) == nil)
    let list = await stage.supervisor.processes()
    #expect(list.processes.map(\.facts.identity.pid) == [10])
    #expect(list.processes[0].agent?.heap.live == Bytes(4_096))
    #expect(await stage.kinds() == [.attached])
  }

  @Test func aProcessThatIsGoneAtHelloIsRefusedAndCounted() async {
    let stage = Stage()
    #expect(stage.attach(10, session: 1) != nil)
    #expect(await stage.supervisor.status().counters.sessionsRefused == 1)
    #expect(await stage.supervisor.processes().processes.isEmpty)
  }

  @Test func closingTheSocketOfALivingProcessKeepsItAndItsNumbers() async {
    let stage = Stage()
    stage.proc.add(10)
    _ = stage.attach(10, session: 1, segment: FakeSegment(live: 5))
    stage.supervisor.agentDetached(SessionID(1), hasExited: false)
    let list = await stage.supervisor.processes()
    #expect(list.processes.first?.agent?.heap.live == Bytes(5))
    #expect(await stage.kinds() == [.attached, .detached])
  }

  @Test func reconnectingReplacesTheSessionAndALateEndOfTheOldOneChangesNothing() async {
    let stage = Stage()
    stage.proc.add(10)
    _ = stage.attach(10, session: 1)
    _ = stage.attach(10, session: 2, segment: FakeSegment(live: 8))
    stage.supervisor.agentDetached(SessionID(1), hasExited: false)
    stage.supervisor.processExited(10, session: SessionID(1))
    let list = await stage.supervisor.processes()
    #expect(list.processes.map { $0.agent?.heap.live } == [Bytes(8)])
  }

  @Test func aReusedPIDIsAnotherProcess() async {
    let stage = Stage()
    stage.proc.add(10, startTicks: 100, name: "first")
    _ = stage.attach(10, session: 1)
    stage.proc.add(10, startTicks: 900, name: "second")
    // Seen by a refresh: the first has ended.
    #expect(await stage.supervisor.processes().processes.isEmpty)
    _ = stage.attach(10, session: 2)
    #expect(await stage.supervisor.processes().processes.map(\.facts.name) == ["second"])
    #expect(await stage.kinds() == [.attached, .exited, .attached])
  }

  @Test func moreProcessesThanTheLimitAreRefusedByName() async {
    let stage = Stage(processLimit: 1)
    stage.proc.add(10)
    stage.proc.add(11)
    _ = stage.attach(10, session: 1)
    #expect(stage.attach(11, session: 2)?.contains("agents.limit") == true)
    await #expect(throws: CommandError.self) { try await stage.supervisor.adopt(11) }
  }

  @Test func forkedChildIsWatchedOnlyIfTheKernelAgrees() async {
    let stage = Stage()
    stage.proc.add(10)
    stage.proc.add(20, parent: 10)
    stage.proc.add(30, parent: 999)
    let segment = FakeSegment()
    _ = stage.attach(10, session: 1, segment: segment)
    segment.append(.fork, argument: 20)
    segment.append(.fork, argument: 30)
    segment.append(.fork, argument: -5)
    await stage.supervisor.tick()
    #expect(await stage.supervisor.processes().processes.map(\.facts.identity.pid) == [10, 20])
  }

  @Test func adoptedProcessThatEndsIsNoticedByTheTick() async throws {
    let stage = Stage()
    stage.proc.add(10)
    let (_, isNew) = try await stage.supervisor.adopt(10)
    #expect(isNew)
    #expect(try await stage.supervisor.adopt(10).isNew == false)
    stage.proc.state.withLock { $0.facts[10] = nil }
    await stage.supervisor.tick()
    #expect(await stage.kinds() == [.adopted, .exited])
  }

  @Test(arguments: [
    (InspectionError.gone, CommandError.noSuchProcess(pid: 7)),
    (.notPermitted("why"), .notPermitted("why")),
    (.unreadable("why"), .unreadable("why")),
  ])
  func adoptSaysWhyNot(failure: InspectionError, expected: CommandError) async {
    let stage = Stage()
    stage.proc.state.withLock { $0.failures[7] = failure }
    await #expect(throws: expected) { try await stage.supervisor.adopt(7) }
  }

  @Test func useIsObservedBetweenTwoScans() async throws {
    let stage = Stage(observeInterval: 60)
    stage.proc.add(10)
    stage.proc.state.withLock {
      $0.mappings[10] = [mapping(0x1000, 4096, .file(file("/lib/torch/a.so")), referenced: 4096, [.execute])]
    }
    _ = try await stage.supervisor.adopt(10)
    await stage.supervisor.tick()
    #expect(try await stage.supervisor.packages(of: 10).packages.map(\.lastUsedAt) == [nil])
    stage.clock.advance(seconds: 5)
    stage.proc.add(10, ticks: 50)
    await stage.supervisor.tick()
    #expect(try await stage.supervisor.packages(of: 10).packages.map(\.lastUsedAt) == [stage.clock.now.wall])
    // It did not run since: not looked at, not cleared again.
    stage.clock.advance(seconds: 61)
    await stage.supervisor.tick()
    #expect(stage.proc.state.withLock { $0.cleared } == [10, 10])
  }

  @Test func whoAllocatesIsActiveAlsoBelowAStepOfProcessorTime() async {
    let stage = Stage()
    stage.proc.add(10)
    let segment = FakeSegment()
    _ = stage.attach(10, session: 1, segment: segment)
    await stage.supervisor.tick()
    stage.clock.advance(seconds: 3)
    segment.state.withLock { $0.report.heap.allocations += 1 }
    await stage.supervisor.tick()
    let then = stage.clock.now.wall
    stage.clock.advance(seconds: 3)
    await stage.supervisor.tick()
    #expect(await stage.supervisor.processes().processes.map(\.lastActiveAt) == [then])
  }

  @Test func oneUnreadableProcessDoesNotHideTheOthers() async throws {
    let stage = Stage()
    stage.proc.add(10)
    stage.proc.add(11)
    for pid in [Int32(10), 11] {
      stage.proc.state.withLock { $0.mappings[pid] = [mapping(0x1000, 4096, .file(file("/lib/numpy/a.so")))] }
      _ = stage.attach(pid, session: UInt64(pid))
    }
    stage.proc.state.withLock { $0.failures[11] = .unreadable("io") }
    let packages = try await stage.supervisor.packages(of: nil)
    #expect(packages.coverage.map(\.pid) == [10])
    #expect(await stage.supervisor.status().counters.unreadableProcesses > 0)
  }

  @Test func packagesSumOverTheProcessesThatHoldThem() async throws {
    let stage = Stage()
    for pid in [Int32(10), 11] {
      stage.proc.add(pid)
      stage.proc.state.withLock {
        $0.mappings[pid] = [
          mapping(0x1000, 4096, .file(file("/lib/numpy/a.so", inode: 1)), [.execute]),
          mapping(0x8000, 8192, .file(file("/lib/scipy/b.so", inode: 2)), resident: 8192, [.execute]),
          mapping(0xF000, 4096, .file(file("/stray")), resident: 4096),
        ]
      }
      _ = stage.attach(pid, session: UInt64(pid))
    }
    let answer = try await stage.supervisor.packages(of: nil)
    #expect(answer.packages.map(\.identity.name) == ["none", "numpy", "scipy"])
    #expect(answer.packages.map(\.usage.resident) == [Bytes(8192), Bytes(8192), Bytes(16384)])
    #expect(answer.packages[1].holders.map(\.pid) == [10, 11])
    // What no package owns is not called packaged.
    #expect(answer.coverage[0].fileBacked == Bytes(16384))
    #expect(answer.coverage[0].packagedFileBacked == Bytes(12288))
  }

  @Test func waitingForEventsEndsWhenOneComes() async {
    let stage = Stage()
    stage.proc.add(10)
    async let page = stage.supervisor.events(after: 0, limit: 10, wait: 60, pid: nil)
    while await !stage.supervisor.isFollowed { await Task.yield() }
    _ = stage.attach(10, session: 1)
    #expect(await page.events.map(\.kind) == [.attached])
  }

  @Test func closingAnswersThoseWhoWaitAndLetsNoOneWaitAgain() async {
    let stage = Stage()
    async let page = stage.supervisor.events(after: 0, limit: 10, wait: 60, pid: nil)
    while await !stage.supervisor.isFollowed { await Task.yield() }
    await stage.supervisor.close()
    #expect(await page.events.isEmpty)
    #expect(await stage.supervisor.events(after: 0, limit: 10, wait: 60, pid: nil).events.isEmpty)
  }

  @Test func lostEventsAreSaid() async {
    let stage = Stage()
    stage.proc.add(10)
    let segment = FakeSegment()
    _ = stage.attach(10, session: 1, segment: segment)
    segment.state.withLock { $0.lost = 3 }
    await stage.supervisor.tick()
    #expect(await stage.kinds() == [.attached, .lost])
    #expect(await stage.supervisor.status().counters.eventsDropped == 3)
  }

  @Test func modulesThatDidNotFitAreCountedOnce() async {
    let stage = Stage()
    stage.proc.add(10)
    let segment = FakeSegment()
    _ = stage.attach(10, session: 1, segment: segment)
    for (dropped, expected) in [(3, 3), (3, 3), (5, 5), (0, 5), (9, 9)] as [(UInt64, UInt64)] {
      segment.state.withLock { $0.report.modulesDropped = dropped }
      #expect(await stage.supervisor.status().counters.modulesDropped == expected)
    }
  }

  @Test func anAgentGoneByExecIsNoticedByItsMissingSegment() async throws {
    let stage = Stage()
    stage.proc.add(10, name: "before")
    _ = stage.attach(10, session: 1, segment: FakeSegment(inode: 77))
    stage.supervisor.agentDetached(SessionID(1), hasExited: false)
    stage.proc.add(10, name: "after")
    stage.proc.state.withLock { $0.mappings[10] = [mapping(0x1000, 4096, .file(file("/bin/after", inode: 5)), [.execute])] }
    _ = try await stage.supervisor.packages(of: 10)
    let row = await stage.supervisor.processes().processes[0]
    #expect(row.agent == nil)
    #expect(row.facts.name == "after")
  }

  @Test func anExecIsNoticedWhenTheSocketClosesOrTheStackIsAnother() async throws {
    let stage = Stage(observeInterval: nil)
    let other = [mapping(0x1000, 4096, .file(file("/bin/after", inode: 5)), [.execute])]
    stage.proc.add(10)
    _ = stage.attach(10, session: 1, segment: FakeSegment(inode: 77))
    stage.proc.state.withLock { $0.mappings[10] = other }
    stage.supervisor.agentDetached(SessionID(1), hasExited: false)
    #expect(await stage.supervisor.processes().processes.map { $0.agent == nil } == [true])
    // One that closed its descriptors, and executes something later.
    stage.proc.add(11)
    stage.proc.state.withLock { $0.mappings[11] = [mapping(0x1000, 4096, .file(file("/memfd:mlos-agent", inode: 78)))] }
    _ = stage.attach(11, session: 2, segment: FakeSegment(inode: 78))
    stage.supervisor.agentDetached(SessionID(2), hasExited: false)
    #expect(await stage.supervisor.processes().processes.map { $0.agent == nil } == [true, false])
    stage.proc.state.withLock {
      $0.mappings[11] = other
      $0.facts[11]?.stackBottom = 0x7FFF_1111_0000
    }
    #expect(await stage.supervisor.processes().processes.map { $0.agent == nil } == [true, true])
  }

  @Test func eventsOfASegmentThatIsKnownAreNotTakenTwice() async {
    let segment = FakeSegment(inode: 77)
    let stage = Stage(finder: FakeFinder(found: [FoundAgent(pid: 10, segment: segment)]))
    stage.proc.add(10)
    stage.proc.state.withLock { $0.mappings[10] = [mapping(0x1000, 4096, .file(file("/memfd:mlos-agent", inode: 77)))] }
    segment.append(.dlopen, text: "a.so")
    await stage.supervisor.tick()
    // Found first, it connects, loses the connection and comes back, all with the same segment; then it has another one.
    _ = stage.attach(10, session: 1, segment: segment)
    stage.supervisor.agentDetached(SessionID(1), hasExited: false)
    _ = stage.attach(10, session: 2, segment: segment)
    segment.append(.dlopen, text: "b.so")
    await stage.supervisor.tick()
    #expect(await stage.kinds().filter { $0 == .dlopen }.count == 2)
    let another = FakeSegment(inode: 79)
    another.append(.dlopen, text: "c.so")
    _ = stage.attach(10, session: 3, segment: another)
    #expect(await stage.kinds().filter { $0 == .dlopen }.count == 3)
  }

  @Test func agentsThatWereThereBeforeAreFoundWithTheirNumbers() async {
    let finder = FakeFinder(found: [
      FoundAgent(pid: 10, segment: FakeSegment(live: 7)), FoundAgent(pid: 11, segment: nil), FoundAgent(pid: 12, segment: nil),
    ])
    let stage = Stage(finder: finder)
    stage.proc.add(10)
    stage.proc.add(11)
    // A scan sees the segment mapped: it is no leftover of a program before an exec.
    stage.proc.state.withLock { $0.mappings[10] = [mapping(0x1000, 4096, .file(file("/memfd:mlos-agent", inode: 77)))] }
    await stage.supervisor.tick()
    let list = await stage.supervisor.processes().processes
    #expect(list.map(\.facts.identity.pid) == [10, 11])
    #expect(list.map { $0.agent?.heap.live } == [Bytes(7), nil])
    // One that connects after all is the same process.
    _ = stage.attach(11, session: 1, segment: FakeSegment(live: 9))
    #expect(await stage.supervisor.processes().processes.map { $0.agent?.heap.live } == [Bytes(7), Bytes(9)])
  }

  @Test func ephemeralIsDoneOnlyAfterSomethingWasWatched() async {
    let stage = Stage(isEphemeral: true)
    #expect(await !stage.supervisor.isDone())
    stage.proc.add(10)
    _ = stage.attach(10, session: 1)
    #expect(await !stage.supervisor.isDone())
    stage.supervisor.processExited(10, session: SessionID(1))
    #expect(await stage.supervisor.isDone())
  }
}
