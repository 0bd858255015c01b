/// `GET /api/v1/processes`
public struct ProcessesAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.processes/1"
  public var schema = ProcessesAnswer.schema
  public var takenAt: Double
  public var processes: [ProcessRow]

  public init(takenAt: Double, processes: [ProcessRow]) {
    self.takenAt = takenAt
    self.processes = processes
  }
}

/// One watched process.
public struct ProcessRow: Codable, Sendable, Hashable {
  public var pid: Int32
  public var parent: Int32
  public var user: UInt32
  public var name: String
  public var commandLine: String
  /// `agent`: reports through shared memory. `adopted`: /proc alone.
  public var source: String
  /// `active`, `loader-only`, `inert`, `starting`, `invalid`; null without an agent.
  public var agentState: Known<String>
  public var agentReason: Known<String>
  public var allocator: Known<String>
  public var threads: UInt32
  public var startedAt: Double
  public var processorSeconds: Double
  public var residentBytes: UInt64
  public var residentAnonymousBytes: UInt64
  public var residentFileBytes: UInt64
  public var swapBytes: UInt64
  /// Shared pages divided by the number of processes that map them, and pages no other process maps; null until measured.
  public var proportionalBytes: Known<UInt64>
  public var privateBytes: Known<UInt64>
  /// When these two were measured: walking the page tables is dear, so they may be some seconds old.
  public var sharingMeasuredAt: Known<Double>
  /// Usable bytes the program holds from its allocator; null without a counting agent.
  public var liveHeapBytes: Known<UInt64>
  public var liveHeapApproximate: Bool
  public var allocations: Known<UInt64>
  public var frees: Known<UInt64>
  /// Allocations and bytes handed out a second, since the reading before; null until there are two.
  public var allocationsPerSecond: Known<Double>
  public var allocatedBytesPerSecond: Known<Double>
  public var modulesLoaded: Known<Int>
  public var lastActiveAt: Known<Double>
  /// `reclaiming`, `stopped`, `busy`, `active`, `idle`; null when it was never seen to do anything.
  public var activity: Known<String>
  /// The rung that is being tried; null when none is.
  public var reclaimRung: Known<String>
  /// Regions the program has marked busy; null without an agent.
  public var busyRegions: Known<UInt32>
  /// Measured as given back, all times together, since the supervisor watches it.
  public var givenBackBytes: UInt64
  public var givenBackAt: Known<Double>

  public init(
    pid: Int32, parent: Int32, user: UInt32, name: String, commandLine: String, source: String, agentState: Known<String>,
    agentReason: Known<String>, allocator: Known<String>, threads: UInt32, startedAt: Double, processorSeconds: Double,
    residentBytes: UInt64, residentAnonymousBytes: UInt64, residentFileBytes: UInt64, swapBytes: UInt64,
    proportionalBytes: Known<UInt64>, privateBytes: Known<UInt64>, sharingMeasuredAt: Known<Double>,
    liveHeapBytes: Known<UInt64>, liveHeapApproximate: Bool, allocations: Known<UInt64>, frees: Known<UInt64>,
    allocationsPerSecond: Known<Double>, allocatedBytesPerSecond: Known<Double>, modulesLoaded: Known<Int>,
    lastActiveAt: Known<Double>, activity: Known<String>, reclaimRung: Known<String>, busyRegions: Known<UInt32>,
    givenBackBytes: UInt64, givenBackAt: Known<Double>
  ) {
    self.activity = activity
    self.reclaimRung = reclaimRung
    self.busyRegions = busyRegions
    self.givenBackBytes = givenBackBytes
    self.givenBackAt = givenBackAt
    self.pid = pid
    self.parent = parent
    self.user = user
    self.name = name
    self.commandLine = commandLine
    self.source = source
    self.agentState = agentState
    self.agentReason = agentReason
    self.allocator = allocator
    self.threads = threads
    self.startedAt = startedAt
    self.processorSeconds = processorSeconds
    self.residentBytes = residentBytes
    self.residentAnonymousBytes = residentAnonymousBytes
    self.residentFileBytes = residentFileBytes
    self.swapBytes = swapBytes
    self.proportionalBytes = proportionalBytes
    self.privateBytes = privateBytes
    self.sharingMeasuredAt = sharingMeasuredAt
    self.liveHeapBytes = liveHeapBytes
    self.liveHeapApproximate = liveHeapApproximate
    self.allocations = allocations
    self.frees = frees
    self.allocationsPerSecond = allocationsPerSecond
    self.allocatedBytesPerSecond = allocatedBytesPerSecond
    self.modulesLoaded = modulesLoaded
    self.lastActiveAt = lastActiveAt
  }
}

/// `POST /api/v1/adopt`
public struct AdoptRequest: Codable, Sendable, Hashable {
  public var pid: Int32
  public init(pid: Int32) { self.pid = pid }
}
/// Answer: the process as it is now listed.
public struct AdoptAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.adopt/1"
  public var schema = AdoptAnswer.schema
  public var process: ProcessRow
  /// False when it was watched already.
  public var isNew: Bool
  public init(process: ProcessRow, isNew: Bool) {
    self.process = process
    self.isNew = isNew
  }
}
