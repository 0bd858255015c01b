import Model

/// Why a look at a process failed. Everything else about the cause is the platform's and goes to the log.
public enum InspectionError: Error, Hashable, Sendable {
  /// The process is gone, or its PID names another one now.
  case gone
  case notPermitted(String)
  case unreadable(String)
}

/// What the supervisor asks of /proc. Every call blocks for at most some milliseconds.
public protocol ProcessInspecting: Sendable {
  func facts(of pid: Int32) throws(InspectionError) -> ProcessFacts
  /// The parts of `facts` that change, cheap enough to ask of 1,000 processes a second; the rest is copied from `before`.
  func refreshed(_ before: ProcessFacts) throws(InspectionError) -> ProcessFacts
  /// False for one that has ended and waits for its parent. The cheapest question there is.
  func isRunning(_ identity: ProcessIdentity) throws(InspectionError) -> Bool
  func mappings(of pid: Int32) throws(InspectionError) -> [Mapping]
  /// Files mapped with a right to execute them: what `mappings` would list as modules, without a walk over the page tables.
  func moduleCount(of pid: Int32) throws(InspectionError) -> Int
  /// The sums over all mappings, cheaper than `mappings` but still a walk over the page tables.
  func totals(of pid: Int32) throws(InspectionError) -> MemoryUsage
  /// Starts a new observation of use: `Mapping.usage.referenced` counts from here.
  func clearReferenced(of pid: Int32) throws(InspectionError)
  /// Bytes of glibc's blocks that have a mapping of their own, among these mappings.
  func mappedBlocks(of identity: ProcessIdentity, in mappings: [Mapping]) throws(InspectionError) -> Bytes
  /// A variable of the environment that the program was started with; nil when it is not set.
  func variable(_ name: String, of pid: Int32) throws(InspectionError) -> [UInt8]?
}

/// What is known about files that processes map.
public protocol FileInspecting: Sendable {
  /// Facts of the ELF file a process maps; nil when it is no ELF file. Fails when the path leads to another file now.
  func elf(_ file: FileReference, of pid: Int32) throws(InspectionError) -> ElfFacts?
  /// Owner of each path as `pid` sees it. Every path gets an answer.
  func packages(for paths: Set<[UInt8]>, of pid: Int32, program: [UInt8]?) -> [[UInt8]: PackageIdentity]
}

/// An agent's segment: see `LinuxPlatform.AgentSegment`.
public protocol SegmentReading: Sendable {
  /// Inode of the memfd, as the process's maps show it.
  var inode: UInt64 { get }
  func heap() -> HeapCounters
  /// What a listing shows, without reading the table.
  func summary() -> AgentSummary
  func report() -> AgentReport?
  func events(from index: UInt64) -> (events: [AgentEvent], next: UInt64, lost: UInt64)
  /// Commands beyond the first version's that the agent knows.
  var abilities: AgentAbilities { get }
  /// The agent answers at once; without a thread of its own, when the program allocates.
  var hasControlThread: Bool { get }
  /// Closed libraries that the agent keeps at most; nil when it keeps none for want of knowing how.
  var cacheLimit: Int? { get }
}

/// A process with the agent in it that has not connected: it was there before the supervisor.
public struct FoundAgent: Sendable {
  public var pid: Int32
  /// Nil when it never had a supervisor: then /proc alone tells of it until it connects.
  public var segment: (any SegmentReading)?

  public init(pid: Int32, segment: (any SegmentReading)?) {
    self.pid = pid
    self.segment = segment
  }
}

/// Looks for agents that have no reason to speak up: an idle process does nothing that could make it connect.
public protocol AgentFinding: Sendable {
  func find(except known: Set<Int32>) -> [FoundAgent]
}

/// How full the memory is that binds what is watched: see `LinuxPlatform.MemoryMeter`.
public protocol MemoryMetering: Sendable {
  /// Without `stall`. Nil when it cannot be read.
  func pressure() -> MemoryPressure?
  /// Microseconds since some start in which something waited for memory; nil when the kernel does not say.
  func stalledMicroseconds() -> UInt64?
  /// Swap in use on the machine; nil when it cannot be read.
  func swapUsed() -> Bytes?
}

/// Gives pages of other processes back from outside. Every call may take as long as a walk over the pages.
public protocol PageReclaiming: Sendable {
  /// Pages of these addresses that no other process maps: clean ones are dropped, others written to a swap.
  func pageOut(_ ranges: [AddressRange], of identity: ProcessIdentity) throws(InspectionError)
  /// Lets go of a file's pages in memory that nobody maps any more.
  /// - Returns: Why not, in a word; nil when the kernel was asked.
  func dropCache(of file: FileReference, in pid: Int32) -> String?
  /// Why a file's pages had better stay in memory, in a word: where they come from may be gone. Nil for none.
  func obstacle(of file: FileReference, in pid: Int32) -> String?
  /// Nil when it cannot be read.
  func freeSwap() -> Bytes?
  /// Has the kernel take so much of the control group of a process, where only processes that are meant are in it.
  func reclaimGroup(_ bytes: Bytes, of pid: Int32, meant: Set<Int32>) -> GroupAnswer
  /// Why the kernel merges no equal pages, in a word; nil when it does.
  func mergingObstacle() -> String?
  /// What the kernel keeps merged of a process; nil when it does not say.
  func merged(of pid: Int32) -> Bytes?
}

/// What came of asking the kernel for memory of a control group.
public enum GroupAnswer: Hashable, Sendable {
  /// What the group holds fewer, and whether there is more to be had.
  case taken(Bytes, hasMore: Bool)
  /// Nothing was asked: why, in a word.
  case unavailable(String)
}

/// How fast files are read again: see `LinuxPlatform.StorageMeter`.
public protocol StorageMetering: Sendable {
  /// Seconds for each byte; nil when it cannot be told. Blocks for about 50 ms, or one read of a slow disk.
  func secondsPerByte(of file: FileReference, in pid: Int32) -> Double?
}

/// What threads get of the processors: see `LinuxPlatform.ProcessorMeter`.
public protocol ProcessorMetering: Sendable {
  func threads(of pid: Int32) throws(InspectionError) -> ThreadTimes
  /// Processors that these threads may use.
  func allowance(of pid: Int32, threads: [Int32]) throws(InspectionError) -> ProcessorAllowance
}

/// Finds equal content in several processes: see `LinuxPlatform.PageComparison`. Takes some seconds, on a thread of its own.
public protocol MemoryComparing: Sendable {
  /// What could be read of each program.
  func compare(_ programs: [ComparedProgram]) async -> [ComparisonReading]
}

/// Remembers what was decided: see `Journal`. Never waits for a disk.
public protocol HistoryRecording: Sendable {
  /// - Parameters:
  ///   - outcome: What came of it; nil as long as nothing has.
  ///   - reason: Why it was to go.
  func record(_ decision: DecisionRecord, outcome: UnloadOutcome?, because reason: UnloadReason)
  /// What is about to be carried out. Written soon, whatever comes of it.
  /// - Returns: The number under which its outcome is told.
  func begin(_ decision: DecisionRecord) -> UInt64
  func finish(_ number: UInt64, _ outcome: OutcomeRecord)
  func record(_ change: ConfigurationChange)
  func record(_ samples: [MetricSample])
  /// Called about once a second: what waits is written soon.
  /// - Parameter wall: Seconds since 1970, now.
  func flush(at wall: Double)
}

/// Time, passed in so that tests move it by hand.
public struct Moment: Hashable, Sendable, Comparable {
  /// Seconds since 1970, for people.
  public var wall: Double
  /// CLOCK_MONOTONIC in nanoseconds, for differences.
  public var monotonic: UInt64

  public init(wall: Double, monotonic: UInt64) {
    self.wall = wall
    self.monotonic = monotonic
  }

  public static func < (left: Moment, right: Moment) -> Bool { left.monotonic < right.monotonic }

  /// The wall time of an earlier or later reading of CLOCK_MONOTONIC.
  public func wallTime(ofMonotonic nanoseconds: UInt64) -> Double {
    wall - (Double(monotonic) - Double(nanoseconds)) / 1e9
  }
}
