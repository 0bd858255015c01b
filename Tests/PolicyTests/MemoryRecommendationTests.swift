import Model
import Policy
import Testing

private func mapping(
  _ start: UInt64, _ size: UInt64, _ label: String = "", _ permissions: Mapping.Permissions = [.read, .write],
  resident: UInt64 = 0
) -> Mapping {
  var usage = MemoryUsage()
  usage.resident = Bytes(resident)
  usage.anonymous = Bytes(resident)
  return Mapping(
    start: start, end: start + size, permissions: permissions, offset: 0, backing: .anonymous(label: label), usage: usage)
}

private let mib: UInt64 = 1 << 20
/// Where an arena may begin.
private let place: UInt64 = 0x7F00_0000_0000

@Suite struct HeapRecommendationTests {
  private func free(
    _ mappings: [Mapping], live: UInt64, blocks: UInt64 = 0, packages: [String] = []
  ) -> FreeHeap? {
    var heap = HeapCounters()
    heap.allocations = blocks
    heap.bytesAllocated = Bytes(live)
    let observation = HeapObservation(
      process: ProcessIdentity(pid: 7, startTicks: 1), processName: "server", heap: heap, mappings: mappings, packages: packages)
    return RecommendationPolicy(settings: UnloadingSettings()).recommendations(
      unloads: nil, threads: [], heaps: [observation], copies: []
    ).compactMap { if case .freeHeap(let heap) = $0 { heap } else { nil } }.first
  }

  @Test("heap and arenas count, what belongs to others does not") func ranges() {
    let mappings = [
      mapping(0x1000, 8 * mib, "heap", resident: 3), mapping(place, 2 * mib, resident: 10),
      mapping(place + 2 * mib, 62 * mib, "", []),
      // Not at a multiple, nothing reserved behind, reserved too little, executable, full.
      mapping(place + 65 * mib, 2 * mib, resident: 100), mapping(place + 67 * mib, 61 * mib, "", []),
      mapping(place + 128 * mib, mib, resident: 100), mapping(place + 192 * mib, mib, resident: 100),
      mapping(place + 193 * mib, 62 * mib, "", []),
      mapping(place + 256 * mib, mib, "", [.read, .write, .execute], resident: 100), mapping(place + 257 * mib, 63 * mib, "", []),
      mapping(place + 320 * mib, 64 * mib, resident: 100), mapping(place + 384 * mib, 64 * mib, "", []),
      mapping(place + 448 * mib, mib, "stack", resident: 100), mapping(place + 449 * mib, 63 * mib, "", []),
      // Named by glibc where decorations are on, and with a guard of a stack grown together with what is reserved.
      mapping(place + 512 * mib, mib, "anon: glibc: malloc arena", resident: 5), mapping(place + 513 * mib, 64 * mib, "", []),
    ]
    #expect(GlibcHeaps.resident(mappings) == Bytes(18))
    #expect(GlibcHeaps.resident([]) == .zero)
    #expect(GlibcHeaps.resident([mapping(place, mib, resident: 10)]) == .zero)
  }

  @Test("16 MiB, and a quarter of what the heaps hold")
  func thresholds() throws {
    func heap(_ resident: UInt64) -> [Mapping] { [mapping(0x1000, 1 << 40, "heap", resident: resident)] }
    #expect(free(heap(16 * mib - 1), live: 0) == nil)
    #expect(try #require(free(heap(16 * mib), live: 0)).free == .mebibytes(16))
    #expect(free(heap(100 * mib), live: 75 * mib)?.free == .mebibytes(25))
    #expect(free(heap(100 * mib), live: 75 * mib + 1) == nil)
    #expect(free(heap(100 * mib), live: 200 * mib) == nil)
    #expect(free([mapping(place + 4096, 1 << 30, resident: 1 << 30)], live: 0) == nil)
  }

  @Test("each live block takes eight bytes more than the agent counts") func headers() throws {
    let mappings = [mapping(0x1000, 1 << 40, "heap", resident: 64 * mib)]
    let found = try #require(free(mappings, live: 32 * mib, blocks: 1 << 20))
    #expect(found.live == .mebibytes(40) && found.free == .mebibytes(24) && found.resident == .mebibytes(64))
    #expect(free(mappings, live: 0, blocks: .max) == nil)
  }

  @Test("a start profile only for packages that it helps") func profiles() {
    let mappings = [mapping(0x1000, 1 << 40, "heap", resident: 64 * mib)]
    #expect(free(mappings, live: 0, packages: ["numpy", "onnxruntime", "torch"])?.profiled == ["onnxruntime"])
    #expect(free(mappings, live: 0, packages: ["tensorflow-cpu"])?.profiled == ["tensorflow"])
    #expect(free(mappings, live: 0, packages: ["torch", "tensorflowjs"])?.profiled == [])
  }
}

@Suite struct CopyRecommendationTests {
  private static let page: UInt64 = 4096
  /// 16 MiB.
  private static let least: UInt64 = 4096

  private typealias Sample = (pages: UInt64, sampled: UInt64, equal: [Int: UInt64])

  /// PIDs from 10 on; the first has nothing before it.
  private func all(_ samples: [Sample]) -> [MemoryCopies] {
    let first: Sample = (pages: 9_000, sampled: 9_000, equal: [:])
    let reading = ComparisonReading(
      program: "/usr/bin/python3",
      processes: ([first] + samples).enumerated().map {
        ComparisonReading.Process(
          identity: ProcessIdentity(pid: 10 + Int32($0), startTicks: 1), pages: $1.pages, sampled: $1.sampled, equal: $1.equal)
      }, pageSize: Bytes(Self.page), refused: 0, isPartial: false)
    return RecommendationPolicy(settings: UnloadingSettings()).recommendations(
      unloads: nil, threads: [], heaps: [], copies: [reading]
    ).compactMap { if case .copies(let copies) = $0 { copies } else { nil } }
  }

  private func copies(pages: UInt64, sampled: UInt64, equal: UInt64) -> MemoryCopies? {
    all([(pages: pages, sampled: sampled, equal: [0: equal])]).first
  }

  @Test("16 MiB of one other process at least") func threshold() {
    #expect(copies(pages: 9_000, sampled: 9_000, equal: Self.least - 1) == nil)
    #expect(copies(pages: 9_000, sampled: 9_000, equal: Self.least)?.duplicate == .mebibytes(16))
    #expect(all([]) == [])
  }

  @Test("every page looked at leaves nothing to chance, a sample has its interval") func sampling() throws {
    let whole = try #require(copies(pages: 10_000, sampled: 10_000, equal: 8_000))
    #expect(whole.low == whole.duplicate && whole.high == whole.duplicate && whole.duplicate == Bytes(8_000 * Self.page))
    let part = try #require(copies(pages: 100_000, sampled: 10_000, equal: 8_000))
    #expect(part.duplicate == Bytes(80_000 * Self.page) && part.low < part.duplicate && part.duplicate < part.high)
    // 1.96 sqrt(0.8 0.2 / 10,000 0.9) = 0.74 %.
    #expect(abs(Double(part.high.count) - Double(80_744 * Self.page)) < Double(Self.page) * 2)
    #expect(part.covered == Bytes(100_000 * Self.page) && part.sampled == Bytes(10_000 * Self.page))
  }

  @Test("few pages of a sample may be chance") func chance() {
    #expect(copies(pages: 1_000_000, sampled: 100, equal: 63) == nil)
    #expect(copies(pages: 1_000_000, sampled: 100, equal: 64) != nil)
    #expect(copies(pages: 1_000_000, sampled: 0, equal: 64) == nil)
    // More equal than looked at cannot be, and claims no more than all.
    #expect(copies(pages: 10_000, sampled: 100, equal: 400)?.duplicate == Bytes(10_000 * Self.page))
  }

  @Test("those that have nothing in common are left out, the others add up") func several() throws {
    let found = all([
      (pages: 8_000, sampled: 8_000, equal: [0: 8_000]), (pages: 8_000, sampled: 8_000, equal: [0: 3]),
      (pages: 8_000, sampled: 800, equal: [0: 400, 1: 400]),
    ])
    #expect(found.map { $0.processes.map(\.pid) } == [[10, 11, 13]] && found[0].duplicate == Bytes(16_000 * Self.page))
  }

  @Test("two pairs are two recommendations, what holds content of both joins them") func groups() {
    let pairs: [Sample] = [
      (pages: 8_000, sampled: 8_000, equal: [:]), (pages: 8_000, sampled: 8_000, equal: [1: 8_000]),
      (pages: 9_000, sampled: 9_000, equal: [0: 9_000]),
    ]
    #expect(all(pairs).map { $0.processes.map(\.pid) } == [[10, 13], [11, 12]])
    let joined = all(pairs + [(pages: 8_000, sampled: 8_000, equal: [0: 2_100, 2: 2_100])])
    #expect(joined.map { $0.processes.map(\.pid) } == [[10, 11, 12, 13, 14]])
    // A process that comes after cannot have had it before.
    #expect(all([(pages: 8_000, sampled: 8_000, equal: [1: 8_000, 5: 8_000])]) == [])
  }

  @Test("processes of one program and user with large private memory are compared") func candidates() {
    func candidate(_ pid: Int32, _ mappings: [Mapping], program: String = "/usr/bin/python3", user: UInt32 = 1) -> CopyCandidate {
      CopyCandidate(
        identity: ProcessIdentity(pid: pid, startTicks: 1), program: Array(program.utf8), user: user, mappings: mappings)
    }
    let large = [
      mapping(place, 64 * mib, resident: 20 * mib), mapping(place + 64 * mib, mib, resident: mib - 1),
      mapping(place + 80 * mib, 64 * mib, "heap", resident: mib),
      mapping(place + 160 * mib, 64 * mib, "", [.read], resident: 9 * mib),
      mapping(place + 240 * mib, 64 * mib, "", [.read, .write, .shared], resident: 9 * mib),
    ]
    let larger = [mapping(place, 64 * mib, resident: 30 * mib)]
    let small = [mapping(place, 64 * mib, resident: 16 * mib - 1)]
    let programs = CopyCandidate.programs([
      candidate(1, large), candidate(2, larger), candidate(3, small), candidate(4, large, user: 2),
      candidate(5, large, program: "/usr/bin/ruby"),
    ])
    #expect(programs.map(\.program) == ["/usr/bin/python3"])
    #expect(programs.first?.processes.map(\.identity.pid) == [2, 1])
    #expect(programs.first?.processes.last?.ranges == [place..<(place + 64 * mib), (place + 80 * mib)..<(place + 144 * mib)])
    #expect(programs.first?.processes.last?.resident == .mebibytes(21))
  }
}
