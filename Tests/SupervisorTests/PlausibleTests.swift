import Model
import Testing

@testable import Supervisor

/// A segment is the process's own memory: one that is overwritten costs its own figures and nobody else's.
@Suite struct PlausibleTests {
  private let stage = Stage()

  private func attached(_ pid: Int32, live: UInt64 = 4_096) -> FakeSegment {
    stage.proc.add(pid)
    let segment = FakeSegment(inode: UInt64(pid), live: live)
    _ = stage.attach(pid, session: UInt64(pid), segment: segment)
    return segment
  }
  private func counters() async -> SupervisorCounters { await stage.supervisor.status().counters }

  @Test(arguments: [1 << 60, UInt64.max]) func eventsThatNoRingCanHaveLostAreNotCounted(lost: UInt64) async {
    let liar = attached(10)
    let honest = attached(11)
    for _ in 0..<3 {
      liar.state.withLock { $0.lost = lost }
      await stage.supervisor.tick()
    }
    honest.state.withLock { $0.lost = 3 }
    await stage.supervisor.tick()
    #expect(await counters().eventsDropped == 3)
    #expect(await counters().segmentsLying == 1)
    #expect(await stage.kinds(of: 10) == [.attached])
    #expect(await stage.kinds(of: 11) == [.attached, .lost])
  }

  @Test func modulesThatNoTableCanHaveDroppedAreNotCounted() async {
    let liar = attached(10)
    liar.state.withLock { $0.report.modulesDropped = .max }
    #expect(await counters().modulesDropped == 0)
    stage.proc.state.withLock { $0.mappings[10] = [mapping(0x1000, 4096, .file(file("/lib/a.so")))] }
    #expect(try! await stage.supervisor.modules(of: 10).dropped == 0)
    // Once overwritten does not hide what is dropped afterwards, here or elsewhere.
    for (dropped, expected) in [(2, 2), (UInt64.max - 5, 2), (3, 3)] as [(UInt64, UInt64)] {
      liar.state.withLock { $0.report.modulesDropped = dropped }
      #expect(await counters().modulesDropped == expected)
    }
    #expect(await counters().segmentsLying == 1)
  }

  @Test func aHeapLargerThanTheAddressSpaceIsNotKnownAndInNoSum() async throws {
    _ = attached(10, live: 1 << 61)
    _ = attached(11)
    let status = await stage.supervisor.status()
    #expect(status.liveHeap == Bytes(4_096))
    #expect(status.counters.segmentsLying == 1)
    #expect(await stage.supervisor.processes().processes.map { $0.heap?.live } == [nil, Bytes(4_096)])
    #expect(try await stage.supervisor.packages(of: nil).coverage.map(\.liveHeap) == [nil, Bytes(4_096)])
    #expect(await counters().segmentsLying == 1)
  }

  @Test func aHeapThatWasThatLargeIsNoLie() async {
    _ = attached(10, live: 20 << 20)
    // Freed between the two readings.
    stage.proc.state.withLock { $0.facts[10]?.virtualPeak = .mebibytes(30) }
    #expect(await stage.supervisor.status().liveHeap == .mebibytes(20))
    #expect(await counters().segmentsLying == 0)
  }

  @Test func aStateThatThereIsNotIsCounted() async {
    let liar = attached(10)
    liar.state.withLock { $0.report.state = .invalid }
    #expect(await stage.supervisor.processes().processes.map { $0.agent?.state } == [.invalid])
    #expect(await stage.supervisor.processes().processes[0].heap == nil)
    #expect(await counters().segmentsLying == 1)
  }

  @Test func anotherSegmentOfTheProcessIsJudgedAnew() async {
    let liar = attached(10)
    liar.state.withLock { $0.lost = .max }
    await stage.supervisor.tick()
    let next = FakeSegment(inode: 99)
    _ = stage.attach(10, session: 2, segment: next)
    next.state.withLock { $0.lost = .max }
    await stage.supervisor.tick()
    #expect(await counters().segmentsLying == 2)
  }

  @Test func growthIsBoundedByTheTimeItHad() {
    #expect(Plausible.growth(since: 5, at: 5) == 10_000_000)
    #expect(Plausible.growth(since: 9, at: 5) == 10_000_000)
    #expect(Plausible.growth(since: 0, at: 3_000_000_000) == 40_000_000)
  }

  @Test func liesFillNoLog() {
    var log = LieLog()
    let times = [UInt64](repeating: 100_000_000_000, count: 100) + [100_000_000_000 + LieLog.pause]
    let taken = times.map { log.take(at: $0) }
    #expect(taken.dropLast().count(where: \.self) == LieLog.limit)
    #expect(taken.last == true)
  }
}
