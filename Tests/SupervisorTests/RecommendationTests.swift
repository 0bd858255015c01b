import Model
import Synchronization
import Testing

@testable import Supervisor

/// Threads as the test says they are: each reading of a process is the next one, and the last one stays.
final class FakeProcessors: ProcessorMetering {
  struct State {
    var readings: [Int32: [ThreadTimes]] = [:]
    var asked: [Int32] = []
    var failing: Set<Int32> = []
  }
  let state = Mutex(State())

  /// Threads that run `ran` and wait `waited` milliseconds of a second.
  func add(_ pid: Int32, threads: Int, ran: UInt64, waited: UInt64, startTicks: UInt64 = 100, thenTicks: UInt64? = nil) {
    let readings = [0, 1].map { (scale: UInt64) in
      ThreadTimes(
        process: ProcessIdentity(pid: pid, startTicks: scale == 0 ? startTicks : thenTicks ?? startTicks),
        threads: (0..<threads).map {
          ThreadTime(thread: pid + Int32($0), ran: scale * ran * 1_000_000, waited: scale * waited * 1_000_000)
        }, at: 1 + scale * 1_000_000_000)
    }
    state.withLock { $0.readings[pid] = readings }
  }
  func threads(of pid: Int32) throws(InspectionError) -> ThreadTimes {
    let reading = state.withLock { state -> ThreadTimes? in
      state.asked.append(pid)
      guard let first = state.readings[pid]?.first else { return nil }
      if state.readings[pid]!.count > 1 { state.readings[pid]!.removeFirst() }
      return first
    }
    guard let reading else { throw .gone }
    return reading
  }
  func allowance(of pid: Int32, threads: [Int32]) throws(InspectionError) -> ProcessorAllowance {
    if state.withLock({ $0.failing.contains(pid) }) { throw .notPermitted("status") }
    return ProcessorAllowance(processors: [0])
  }
}

/// Answers what the test put there, and keeps what it was asked.
final class FakeComparer: MemoryComparing {
  let state = Mutex((asked: [[ComparedProgram]](), equal: UInt64(8_192)))
  func compare(_ programs: [ComparedProgram]) async -> [ComparisonReading] {
    let equal = state.withLock { state in
      state.asked.append(programs)
      return state.equal
    }
    return programs.map { program in
      ComparisonReading(
        program: program.program,
        processes: program.processes.enumerated().map {
          ComparisonReading.Process(
            identity: $1.identity, pages: 10_000, sampled: 10_000, equal: $0 == 0 ? [:] : [0: equal])
        }, pageSize: .kibibytes(4), refused: 0, isPartial: false)
    }
  }
}

@Suite struct RecommendationTests {
  let processors = FakeProcessors()
  let comparer = FakeComparer()
  let stage: Stage

  init() { stage = Stage(processors: processors, comparer: comparer) }

  private func recommendations(of pid: Int32? = nil, unloads: UnloadWindow? = nil) async throws -> RecommendationsSnapshot {
    try await stage.supervisor.recommendations(of: pid, unloads: unloads)
  }

  private func hold(_ pid: Int32, mebibytes: UInt64, label: String = "") {
    stage.proc.state.withLock {
      $0.mappings[pid] = [
        mapping(
          0x10_0000, 1 << 30, .anonymous(label: label), resident: mebibytes << 20, anonymous: mebibytes << 20, [.read, .write]),
        mapping(0x7000_0000, 4_096, .file(file("/lib/onnxruntime/libgomp.so.1")), [.read, .execute]),
      ]
    }
  }

  @Test("nothing watched is nothing to recommend, and nothing is waited for") func none() async throws {
    let snapshot = try await recommendations()
    #expect(snapshot.recommendations.isEmpty && snapshot.figures.threads.isEmpty && snapshot.takenAt == 1_000)
    #expect(comparer.state.withLock { $0.asked.isEmpty })
  }

  @Test("threads are read twice, a second apart, and the libraries of the process name the knobs") func threads() async throws {
    stage.proc.add(10)
    hold(10, mebibytes: 1)
    _ = stage.attach(10, session: 1)
    processors.add(10, threads: 4, ran: 250, waited: 750)
    let snapshot = try await recommendations()
    guard case .threadOversubscription(let found)? = snapshot.recommendations.first else {
      Issue.record("\(snapshot.recommendations)")
      return
    }
    #expect(found.process.pid == 10 && found.processName == "server" && found.busyThreads == 4 && found.processors == 1)
    #expect(found.knobs == [.onnxRuntime, .openMP] && snapshot.figures.seconds == 1 && snapshot.takenAt == 1_001)
    #expect(snapshot.names == [10: "server"] && snapshot.figures.threadsUnknown == 0)
  }

  @Test("a process that ends or whose number is used again in between is left out and counted") func ending() async throws {
    for pid: Int32 in 10...13 {
      stage.proc.add(pid)
      _ = stage.attach(pid, session: UInt64(pid))
    }
    processors.add(10, threads: 4, ran: 250, waited: 750, thenTicks: 999)
    processors.add(11, threads: 4, ran: 250, waited: 750)
    processors.add(12, threads: 4, ran: 250, waited: 750)
    processors.state.withLock { $0.failing = [11] }
    let snapshot = try await recommendations()
    #expect(snapshot.figures.threads.map(\.process.pid) == [12] && snapshot.figures.threadsUnknown == 3)
    #expect(snapshot.recommendations.flatMap(\.processes).map(\.pid) == [12])
  }

  @Test("free heap is found where the agent counts glibc's malloc, and nowhere else") func heap() async throws {
    for pid: Int32 in [10, 11] {
      stage.proc.add(pid)
      hold(pid, mebibytes: 2, label: "heap")
    }
    hold(10, mebibytes: 64, label: "heap")
    hold(11, mebibytes: 64, label: "heap")
    stage.proc.state.withLock { $0.facts[10]?.virtual = .mebibytes(900) }
    _ = stage.attach(10, session: 1, segment: FakeSegment(live: 24 << 20))
    let other = FakeSegment(live: 1)
    other.state.withLock { $0.report.allocator = "jemalloc" }
    _ = stage.attach(11, session: 2, segment: other)
    let snapshot = try await recommendations()
    let heaps = snapshot.recommendations.compactMap { if case .freeHeap(let heap) = $0 { heap } else { nil } }
    #expect(heaps.map(\.process.pid) == [10] && heaps.first?.resident == .mebibytes(64))
    // 10 blocks of 8 bytes more than what they are used for.
    #expect(heaps.first?.free == .mebibytes(40) - Bytes(80) && heaps.first?.profiled == ["onnxruntime"])
    #expect(snapshot.figures.heaps.count == 1 && snapshot.figures.heapsUnknown == 1)
  }

  @Test("what processes of one program hold is compared, and what they share is what is said") func copies() async throws {
    for pid: Int32 in 10...12 {
      stage.proc.add(pid, name: pid == 12 ? "other" : "server")
      hold(pid, mebibytes: UInt64(30 + pid))
      _ = stage.attach(pid, session: UInt64(pid))
    }
    let snapshot = try await recommendations()
    #expect(comparer.state.withLock { $0.asked.map { $0.map { $0.processes.map(\.identity.pid) } } } == [[[11, 10]]])
    guard case .copies(let found)? = snapshot.recommendations.first else {
      Issue.record("\(snapshot.recommendations)")
      return
    }
    #expect(found.program == "/usr/bin/server" && found.duplicate == .mebibytes(32) && snapshot.figures.comparable == 2)
    #expect(try await recommendations(of: 10).recommendations.count == 1)
    #expect(try await recommendations(of: 12).recommendations.isEmpty)
    await #expect(throws: CommandError.notWatched(pid: 99, watched: [10, 11, 12])) { try await recommendations(of: 99) }
  }

  @Test("unloads are about all processes: asked about one they are left out") func unloads() async throws {
    stage.proc.add(10)
    _ = stage.attach(10, session: 1)
    let window = UnloadWindow(from: 0, to: 86_400, unloads: 30, successful: 3, freed: .mebibytes(90), units: 30, firstAt: 9)
    #expect(try await recommendations(unloads: window).recommendations == [.lowSuccessRate(window)])
    #expect(try await recommendations(of: 10, unloads: window).recommendations.isEmpty)
  }

  @Test("who asks while it is measured gets the same figures") func together() async throws {
    stage.proc.add(10)
    hold(10, mebibytes: 40)
    stage.proc.add(11)
    hold(11, mebibytes: 40)
    for pid: Int32 in [10, 11] { _ = stage.attach(pid, session: UInt64(pid)) }
    processors.add(10, threads: 1, ran: 1, waited: 1)
    let all = try await withThrowingTaskGroup(of: Double.self) { group in
      for _ in 0..<8 { group.addTask { try await recommendations().takenAt } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(all.count == 8 && comparer.state.withLock { $0.asked.count } <= Set(all).count)
  }
}
