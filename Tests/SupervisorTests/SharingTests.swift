import Model
import Testing

@testable import Supervisor

@Suite struct SharingTests {
  private func usage(_ proportional: UInt64) -> MemoryUsage {
    var usage = MemoryUsage()
    usage.proportional = Bytes(proportional)
    return usage
  }
  private func moment(_ seconds: Double) -> Moment { Moment(wall: seconds, monotonic: UInt64(seconds * 1e9)) }

  @Test func figuresStandUntilTheProcessGrowsOrTheyAreOld() {
    var sharing = Sharing()
    #expect(sharing.isDue(resident: Bytes(5), at: 0))
    sharing.take(usage(3), resident: Bytes(5), at: moment(100))
    #expect(sharing.figures?.measuredAt == 100)
    #expect(!sharing.isDue(resident: Bytes(5), at: moment(129).monotonic))
    #expect(sharing.isDue(resident: Bytes(5), at: moment(130).monotonic))
    #expect(!sharing.isDue(resident: Bytes(6), at: moment(100.5).monotonic))
    #expect(sharing.isDue(resident: Bytes(6), at: moment(101).monotonic))
  }

  @Test func oneListingMeasuresAFewAndTheNextTheOthers() async {
    let stage = Stage()
    let pids = (1...Int32(Sharing.measuredAtOnce + 4)).map { $0 + 100 }
    for pid in pids {
      stage.proc.add(pid)
      stage.proc.state.withLock { $0.mappings[pid] = [mapping(0x1000, 4096, .anonymous(label: ""))] }
      _ = stage.attach(pid, session: UInt64(pid))
    }
    let first = await stage.supervisor.processes().processes
    #expect(first.count { $0.sharing != nil } == Sharing.measuredAtOnce)
    let second = await stage.supervisor.processes().processes
    #expect(second.allSatisfy { $0.sharing != nil })
    #expect(stage.proc.state.withLock { $0.measured } == pids)
    _ = await stage.supervisor.processes()
    #expect(stage.proc.state.withLock { $0.measured } == pids)
  }

  @Test func aProcessThatMayNotBeReadIsListedWithoutThem() async {
    let stage = Stage()
    stage.proc.add(10)
    _ = stage.attach(10, session: 1)
    stage.proc.state.withLock { $0.unmeasurable = [10] }
    let rows = await stage.supervisor.processes().processes
    #expect(rows.count == 1)
    #expect(rows[0].sharing == nil)
    #expect(await stage.supervisor.status().counters.unreadableProcesses == 1)
  }
}
