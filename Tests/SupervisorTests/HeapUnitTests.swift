import Model
import Policy
import Testing

@testable import Supervisor

/// Free heap of a process as what the policy decides about.
@Suite struct HeapUnitTests {
  let meter = FakeMeter()
  let history = FakeHistory()
  let stage: Stage

  init() {
    stage = Stage(meter: meter, history: history)
    meter.set(0.3)
  }

  private static let heap: UInt64 = 0x400_0000

  /// A process whose allocator holds 40 MiB, so many of them live, and 10 MiB of a package's code.
  private func add(
    _ pid: Int32 = 10, session: UInt64 = 1, live: UInt64 = 10, allocator: String = "glibc"
  ) async -> (agent: FakeAgent, segment: FakeSegment) {
    stage.proc.add(pid)
    let heap = mapping(Self.heap, 64 << 20, .anonymous(label: "heap"), resident: 40 << 20, anonymous: 40 << 20, [.read, .write])
    var code = mapping(0x1000, 10 << 20, .file(file("/lib/big/libbig.so", inode: 5)), resident: 10 << 20, [.read, .execute])
    code.usage.privateClean = .mebibytes(10)
    stage.proc.state.withLock {
      $0.mappings[pid] = [code, heap]
      $0.facts[pid]?.virtual = .mebibytes(200)
    }
    let segment = FakeSegment(live: live << 20)
    segment.state.withLock { $0.report.allocator = allocator }
    let agent = FakeAgent(stage, pid: pid, session: session)
    agent.state.withLock { state in
      state.answer = { [stage] command in
        // All but 2 MiB that lie between live blocks.
        if command == .trim { Self.set(stage, pid, resident: live + 2) }
        return .done(1)
      }
    }
    _ = stage.attach(pid, session: session, segment: segment, commands: agent)
    for _ in 0..<2 { await run(pid, seconds: 1) }
    // A scan that sees it idle.
    for _ in 0..<2 { await rest(seconds: 60) }
    return (agent, segment)
  }

  /// It computes nothing meanwhile.
  private func rest(seconds: Double) async {
    stage.clock.advance(seconds: seconds)
    await stage.supervisor.tick()
  }

  private static func set(_ stage: Stage, _ pid: Int32, resident mebibytes: UInt64) {
    stage.proc.state.withLock { state in
      guard let place = state.mappings[pid]?.firstIndex(where: { $0.start == heap }) else { return }
      state.mappings[pid]?[place].usage.resident = .mebibytes(mebibytes)
      state.mappings[pid]?[place].usage.anonymous = .mebibytes(mebibytes)
    }
  }

  private func run(_ pid: Int32 = 10, seconds: Double) async {
    stage.proc.state.withLock { $0.facts[pid]?.processorTicks += 1 }
    stage.clock.advance(seconds: seconds)
    await stage.supervisor.tick()
  }

  private func heapRow(_ pid: Int32 = 10) async -> Judgement? {
    await stage.supervisor.plan(name: "server").rows.first { $0.judgement.unit.process?.pid == pid }?.judgement
  }

  @Test func whatTheAllocatorHoldsForNothingIsAUnit() async {
    _ = await add()
    let row = await heapRow()
    #expect(row?.unit.description == "heap of server in 10")
    // 10 blocks were counted, each with its header.
    #expect(row?.figures.bytes == Bytes((30 << 20) - 80))
    #expect(row?.verdict == .keep(.inUse))
  }

  @Test func blocksWithAMappingOfTheirOwnTakeNothingOfIt() async {
    // 10 MiB live in arenas, and a model of 60 MiB beside them.
    stage.proc.state.withLock { $0.mappedBlocks[10] = .mebibytes(60) }
    _ = await add(live: 70)
    #expect(await heapRow()?.figures.bytes == Bytes((30 << 20) - 80))
    // Where that cannot be read all live blocks may lie there.
    stage.proc.state.withLock { $0.mappedBlocks[10] = nil }
    for _ in 0..<2 { await run(seconds: 60) }
    #expect(await heapRow()?.figures.bytes == .zero)
  }

  @Test(arguments: ["jemalloc", "unknown"]) func whereItIsNotKnownItIsNotGuessed(allocator: String) async {
    _ = await add(allocator: allocator)
    #expect(await heapRow()?.verdict == .keep(.bytesUnknown))
  }

  @Test func withoutAnAgentThatAnswersThereIsNone() async throws {
    stage.proc.add(10)
    stage.proc.state.withLock { $0.mappings[10] = [mapping(0x1000, 4096, .anonymous(label: "heap"))] }
    _ = try await stage.supervisor.adopt(10)
    #expect(await heapRow() == nil)
  }

  @Test func underPressureTheAllocatorIsAskedBeforeAnyFileGoes() async {
    let (agent, _) = await add()
    meter.set(0.9)
    await rest(seconds: 60)
    let outcomes = await history.outcomes(2)
    #expect(outcomes.map(\.unit.kind) == [.heap, .package])
    #expect(agent.asked.first == .trim)
    #expect(outcomes[0].freed == .mebibytes(28) && outcomes[0].result == .freed)
    #expect(history.decisions[0].predicted == Bytes((30 << 20) - 80) && history.decisions[0].reason == "memory-pressure")
  }

  @Test func anActiveProcessKeepsIt() async {
    let (agent, _) = await add()
    await run(seconds: 60)
    meter.set(0.9)
    await run(seconds: 60)
    #expect(await heapRow()?.verdict == .keep(.busy("active")))
    #expect(!agent.asked.contains(.trim))
  }

  @Test func anIdleProcessGivesItBackWhenItsTimeIsOver() async {
    let (agent, _) = await add()
    for _ in 0..<12 { await rest(seconds: 60) }
    #expect(agent.asked.isEmpty)
    await rest(seconds: 180)
    let outcome = await history.outcomes(1)[0]
    #expect(outcome.unit.kind == .heap && outcome.freed == .mebibytes(28))
    #expect(agent.asked.first == .trim)
  }

  @Test func whatATrimLeftIsNotAskedForAgain() async {
    let (agent, segment) = await add()
    meter.set(0.9)
    await rest(seconds: 60)
    _ = await history.outcomes(2)
    #expect(await heapRow()?.verdict == .keep(.busy("trimmed-a-moment-ago")))
    // A minute later there is nothing to gain: 2 MiB are free, between live blocks.
    for _ in 0..<3 { await run(seconds: 61) }
    #expect(await heapRow()?.figures.bytes == .zero)
    #expect(agent.asked.filter { $0 == .trim }.count == 1)
    // It frees 8 MiB more: worth another one, at once.
    segment.state.withLock { $0.report.heap.bytesFreed = .mebibytes(8) }
    #expect(await heapRow()?.figures.bytes == .mebibytes(8))
  }

  @Test func aTrimThatWasRefusedIsNotTriedAgainWithinAMinute() async {
    let (agent, segment) = await add()
    agent.state.withLock { $0.answer = { _ in .failed(8) } }
    _ = try? await stage.supervisor.reclaim(
      ReclaimRequest(target: .process(10), rungs: [.trim], requester: Requester("user 0")))
    meter.set(0.9)
    #expect(await heapRow()?.verdict == .keep(.busy("trimmed-a-moment-ago")))
    // Unless there is more of it.
    segment.state.withLock { $0.report.heap.bytesFreed = .mebibytes(1) }
    #expect(await heapRow()?.figures.bytes == Bytes((31 << 20) - 80))
    if case .keep(let reason)? = await heapRow()?.verdict { Issue.record("kept: \(reason)") }
    segment.state.withLock { $0.report.heap.bytesFreed = .zero }
    stage.clock.advance(seconds: 61)
    if case .keep(let reason)? = await heapRow()?.verdict { Issue.record("kept: \(reason)") }
  }

  @Test func aRuleThatUnloadsANameDoesNotMeanTheHeapOfAProcess() async {
    let (agent, _) = await add()
    let condition = RuleCondition.comparison(RuleComparison(.machine(.memoryLevel), .above, 0.1))
    await stage.supervisor.reload(
      observeInterval: 60, processLimit: 100, unloading: UnloadingSettings(),
      rules: [
        Rule(name: "one", condition: condition, actions: [.unload("server")]),
        Rule(name: "two", condition: condition, actions: [.unload("big")]),
      ])
    await run(seconds: 1)
    _ = await history.outcomes(1)
    #expect(!agent.asked.contains(.trim))
  }

  @Test func whoRefusesIsAskedEverMoreSeldom() {
    var watch = HeapWatch()
    watch.take([mapping(0x1000, 1 << 30, .anonymous(label: "heap"), resident: 40 << 20)], allocator: "glibc")
    let heap = HeapCounters()
    func pause() -> Int? { (1...200).first { watch.busy(heap, at: UInt64($0) * 60_000_000_000) == nil } }
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
      watch.note(HeapWatch.Trim(at: 0, free: watch.free(heap), resident: watch.resident, isDone: false))
      #expect(pause() == minutes)
    }
    watch.note(HeapWatch.Trim(at: 0, free: watch.free(heap), resident: watch.resident, isDone: true))
    #expect(pause() == 1)
  }

  @Test func whatIsTakenAgainLowersWhatLiesBetweenBlocks() {
    var watch = HeapWatch()
    func heap(_ live: UInt64) -> HeapCounters {
      var heap = HeapCounters()
      heap.bytesAllocated = .mebibytes(live)
      return heap
    }
    func mappings(_ resident: UInt64) -> [Mapping] {
      [mapping(0x1000, 1 << 30, .anonymous(label: "heap"), resident: resident << 20)]
    }
    watch.take(mappings(40), allocator: "glibc")
    #expect(watch.bytes(heap(10)) == .mebibytes(30) && watch.bytes(nil) == nil)
    watch.take(mappings(16), allocator: "glibc")
    watch.note(HeapWatch.Trim(at: 1, free: .mebibytes(6), resident: .mebibytes(16), isDone: true))
    #expect(watch.bytes(heap(10)) == .zero && watch.refaulted == .zero)
    // It allocates where there were holes, and frees that again.
    watch.lowerFloor(heap(14))
    #expect(watch.bytes(heap(10)) == .mebibytes(4))
    watch.take(mappings(20), allocator: "glibc")
    #expect(watch.refaulted == .mebibytes(4) && watch.bytes(heap(10)) == .mebibytes(8))
    #expect(watch.busy(heap(20), at: 1 + HeapWatch.pause) == nil)
    #expect(watch.busy(heap(18), at: HeapWatch.pause) == "trimmed-a-moment-ago")
    // A live heap that is larger than what is resident: blocks with a mapping of their own.
    #expect(watch.bytes(heap(500)) == .zero)
  }
}
