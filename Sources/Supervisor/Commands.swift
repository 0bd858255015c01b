import Model

/// What a transport may ask of the supervisor. One protocol for every transport; times are seconds since 1970.
public protocol SupervisorCommands: Sendable {
  func status() async -> StatusSnapshot
  func processes() async -> ProcessesSnapshot
  func modules(of pid: Int32) async throws(CommandError) -> ModulesSnapshot
  /// Over all watched processes, or of one.
  func packages(of pid: Int32?) async throws(CommandError) -> PackagesSnapshot
  func adopt(_ pid: Int32) async throws(CommandError) -> (process: ProcessSnapshot, isNew: Bool)
  /// Samples allocations for some seconds. Answers when they are over, or earlier with a reason.
  func profileHeap(_ request: HeapRequest) async throws(CommandError) -> HeapSnapshot
  /// Ends the profile under way: who asked for it gets what there is.
  func stopHeapProfile(of pid: Int32) async throws(CommandError) -> HeapProgress
  func heapProgress(of pid: Int32) async throws(CommandError) -> HeapProgress
  /// What would be given back now and why the rest stays; of units of this name only, or of all. Changes nothing.
  func plan(name: String?) async -> PlanSnapshot
  /// Gives memory back and measures what came of it. Answers when it is done.
  func reclaim(_ request: ReclaimRequest) async throws(CommandError) -> ReclaimSnapshot
  /// What a person could change, about all or about one process. Measures for some seconds.
  /// - Parameter unloads: As the journal counts them; nil without one.
  func recommendations(of pid: Int32?, unloads: UnloadWindow?) async throws(CommandError) -> RecommendationsSnapshot
  /// Answers when something newer than `after` is there or `wait` seconds are over. Nil for `after`: the oldest kept.
  func events(after: UInt64?, limit: Int, wait: Double, pid: Int32?) async -> EventsPage
}

/// Why a command was not carried out.
public enum CommandError: Error, Hashable, Sendable {
  /// No such process, or not watched; with the watched PIDs nearest to it.
  case notWatched(pid: Int32, watched: [Int32])
  case noSuchProcess(pid: Int32)
  case notPermitted(String)
  case limitReached(String)
  case unreadable(String)
  /// It cannot be done for this process as things are.
  case unavailable(String)
  /// The same is being done already.
  case busy(String)
  /// A person's setting forbids it.
  case denied(String)
  /// Nothing of this name is in memory; with the name nearest to it.
  case noSuchUnit(String, nearest: String?)
}

public struct StatusSnapshot: Sendable {
  public var startedAt: Double
  public var now: Double
  public var isEphemeral: Bool
  public var agents: Int
  public var adopted: Int
  public var modules: Int
  public var resident: Bytes?
  public var liveHeap: Bytes?
  public var own: ProcessFacts?
  public var counters: SupervisorCounters
  public var pressure: PressureSnapshot
}

/// Refusals and drops since the start.
public struct SupervisorCounters: Hashable, Sendable {
  public var sessionsAccepted: UInt64 = 0
  public var sessionsRefused: UInt64 = 0
  /// Of these, for want of descriptors of the supervisor's own.
  public var sessionsWithoutDescriptor: UInt64 = 0
  public var framesRefused: UInt64 = 0
  public var segmentsRefused: UInt64 = 0
  /// Segments that were taken and then told what cannot be; each once.
  public var segmentsLying: UInt64 = 0
  public var eventsDropped: UInt64 = 0
  public var modulesDropped: UInt64 = 0
  public var unreadableProcesses: UInt64 = 0
  public var unreadableFiles: UInt64 = 0
  public init() {}
}

public struct ProcessesSnapshot: Sendable {
  public var takenAt: Double
  /// By PID.
  public var processes: [ProcessSnapshot]
}

public struct ProcessSnapshot: Sendable {
  public var facts: ProcessFacts
  public var startedAt: Double
  public var processorSeconds: Double
  /// Nil without an agent.
  public var agent: AgentSummary?
  /// Files with code; nil until they have been counted.
  public var modulesLoaded: Int?
  /// Nil when the agent does not count, and when what it tells cannot be.
  public var heap: HeapCounters?
  /// Nil until two readings lie far enough apart.
  public var allocationsPerSecond: Double?
  public var allocatedBytesPerSecond: Double?
  /// When processor time was last seen to grow.
  public var lastActiveAt: Double?
  /// Nil until measured.
  public var sharing: SharingFigures?
  /// Nil when it was never seen to do anything.
  public var activity: ProcessActivity?
  public var givenBack: GivenBack
}

/// What a process is at, as far as the supervisor knows.
public enum ProcessActivity: Hashable, Sendable {
  /// Memory is being given back in it: what is tried now, nil between two rungs.
  case reclaiming(ReclaimRung?)
  /// It has marked this many regions in which it is not to be disturbed.
  case busy(regions: UInt32)
  /// By a signal or a debugger.
  case stopped
  /// It was seen to use a processor or to allocate a moment ago.
  case active
  case idle
}

/// What came back of a process since the supervisor watches it, as measured after each time.
public struct GivenBack: Hashable, Sendable {
  public var bytes = Bytes.zero
  /// Seconds since 1970; nil for never.
  public var lastAt: Double?
}

/// What of a process's memory is its own and what is shared, from one walk over its page tables.
public struct SharingFigures: Hashable, Sendable {
  public var usage: MemoryUsage
  /// Seconds since 1970.
  public var measuredAt: Double
}

public struct ModulesSnapshot: Sendable {
  public var takenAt: Double
  public var facts: ProcessFacts
  public var hasAgent: Bool
  /// By load address; unloaded ones last.
  public var modules: [ModuleSnapshot]
  public var dropped: UInt64
  /// Nil without an agent.
  public var otherNamespaces: AgentReport.OtherNamespaces?
}

public struct ModuleSnapshot: Sendable {
  public var file: FileReference
  public var package: PackageIdentity
  public var isLoaded: Bool
  /// As the agent lists it: one for each namespace that has it. Empty without an agent.
  public var agents: [AgentModule]
  public var elf: ElfFacts?
  public var usage: MemoryUsage
  public var firstLoadedAt: Double?
  public var lastLoadedAt: Double?
  public var unloadedAt: Double?
  public var lastUsedAt: Double?
  /// Display paths of loaded modules that name this one in DT_NEEDED.
  public var neededBy: [String]
}

public struct PackagesSnapshot: Sendable {
  public var takenAt: Double
  /// By name.
  public var packages: [PackageSnapshot]
  /// By PID.
  public var coverage: [CoverageSnapshot]
}

public struct PackageSnapshot: Sendable {
  public var identity: PackageIdentity
  public var modules: Int
  public var usage: MemoryUsage
  public var lastUsedAt: Double?
  public var neededBy: [String]
  public var holders: [PackageHolding]
}

public struct PackageHolding: Sendable {
  public var pid: Int32
  public var processName: String
  public var modules: Int
  public var usage: MemoryUsage
  public var lastUsedAt: Double?
}

public struct CoverageSnapshot: Sendable {
  public var pid: Int32
  public var processName: String
  public var usage: MemoryUsage
  public var fileBacked: Bytes
  public var packagedFileBacked: Bytes
  /// Resident outside every object: heap, stacks, arenas. With the packages it makes the whole.
  public var anonymous: Bytes
  public var liveHeap: Bytes?
}

public struct EventsPage: Sendable {
  public var events: [EventRecord]
  public var next: UInt64
  public var lost: UInt64
}

public struct EventRecord: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable {
    case attached, detached, adopted, exited, lost
    case dlopen, loaded, dlclose, unloaded, kept, fork, exec, state
  }
  public var sequence: UInt64
  public var at: Double
  public var pid: Int32
  public var processName: String
  public var kind: Kind
  public var thread: Int32?
  public var subject: String?
  /// The end of the subject may be missing.
  public var isSubjectCut = false
  public var package: String?
  public var detail: String?
}

/// What would be done now.
public struct PlanSnapshot: Sendable {
  public var takenAt: Double
  public var settings: UnloadingSettings
  /// Without what rules have set.
  public var configured: UnloadingSettings
  /// Nil when it could not be read.
  public var memory: MemoryPressure?
  /// To be given back for want of memory; zero when nothing is.
  public var wanted: Bytes
  public var isPressed: Bool
  /// The rule that denies a unit, by the unit's name.
  public var deniedByRule: [String: String]
  /// Those that go first, in their order; the others by name.
  public var rows: [PlanRow]
  /// Names of all units, for who asked for one that is not there.
  public var names: [String]
}

public struct PlanRow: Sendable {
  public var judgement: Judgement
  /// Its place among those that go, from 1; nil when it stays.
  public var order: Int?
  public var processName: String
  /// Seconds since 1970; nil when nobody has seen it used.
  public var lastUsedAt: Double?
}

/// How the user's rules stand, as of the last look at them.
public struct RulesSnapshot: Sendable {
  public var takenAt: Double
  /// In the order in which they are looked at.
  public var rules: [RuleSnapshot]
}

public struct RuleSnapshot: Sendable {
  public var rule: Rule
  /// A stable word.
  public var state: String
  /// The state in a sentence, with its numbers.
  public var explanation: String
  /// Since when its condition holds, in seconds since 1970; nil while it does not.
  public var holdsSince: Double?
  public var lastFiredAt: Double?
  public var firings: Int
  /// What it may not set yet, since rules turn it to and fro; in words.
  public var heldBack: [String]
}
