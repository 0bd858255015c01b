import Model
import Testing

@testable import Supervisor

@Suite struct InventoryTests {
  static let library = file("/usr/lib/a.so", inode: 1)

  @Test func sumsOfObjectsAndRemainderAreTheTotal() {
    let mappings = [
      mapping(0x1000, 0x1000, .file(Self.library), [.read, .execute]),
      mapping(0x2000, 0x1000, .file(Self.library), anonymous: 4096, [.read, .write]),
      mapping(0x3000, 0x1000, .anonymous(label: ""), anonymous: 4096),
      mapping(0x9000, 0x1000, .anonymous(label: "heap"), anonymous: 4096),
      mapping(0xF000, 0x1000, .kernel(label: "vdso"), resident: 0),
    ]
    let inventory = Inventory(mappings: mappings, agentModules: [module(1, "/usr/lib/a.so", 0x1000, 0x4000)])
    #expect(inventory.objects.count == 1)
    #expect(inventory.objects[0].usage.resident + inventory.remainder.resident == inventory.total.resident)
    #expect(inventory.total.resident == Bytes(4 * 4096))
    #expect(inventory.fileBacked == Bytes(4096))
  }

  @Test func zeroInitialisedDataBelongsToItsModuleOnlyInsideItsRange() {
    let mappings = [
      mapping(0x1000, 0x1000, .file(Self.library), [.read, .execute]),
      mapping(0x2000, 0x1000, .anonymous(label: ""), anonymous: 4096),
      mapping(0x3000, 0x1000, .anonymous(label: ""), anonymous: 4096),
    ]
    let inventory = Inventory(mappings: mappings, agentModules: [module(1, "/usr/lib/a.so", 0x1000, 0x3000)])
    #expect(inventory.objects[0].usage.resident == Bytes(8192))
    #expect(inventory.remainder.resident == Bytes(4096))
  }

  @Test func aDataFileIsAnObjectButNoModule() {
    let inventory = Inventory(mappings: [mapping(0x1000, 0x1000, .file(file("/data/model.onnx")))], agentModules: [])
    #expect(inventory.objects.map(\.isModule) == [false])
  }

  @Test func modulesWithNonsenseRangesMatchNothing() {
    let mappings = [mapping(0x1000, 0x1000, .file(Self.library), [.execute])]
    let lies = [module(1, "/x", 0, 0), module(2, "/y", .max - 1, .max)]
    let inventory = Inventory(mappings: mappings, agentModules: lies)
    #expect(inventory.objects[0].agents.isEmpty)
  }

  @Test func aLibraryInTwoNamespacesIsOneObjectWithTheDataOfBoth() {
    let mappings = [
      mapping(0x1000, 0x1000, .file(Self.library), [.read, .execute]),
      mapping(0x2000, 0x1000, .anonymous(label: ""), anonymous: 4096),
      mapping(0x9000, 0x1000, .file(Self.library), [.read, .execute]),
      mapping(0xA000, 0x1000, .anonymous(label: ""), anonymous: 4096),
    ]
    var second = module(2, "/usr/lib/a.so", 0x9000, 0xB000)
    second.nameSpace = 1
    let inventory = Inventory(mappings: mappings, agentModules: [second, module(1, "/usr/lib/a.so", 0x1000, 0x3000)])
    #expect(inventory.objects.count == 1)
    #expect(inventory.objects[0].agents.map(\.nameSpace) == [0, 1])
    #expect(inventory.objects[0].usage.resident == Bytes(4 * 4096))
    #expect(inventory.remainder.resident == .zero)
  }

  @Test func tenThousandAnonymousMappingsFindTheirModuleAmongFourThousand() {
    // Each module: its file, then 8 KiB of zero-initialised data in its range, then 8 KiB that is nobody's.
    var mappings: [Mapping] = []
    var modules: [AgentModule] = []
    for index in 0..<4_000 as Range<UInt64> {
      let start = 0x10_0000 + index * 0x8000
      mappings.append(mapping(start, 0x1000, .file(file("/lib/\(index).so", inode: index + 1))))
      mappings.append(mapping(start + 0x1000, 0x1000, .anonymous(label: ""), resident: 8192))
      mappings.append(mapping(start + 0x2000, 0x1000, .anonymous(label: ""), resident: 8192))
      mappings.append(mapping(start + 0x4000, 0x1000, .anonymous(label: ""), resident: 100))
      modules.append(module(UInt32(index) + 1, "/lib/\(index).so", start, start + 0x3000))
    }
    let inventory = Inventory(mappings: mappings, agentModules: modules)
    #expect(inventory.objects.allSatisfy { $0.usage.resident == Bytes(4096 + 2 * 8192) })
    #expect(inventory.objects.count == 4_000)
    #expect(inventory.remainder.resident == Bytes(400_000))
  }

  @Test func neededLibrariesAreFoundBySonameBeforeFileName() {
    var a = ElfFacts()
    a.soname = "libz.so.1"
    var b = ElfFacts()
    b.needed = ["libz.so.1", "libmissing.so"]
    let graph = DependencyGraph([("libz.so.1.2.13", a), ("b.so", b), ("libz.so.1", nil)])
    #expect(graph.dependents == [[1], [], []])
  }
}

@Suite struct LastUseTests {
  @Test func firstScanOnlyStartsTheObservation() {
    var use = LastUse()
    let used = mapping(0, 4096, .file(file("/a.so")), referenced: 4096)
    use.scan([used], processorTicks: 1, at: 10)
    #expect(use.time(of: file("/a.so"), loadedAt: nil) == nil)
    use.scan([used], processorTicks: 2, at: 70)
    #expect(use.time(of: file("/a.so"), loadedAt: nil) == 70)
  }

  @Test func aFileNotReferencedKeepsItsLastTime() {
    var use = LastUse()
    let used = mapping(0, 4096, .file(file("/a.so")), referenced: 4096)
    let unused = mapping(0, 4096, .file(file("/a.so")))
    use.scan([unused], processorTicks: 1, at: 10)
    use.scan([used], processorTicks: 2, at: 70)
    use.scan([unused], processorTicks: 3, at: 130)
    #expect(use.time(of: file("/a.so"), loadedAt: nil) == 70)
    #expect(use.time(of: file("/a.so"), loadedAt: 90) == 90)
  }

  @Test func aProcessThatDidNotRunIsNotWorthAScan() {
    var use = LastUse()
    #expect(use.isWorthScanning(processorTicks: 5))
    use.scan([], processorTicks: 5, at: 1)
    #expect(!use.isWorthScanning(processorTicks: 5))
    #expect(use.isWorthScanning(processorTicks: 6))
  }
}

@Suite struct EventHistoryTests {
  private func record(_ pid: Int32) -> EventRecord {
    EventRecord(sequence: 0, at: 1, pid: pid, processName: "p", kind: .loaded)
  }

  @Test func saysHowManyAreGone() {
    var history = EventHistory(capacity: 3)
    for pid in 1...5 { history.append(record(Int32(pid))) }
    let page = history.page(after: 0, limit: 10, pid: nil)
    #expect(page.events.map(\.pid) == [3, 4, 5])
    #expect(page.lost == 2)
    #expect(page.next == 5)
  }

  @Test func longTextsDropOlderEventsBeforeTheirNumberDoes() {
    var history = EventHistory(capacity: 100, textLimit: 1_000)
    for pid in 1...20 {
      var event = record(Int32(pid))
      event.subject = String(repeating: "x", count: 299)
      history.append(event)
    }
    #expect(history.page(after: nil, limit: 100, pid: nil).events.map(\.pid) == [18, 19, 20])
    #expect(history.page(after: 0, limit: 100, pid: nil).lost == 17)
    var huge = record(21)
    huge.subject = String(repeating: "x", count: 2_000)
    history.append(huge)
    #expect(history.page(after: nil, limit: 100, pid: nil).events.isEmpty)
    history.append(record(22))
    #expect(history.page(after: nil, limit: 100, pid: nil).events.map(\.pid) == [22])
  }

  @Test func pagesFollowOneAnother() {
    var history = EventHistory(capacity: 10)
    for pid in 1...5 { history.append(record(Int32(pid))) }
    let first = history.page(after: nil, limit: 2, pid: nil)
    let second = history.page(after: first.next, limit: 10, pid: nil)
    #expect((first.events + second.events).map(\.pid) == [1, 2, 3, 4, 5])
    #expect(history.page(after: second.next, limit: 10, pid: nil).events.isEmpty)
  }

  @Test func aReaderFromAnEarlierSupervisorStartsOver() {
    var history = EventHistory(capacity: 10)
    history.append(record(1))
    #expect(history.page(after: 900, limit: 10, pid: nil).events.map(\.pid) == [1])
    #expect(history.page(after: .max, limit: 10, pid: nil).events.map(\.pid) == [1])
  }

  @Test func filterSkipsOtherProcessesWithoutLosingTheirPlace() {
    var history = EventHistory(capacity: 10)
    for pid in [1, 2, 1, 2] { history.append(record(Int32(pid))) }
    let page = history.page(after: nil, limit: 1, pid: 2)
    #expect(page.events.map(\.sequence) == [2])
    #expect(history.page(after: page.next, limit: 1, pid: 2).events.map(\.sequence) == [4])
  }
}

@Suite struct AllocationRateTests {
  @Test func needsTwoReadingsFarEnoughApart() {
    var rate = AllocationRate()
    var heap = HeapCounters()
    rate.take(heap, at: 1_000_000_000)
    heap.allocations = 50
    heap.bytesAllocated = Bytes(5_000)
    rate.take(heap, at: 1_000_000_001)
    #expect(rate.allocationsPerSecond == nil)
    rate.take(heap, at: 2_000_000_000)
    #expect(rate.allocationsPerSecond == 50)
    #expect(rate.bytesPerSecond == 5_000)
  }

  @Test func tellsWhetherAnythingWasAllocated() {
    var rate = AllocationRate()
    var heap = HeapCounters()
    heap.allocations = 7
    var answers = [rate.take(heap, at: 1_000_000_000), rate.take(heap, at: 2_000_000_000)]
    heap.allocations = 8
    answers += [2_000_000_001, 3_000_000_000, 4_000_000_000].map { rate.take(heap, at: $0) }
    #expect(answers == [false, false, false, true, false])
  }

  @Test func countersThatGoBackwardsGiveNoRate() {
    var rate = AllocationRate()
    var heap = HeapCounters()
    heap.allocations = 50
    rate.take(heap, at: 1_000_000_000)
    heap.allocations = 40
    rate.take(heap, at: 2_000_000_000)
    #expect(rate.allocationsPerSecond == nil)
  }
}
