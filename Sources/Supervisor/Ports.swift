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
  /// The agent knows the commands for heap profiles.
  var canProfileHeap: Bool { get }
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

/// Remembers what was decided: see `Journal`. Never waits for a disk.
public protocol HistoryRecording: Sendable {
  /// - Parameters:
  ///   - outcome: What came of it; nil as long as nothing has.
  ///   - reason: Why it was to go.
  func record(_ decision: DecisionRecord, outcome: UnloadOutcome?, because reason: UnloadReason)
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
