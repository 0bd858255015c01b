import Model
import Synchronization
import Testing

@testable import Supervisor

/// Memory as the test says it is.
final class FakeMeter: MemoryMetering {
  let state = Mutex((pressure: MemoryPressure?.none, stalled: UInt64?.none))
  func pressure() -> MemoryPressure? { state.withLock { $0.pressure } }
  func stalledMicroseconds() -> UInt64? { state.withLock { $0.stalled } }
  func swapUsed() -> Bytes? { .mebibytes(3) }
  func set(_ share: Double, stalled: UInt64? = nil) {
    state.withLock { $0 = (MemoryPressure(used: Bytes(UInt64(share * 1e9)), limit: Bytes(1_000_000_000)), stalled) }
  }
}

/// Keeps what is recorded.
final class FakeHistory: HistoryRecording {
  struct State {
    var decisions: [(record: DecisionRecord, outcome: UnloadOutcome?)] = []
    var outcomes: [OutcomeRecord] = []
    /// What was begun and ended, in order.
    var log: [String] = []
    var waiting: [CheckedContinuation<Void, Never>] = []
    var samples: [MetricSample] = []
    var flushes = 0
    var changes: [ConfigurationChange] = []
  }
  let state = Mutex(State())
  var decisions: [DecisionRecord] { state.withLock { $0.decisions.map(\.record) } }
  func record(_ decision: DecisionRecord, outcome: UnloadOutcome?, because reason: UnloadReason) {
    state.withLock { $0.decisions.append((decision, outcome)) }
  }
  func begin(_ decision: DecisionRecord) -> UInt64 {
    state.withLock {
      $0.decisions.append((decision, nil))
      $0.log.append("begin \(decision.unit.name)")
      return UInt64($0.decisions.count)
    }
  }
  func finish(_ number: UInt64, _ outcome: OutcomeRecord) {
    let waiting = state.withLock { state in
      state.outcomes.append(outcome)
      state.log.append("end \(outcome.unit.name)")
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
  /// Returns once so many outcomes are there.
  func outcomes(_ count: Int) async -> [OutcomeRecord] {
    while true {
      let found = state.withLock { $0.outcomes }
      if found.count >= count { return found }
      await withCheckedContinuation { continuation in
        let isThere = state.withLock { state in
          if state.outcomes.count < count { state.waiting.append(continuation) }
          return state.outcomes.count >= count
        }
        if isThere { continuation.resume() }
      }
    }
  }
  func record(_ change: ConfigurationChange) { state.withLock { $0.changes.append(change) } }
  var changes: [ConfigurationChange] { state.withLock { $0.changes } }
  func record(_ samples: [MetricSample]) { state.withLock { $0.samples += samples } }
  func flush(at wall: Double) { state.withLock { $0.flushes += 1 } }
}

@Suite struct UnloadingTests {
  let meter = FakeMeter()
  let history = FakeHistory()
  let stage: Stage

  init() {
    var settings = UnloadingSettings()
    settings.isDryRun = true
    stage = Stage(meter: meter, history: history, unloading: settings)
    stage.proc.add(10)
  }

  /// 8 MiB of its own, of package `big`, and shared pages of package `common` that `big` needs.
  private func map(referenced: Bool = false) {
    var big = mapping(0x1000, 8 << 20, .file(file("/lib/big/libbig.so", inode: 5)), resident: 8 << 20, [.read, .execute])
    big.usage.privateClean = .mebibytes(8)
    big.usage.referenced = referenced ? .mebibytes(1) : .zero
    var common = mapping(
      0x9000_0000, 4 << 20, .file(file("/lib/common/libcommon.so", inode: 6)), resident: 4 << 20, [.read, .execute])
    common.usage.sharedClean = .mebibytes(4)
    stage.proc.state.withLock { $0.mappings[10] = [big, common] }
  }

  private func run(seconds: Double) async {
    stage.proc.state.withLock { $0.facts[10]?.processorTicks += 1 }
    stage.clock.advance(seconds: seconds)
    await stage.supervisor.tick()
  }

  @Test func anIdlePackageIsDecidedAndRecordedOnce() async {
    map()
    _ = stage.attach(10, session: 1)
    for _ in 0..<30 { await run(seconds: 60) }
    #expect(history.decisions.map(\.unit) == [ReclaimUnit(.package, "big", in: ProcessIdentity(pid: 10, startTicks: 100))])
    let record = history.decisions[0]
    #expect(record.verdict == .unload && record.reason == "usage-pattern" && record.predicted == .mebibytes(8))
    #expect(record.requester.name == "schedule" && record.cycle > 0)
    history.state.withLock {
      #expect($0.decisions[0].outcome?.result == .dryRun)
      #expect($0.flushes >= 30)
    }
    // What stands is said again after an hour.
    for _ in 0..<61 { await run(seconds: 60) }
    #expect(history.decisions.count == 2)
  }

  @Test func whatIsUsedStays() async {
    map(referenced: true)
    _ = stage.attach(10, session: 1)
    for _ in 0..<30 { await run(seconds: 60) }
    #expect(history.decisions.isEmpty)
  }

  @Test func wantOfMemoryIsHeededAndMeasured() async throws {
    map(referenced: true)
    _ = stage.attach(10, session: 1)
    await run(seconds: 60)
    meter.set(0.9, stalled: 0)
    await run(seconds: 60)
    #expect(history.decisions.map(\.reason) == ["memory-pressure"])
    meter.set(0.9, stalled: 6_000_000)
    await run(seconds: 60)
    let stalls = history.state.withLock { $0.samples.filter { $0.name == "memory.stall" }.map(\.value) }
    #expect(stalls == [0.1])
  }

  @Test func aPlanChangesNothing() async {
    map()
    _ = stage.attach(10, session: 1)
    meter.set(0.95)
    let plan = await stage.supervisor.plan(name: nil)
    #expect(plan.rows.map(\.judgement.unit.name) == ["big", "common", "server"])
    #expect(plan.rows.map(\.order) == [1, nil, nil])
    #expect(plan.rows[2].judgement.unit.kind == .heap)
    #expect(plan.isPressed && plan.wanted > .zero)
    #expect(plan.rows[1].judgement.verdict == .keep(.savingsTooSmall(minimum: .mebibytes(1))))
    #expect(history.decisions.isEmpty)
    let again = await stage.supervisor.plan(name: nil)
    #expect(again.rows.map(\.order) == [1, nil, nil])
  }

  @Test func aPlanOfOneNameKeepsItsPlaceAmongAll() async {
    map()
    _ = stage.attach(10, session: 1)
    meter.set(0.95)
    let plan = await stage.supervisor.plan(name: "common")
    #expect(plan.rows.count == 1 && plan.names == ["big", "common", "server"])
    #expect(await stage.supervisor.plan(name: "none").rows.isEmpty)
  }

  @Test func packagesNeedEachOtherAsTheirFilesSay() async {
    var big = ElfFacts()
    big.needed = ["libcommon.so"]
    let stage = Stage(files: FakeFiles(elf: ["/lib/big/libbig.so": big]), meter: meter, history: history)
    stage.proc.add(10)
    var common = mapping(0x9000_0000, 4 << 20, .file(file("/lib/common/libcommon.so", inode: 6)), [.read, .execute])
    common.usage.privateClean = .mebibytes(4)
    let user = mapping(0x1000, 8 << 20, .file(file("/lib/big/libbig.so", inode: 5)), [.read, .execute])
    stage.proc.state.withLock { $0.mappings[10] = [user, common] }
    _ = stage.attach(10, session: 1)
    meter.set(0.95)
    let plan = await stage.supervisor.plan(name: "common")
    // The package that needs it brings back too little by itself, and goes along before it.
    #expect(plan.rows.first?.order == 2)
    #expect(await stage.supervisor.plan(name: "big").rows.first?.order == 1)
  }

  @Test func switchedOffNothingIsDecided() async {
    map()
    _ = stage.attach(10, session: 1)
    var settings = UnloadingSettings()
    settings.isEnabled = false
    await stage.supervisor.reload(observeInterval: 60, processLimit: 100, unloading: settings)
    for _ in 0..<30 { await run(seconds: 60) }
    #expect(history.decisions.isEmpty)
    #expect(await stage.supervisor.plan(name: nil).rows.allSatisfy { $0.judgement.verdict == .keep(.disabled) })
  }
}
