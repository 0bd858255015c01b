import Logging
import Model
import Synchronization

@testable import Supervisor

/// /proc as the test says it is.
final class FakeProc: ProcessInspecting {
  struct State {
    var facts: [Int32: ProcessFacts] = [:]
    var mappings: [Int32: [Mapping]] = [:]
    var failures: [Int32: InspectionError] = [:]
    var cleared: [Int32] = []
    /// As the kernel does; else a test's bits stay as it set them.
    var clearsReferenced = false
    var unmeasurable: Set<Int32> = []
    var variables: [Int32: [String: String]] = [:]
    var hidesVariables = false
    /// Nil: it may not be read.
    var mappedBlocks: [Int32: Bytes] = [:]
    /// PIDs of `totals`, in order.
    var measured: [Int32] = []
  }
  let state = Mutex(State())

  func facts(of pid: Int32) throws(InspectionError) -> ProcessFacts {
    let (facts, failure) = state.withLock { ($0.facts[pid], $0.failures[pid]) }
    if let failure { throw failure }
    guard let facts else { throw .gone }
    return facts
  }
  func refreshed(_ before: ProcessFacts) throws(InspectionError) -> ProcessFacts { try facts(of: before.identity.pid) }
  func isRunning(_ identity: ProcessIdentity) throws(InspectionError) -> Bool {
    state.withLock { $0.facts[identity.pid]?.identity == identity }
  }
  func mappings(of pid: Int32) throws(InspectionError) -> [Mapping] {
    let (mappings, failure) = state.withLock { ($0.mappings[pid], $0.failures[pid]) }
    if let failure { throw failure }
    return mappings ?? []
  }
  func moduleCount(of pid: Int32) throws(InspectionError) -> Int {
    Set(
      try mappings(of: pid).compactMap { mapping -> FileReference? in
        guard case .file(let file) = mapping.backing, mapping.permissions.contains(.execute) else { return nil }
        return file
      }
    ).count
  }
  func totals(of pid: Int32) throws(InspectionError) -> MemoryUsage {
    let refused = state.withLock { state in
      state.measured.append(pid)
      return state.unmeasurable.contains(pid)
    }
    if refused { throw .notPermitted("smaps_rollup") }
    return try mappings(of: pid).reduce(into: MemoryUsage()) { $0 += $1.usage }
  }
  func clearReferenced(of pid: Int32) throws(InspectionError) {
    state.withLock { $0.cleared.append(pid) }
    if state.withLock({ $0.clearsReferenced }) { setReferenced(pid, .zero) }
  }
  func mappedBlocks(of identity: ProcessIdentity, in mappings: [Mapping]) throws(InspectionError) -> Bytes {
    guard let bytes = state.withLock({ $0.mappedBlocks[identity.pid] }) else { throw .notPermitted("mem") }
    return bytes
  }
  func variable(_ name: String, of pid: Int32) throws(InspectionError) -> [UInt8]? {
    let (value, isHidden) = state.withLock { ($0.variables[pid]?[name], $0.hidesVariables) }
    if isHidden { throw .notPermitted("environ") }
    return value.map { Array($0.utf8) }
  }

  func add(_ pid: Int32, startTicks: UInt64 = 100, parent: Int32 = 1, ticks: UInt64 = 5, name: String = "server") {
    let facts = ProcessFacts(
      identity: ProcessIdentity(pid: pid, startTicks: startTicks), parent: parent, user: 1000, name: name, commandLine: name,
      executable: Array("/usr/bin/\(name)".utf8), state: "S", threads: 1, virtual: .mebibytes(9), resident: .mebibytes(3),
      residentAnonymous: .mebibytes(1), residentFile: .mebibytes(2), residentShared: .zero, swap: .zero, processorTicks: ticks,
      minorFaults: 0, majorFaults: 0, seccomp: 0, stackBottom: 0x7FFF_0000_0000)
    state.withLock { $0.facts[pid] = facts }
  }
}

/// Packages by the second path component, ELF facts by path.
struct FakeFiles: FileInspecting {
  var elf: [String: ElfFacts] = [:]
  func elf(_ file: FileReference, of pid: Int32) throws(InspectionError) -> ElfFacts? { elf[file.displayPath] }
  func packages(for paths: Set<[UInt8]>, of pid: Int32, program: [UInt8]?) -> [[UInt8]: PackageIdentity] {
    var answer: [[UInt8]: PackageIdentity] = [:]
    for path in paths {
      let parts = printable(path).split(separator: "/")
      answer[path] = PackageIdentity(name: parts.count > 1 ? String(parts[1]) : "none", kind: parts.count > 1 ? .system : .file)
    }
    return answer
  }
}

/// A segment whose contents the test sets.
final class FakeSegment: SegmentReading {
  struct State {
    var report: AgentReport
    var events: [AgentEvent] = []
    var lost: UInt64 = 0
    var cacheLimit: Int?
    var busyRegions: UInt32 = 0
  }
  let inode: UInt64
  let state: Mutex<State>

  init(inode: UInt64 = 77, modules: [AgentModule] = [], live: UInt64 = 0) {
    self.inode = inode
    var heap = HeapCounters()
    heap.allocations = 10
    heap.bytesAllocated = Bytes(live)
    state = Mutex(
      State(
        report: AgentReport(
          state: .active, reason: nil, version: "1", allocator: "glibc", heap: heap, controlThread: nil, dlopenCalls: 0,
          dlcloseCalls: 0, forks: 0, wakeups: 0, modules: modules, modulesDropped: 0, eventsHead: 0, otherNamespaces: .none)))
  }
  var cacheLimit: Int? { state.withLock { $0.cacheLimit } }
  func heap() -> HeapCounters { state.withLock { $0.report.heap } }
  func summary() -> AgentSummary {
    state.withLock {
      AgentSummary(
        state: $0.report.state, reason: $0.report.reason, allocator: $0.report.allocator, heap: $0.report.heap,
        modulesLoaded: $0.report.modules.count(where: \.isLoaded), modulesDropped: $0.report.modulesDropped,
        busyRegions: $0.busyRegions)
    }
  }
  func report() -> AgentReport? { state.withLock { $0.report } }
  func events(from index: UInt64) -> (events: [AgentEvent], next: UInt64, lost: UInt64) {
    state.withLock { state in
      let lost = state.lost
      state.lost = 0
      return (state.events.filter { $0.index >= index }, UInt64(state.events.count), lost)
    }
  }
  func append(_ kind: AgentEvent.Kind, argument: Int64 = 0, module: UInt32? = nil, text: String = "", isTextCut: Bool = false) {
    state.withLock {
      $0.events.append(
        AgentEvent(
          index: UInt64($0.events.count), time: 1, kind: kind, thread: 1, module: module, argument: argument,
          text: Array(text.utf8), isTextCut: isTextCut))
    }
  }
}

/// A clock moved by hand.
final class ManualClock: Sendable {
  private let moment = Mutex(Moment(wall: 1_000, monotonic: 50_000_000_000))
  var now: Moment { moment.withLock { $0 } }
  func advance(seconds: Double) {
    moment.withLock { $0 = Moment(wall: $0.wall + seconds, monotonic: $0.monotonic + UInt64(seconds * 1e9)) }
  }
}

/// Finds what the test put there.
struct FakeFinder: AgentFinding {
  var found: [FoundAgent] = []
  func find(except known: Set<Int32>) -> [FoundAgent] { found.filter { !known.contains($0.pid) } }
}

struct Stage {
  let proc = FakeProc()
  let clock = ManualClock()
  let supervisor: Supervisor

  init(
    files: FakeFiles = FakeFiles(), finder: FakeFinder = FakeFinder(), processLimit: Int = 100, eventCapacity: Int = 100,
    observeInterval: Double? = 60,
    isEphemeral: Bool = false, meter: (any MemoryMetering)? = nil, history: (any HistoryRecording)? = nil,
    unloading: UnloadingSettings = UnloadingSettings(), pages: (any PageReclaiming)? = nil,
    processors: (any ProcessorMetering)? = nil, comparer: (any MemoryComparing)? = nil,
    storage: (any StorageMetering)? = nil
  ) {
    let clock = clock
    supervisor = Supervisor(
      inspector: proc, files: files, finder: finder,
      options: SupervisorOptions(
        processLimit: processLimit, eventCapacity: eventCapacity, observeInterval: observeInterval, isEphemeral: isEphemeral,
        unloading: unloading),
      ownPID: 1, ticksPerSecond: 100, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, pages: pages, meter: meter,
      recorder: history, processorMeter: processors, comparer: comparer, storage: storage, pause: { clock.advance(seconds: $0) },
      now: { clock.now })
  }

  func attach(
    _ pid: Int32, session: UInt64, segment: FakeSegment = FakeSegment(), commands: (any AgentCommanding)? = nil
  ) -> String? {
    supervisor.agentAttached(
      SessionOpening(id: SessionID(session), pid: pid, user: 1000, segment: segment, commands: commands))
  }
  func kinds(of pid: Int32? = nil) async -> [EventRecord.Kind] {
    await supervisor.events(after: nil, limit: 1_000, wait: 0, pid: pid).events.map(\.kind)
  }
}

func file(_ path: String, inode: UInt64 = 1) -> FileReference {
  FileReference(device: 8, inode: inode, path: Array(path.utf8), isDeleted: false)
}

func mapping(
  _ start: UInt64, _ size: UInt64, _ backing: Mapping.Backing, resident: UInt64 = 4096, anonymous: UInt64 = 0,
  referenced: UInt64 = 0, _ permissions: Mapping.Permissions = [.read]
) -> Mapping {
  var usage = MemoryUsage()
  usage.mapped = Bytes(size)
  usage.resident = Bytes(resident)
  usage.proportional = Bytes(resident)
  usage.anonymous = Bytes(anonymous)
  usage.referenced = Bytes(referenced)
  return Mapping(start: start, end: start + size, permissions: permissions, offset: 0, backing: backing, usage: usage)
}

func module(_ id: UInt32, _ path: String, _ start: UInt64, _ end: UInt64, isLoaded: Bool = true) -> AgentModule {
  AgentModule(
    id: id, isLoaded: isLoaded, path: Array(path.utf8), device: 8, inode: UInt64(id), buildID: [], loadAddress: start,
    mapStart: start, mapEnd: end, dlopenCount: 1, dlcloseCount: 0, firstLoad: 40_000_000_000, lastLoad: 45_000_000_000,
    unload: isLoaded ? nil : 46_000_000_000, nameSpace: 0, wasThereAtStart: false, isMain: false)
}
