import Dispatch
import LinuxPlatform
import Model
import SocketAPI
import Supervisor

/// /proc as the supervisor wants it.
struct ProcFSInspector: ProcessInspecting {
  let proc = ProcFS()

  func facts(of pid: Int32) throws(InspectionError) -> ProcessFacts {
    try inspecting { () throws(PlatformError) in try proc.facts(of: pid) }
  }
  func refreshed(_ before: ProcessFacts) throws(InspectionError) -> ProcessFacts {
    try inspecting { () throws(PlatformError) in try proc.refreshed(before) }
  }
  func isRunning(_ identity: ProcessIdentity) throws(InspectionError) -> Bool {
    do throws(InspectionError) {
      let quick = try inspecting { () throws(PlatformError) in try proc.quickFacts(of: identity.pid) }
      return quick.identity == identity && quick.state != "Z"
    } catch {
      if case .gone = error { return false }
      throw error
    }
  }
  func mappings(of pid: Int32) throws(InspectionError) -> [Mapping] {
    try inspecting { () throws(PlatformError) in try proc.mappings(of: pid) }
  }
  func moduleCount(of pid: Int32) throws(InspectionError) -> Int {
    try inspecting { () throws(PlatformError) in try proc.moduleCount(of: pid) }
  }
  func totals(of pid: Int32) throws(InspectionError) -> MemoryUsage {
    try inspecting { () throws(PlatformError) in try proc.rollup(of: pid) }
  }
  func clearReferenced(of pid: Int32) throws(InspectionError) {
    try inspecting { () throws(PlatformError) in try proc.clearReferenced(of: pid) }
  }
  func mappedBlocks(of identity: ProcessIdentity, in mappings: [Mapping]) throws(InspectionError) -> Bytes {
    try inspecting { () throws(PlatformError) in try MappedBlocks(proc: proc).bytes(of: identity, in: mappings) }
  }
  func variable(_ name: String, of pid: Int32) throws(InspectionError) -> [UInt8]? {
    try inspecting { () throws(PlatformError) in try proc.variable(name, of: pid) }
  }
}

/// Agents that are not connected.
struct ProcFSFinder: AgentFinding {
  let discovery: AgentDiscovery

  func find(except known: Set<Int32>) -> [FoundAgent] {
    discovery.find(except: known).map { FoundAgent(pid: $0.pid, segment: $0.segment) }
  }
}

/// Mapped files as the supervisor wants them.
struct CatalogInspector: FileInspecting {
  let catalog = FileCatalog()

  func elf(_ file: FileReference, of pid: Int32) throws(InspectionError) -> ElfFacts? {
    try inspecting { () throws(PlatformError) in try catalog.elf(file, of: pid) }
  }
  func packages(for paths: Set<[UInt8]>, of pid: Int32, program: [UInt8]?) -> [[UInt8]: PackageIdentity] {
    catalog.packages(for: paths, of: pid, program: program)
  }
}

extension MemoryMeter: MemoryMetering {}
extension PressureWatcher: PressureWatching {}
extension PressureListener: PressureTelling {}

/// Threads and processors as the supervisor wants them.
struct ProcFSProcessors: ProcessorMetering {
  let meter = ProcessorMeter()

  func threads(of pid: Int32) throws(InspectionError) -> ThreadTimes {
    try inspecting { () throws(PlatformError) in try meter.threads(of: pid) }
  }
  func allowance(of pid: Int32, threads: [Int32]) throws(InspectionError) -> ProcessorAllowance {
    try inspecting { () throws(PlatformError) in try meter.allowance(of: pid, threads: threads) }
  }
}

/// Compares memory on a queue of its own: seconds of reading hold up neither the supervisor nor those who serve HTTP.
struct QueuedComparison: MemoryComparing {
  private let queue = DispatchQueue(label: "mlos.comparison", qos: .utility)
  private let comparison = PageComparison()

  func compare(_ programs: [ComparedProgram]) async -> [ComparisonReading] {
    let comparison = comparison
    return await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: comparison.compare(programs)) }
    }
  }
}

/// Heap profiles as the supervisor wants them.
struct RecorderProfiler: HeapProfiling {
  func begin(_ pid: Int32, mean: UInt64, rate: UInt32, deadline: UInt64) throws(InspectionError) -> any HeapRecording {
    try inspecting { () throws(PlatformError) in try HeapRecorder(pid: pid, mean: mean, rate: rate, deadline: deadline) }
  }
}

extension HeapRecorder: HeapRecording {}

private func inspecting<Value>(_ body: () throws(PlatformError) -> Value) throws(InspectionError) -> Value {
  do throws(PlatformError) {
    return try body()
  } catch {
    switch error.code {
    case .gone, .notFound: throw .gone
    case .notPermitted: throw .notPermitted(error.description)
    case .malformed, .tooLarge, .failed: throw .unreadable(error.description)
    }
  }
}

extension StorageMeter: StorageMetering {
  public func secondsPerByte(of file: FileReference, in pid: Int32) -> Double? {
    do throws(PlatformError) { return try measured(file, in: pid) } catch { return nil }
  }
}

/// Pages of other processes as the supervisor wants them given back.
struct PlatformPages: PageReclaiming {
  let reclaimer = PageReclaimer()
  let meter = MemoryMeter()
  let merging = PageMerging()
  let groups = GroupReclaimer()

  func pageOut(_ ranges: [AddressRange], of identity: ProcessIdentity) throws(InspectionError) {
    try inspecting { () throws(PlatformError) in
      try reclaimer.pageOut(ranges.map { ($0.start, $0.end) }, of: identity)
    }
  }
  func dropCache(of file: FileReference, in pid: Int32) -> String? {
    do throws(PlatformError) {
      try reclaimer.dropCache(of: file, in: pid)
      return nil
    } catch {
      return error.code == .notFound ? "file-replaced" : error.code.rawValue
    }
  }
  func obstacle(of file: FileReference, in pid: Int32) -> String? {
    // A file that cannot be opened here is still the process's: its pages come back from where they came.
    guard let system = try? reclaimer.fileSystem(of: file, in: pid) else { return nil }
    return PageReclaimer.remoteFileSystems.contains(system) ? "remote-file-system" : nil
  }
  func freeSwap() -> Bytes? { meter.swapFree() }
  func reclaimGroup(_ bytes: Bytes, of pid: Int32, meant: Set<Int32>) -> GroupAnswer {
    do throws(GroupReclaimer.Refusal) {
      let outcome = try groups.reclaim(bytes, of: pid, meant: meant)
      return .taken(outcome.before - outcome.after, hasMore: outcome.isComplete)
    } catch {
      return .unavailable(error.word)
    }
  }
  func mergingObstacle() -> String? { merging.obstacle() }
  func merged(of pid: Int32) -> Bytes? { merging.merged(of: pid) }
}
