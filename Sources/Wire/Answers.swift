import Model

// The JSON of the control API. Keys are snake_case of the property names (`Coding.encoder`). Sizes are bytes, times are
// seconds since 1970 as a number. `schema` names shape and version; fields may be added within a version, never
// removed or renamed. docs/reference/http.md describes every one.

/// `GET /api/v1/status`
public struct StatusAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.status/1"
  public var schema = StatusAnswer.schema
  public var version: String
  public var pid: Int32
  public var user: UInt32
  public var startedAt: Double
  public var uptimeSeconds: Double
  public var agentSocket: String
  public var controlSocket: String
  /// Set when the supervisor ends by itself once the last process it watches is gone.
  public var isEphemeral: Bool
  public var agents: Int
  public var adopted: Int
  public var modules: Int
  public var residentBytes: Known<UInt64>
  public var liveHeapBytes: Known<UInt64>
  /// Of the supervisor itself.
  public var ownResidentBytes: Known<UInt64>
  public var ownProcessorSeconds: Known<Double>
  public var counters: Counters

  /// Things refused or dropped since the start; each 0 is a count.
  public struct Counters: Codable, Sendable, Hashable {
    public var sessionsAccepted: UInt64 = 0
    public var sessionsRefused: UInt64 = 0
    public var framesRefused: UInt64 = 0
    public var segmentsRefused: UInt64 = 0
    public var eventsDropped: UInt64 = 0
    public var modulesDropped: UInt64 = 0
    public var unreadableProcesses: UInt64 = 0
    public var unreadableFiles: UInt64 = 0
    public init() {}
  }

  public init(
    version: String, pid: Int32, user: UInt32, startedAt: Double, uptimeSeconds: Double, agentSocket: String,
    controlSocket: String, isEphemeral: Bool, agents: Int, adopted: Int, modules: Int, residentBytes: Known<UInt64>,
    liveHeapBytes: Known<UInt64>, ownResidentBytes: Known<UInt64>, ownProcessorSeconds: Known<Double>, counters: Counters
  ) {
    self.version = version
    self.pid = pid
    self.user = user
    self.startedAt = startedAt
    self.uptimeSeconds = uptimeSeconds
    self.agentSocket = agentSocket
    self.controlSocket = controlSocket
    self.isEphemeral = isEphemeral
    self.agents = agents
    self.adopted = adopted
    self.modules = modules
    self.residentBytes = residentBytes
    self.liveHeapBytes = liveHeapBytes
    self.ownResidentBytes = ownResidentBytes
    self.ownProcessorSeconds = ownProcessorSeconds
    self.counters = counters
  }
}

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
  /// `active`, `loader-only`, `inert`, `starting`; null without an agent.
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

  public init(
    pid: Int32, parent: Int32, user: UInt32, name: String, commandLine: String, source: String, agentState: Known<String>,
    agentReason: Known<String>, allocator: Known<String>, threads: UInt32, startedAt: Double, processorSeconds: Double,
    residentBytes: UInt64, residentAnonymousBytes: UInt64, residentFileBytes: UInt64, swapBytes: UInt64,
    liveHeapBytes: Known<UInt64>, liveHeapApproximate: Bool, allocations: Known<UInt64>, frees: Known<UInt64>,
    allocationsPerSecond: Known<Double>, allocatedBytesPerSecond: Known<Double>, modulesLoaded: Known<Int>,
    lastActiveAt: Known<Double>
  ) {
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

/// Memory of a module or package in one process or summed over several.
public struct MemoryRow: Codable, Sendable, Hashable {
  public var mappedBytes: UInt64
  public var residentBytes: UInt64
  public var proportionalBytes: UInt64
  public var privateBytes: UInt64
  public var anonymousBytes: UInt64
  public var referencedBytes: UInt64
  public var swapBytes: UInt64

  public init(_ usage: MemoryUsage) {
    mappedBytes = usage.mapped.count
    residentBytes = usage.resident.count
    proportionalBytes = usage.proportional.count
    privateBytes = usage.privateBytes.count
    anonymousBytes = usage.anonymous.count
    referencedBytes = usage.referenced.count
    swapBytes = usage.swap.count
  }
}

/// `GET /api/v1/processes/PID/modules`
public struct ModulesAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.modules/1"
  public var schema = ModulesAnswer.schema
  public var takenAt: Double
  public var pid: Int32
  public var name: String
  public var source: String
  public var modules: [ModuleRow]
  /// What the agent's table could not hold or the reader refused.
  public var modulesDropped: UInt64

  public init(takenAt: Double, pid: Int32, name: String, source: String, modules: [ModuleRow], modulesDropped: UInt64) {
    self.takenAt = takenAt
    self.pid = pid
    self.name = name
    self.source = source
    self.modules = modules
    self.modulesDropped = modulesDropped
  }
}

/// One mapped (or formerly mapped) shared object.
public struct ModuleRow: Codable, Sendable, Hashable {
  public var path: String
  public var package: String
  public var packageKind: PackageIdentity.Kind
  /// `loaded`, `unloaded`.
  public var state: String
  /// The file behind the path is gone or another one now.
  public var isDeleted: Bool
  public var device: Known<UInt64>
  public var inode: Known<UInt64>
  public var buildId: Known<String>
  public var soname: Known<String>
  public var loadAddress: Known<UInt64>
  /// dlopen calls seen; null without an agent.
  public var dlopenCount: Known<UInt32>
  public var dlcloseCount: Known<UInt32>
  public var firstLoadedAt: Known<Double>
  public var lastLoadedAt: Known<Double>
  public var unloadedAt: Known<Double>
  /// When a page of it was last seen referenced, or it was last opened; null: not observed yet.
  public var lastUsedAt: Known<Double>
  /// Paths of the loaded modules that name it in DT_NEEDED.
  public var neededBy: [String]
  /// Why dlclose could never unmap it: `nodelete`, `unique-symbol`; empty when nothing in the file says so.
  public var pinnedBy: [String]
  public var threadLocalBytes: Known<UInt64>
  public var memory: MemoryRow

  public init(
    path: String, package: String, packageKind: PackageIdentity.Kind, state: String, isDeleted: Bool,
    device: Known<UInt64>, inode: Known<UInt64>, buildId: Known<String>, soname: Known<String>,
    loadAddress: Known<UInt64>, dlopenCount: Known<UInt32>, dlcloseCount: Known<UInt32>, firstLoadedAt: Known<Double>,
    lastLoadedAt: Known<Double>, unloadedAt: Known<Double>, lastUsedAt: Known<Double>, neededBy: [String],
    pinnedBy: [String], threadLocalBytes: Known<UInt64>, memory: MemoryRow
  ) {
    self.path = path
    self.package = package
    self.packageKind = packageKind
    self.state = state
    self.isDeleted = isDeleted
    self.device = device
    self.inode = inode
    self.buildId = buildId
    self.soname = soname
    self.loadAddress = loadAddress
    self.dlopenCount = dlopenCount
    self.dlcloseCount = dlcloseCount
    self.firstLoadedAt = firstLoadedAt
    self.lastLoadedAt = lastLoadedAt
    self.unloadedAt = unloadedAt
    self.lastUsedAt = lastUsedAt
    self.neededBy = neededBy
    self.pinnedBy = pinnedBy
    self.threadLocalBytes = threadLocalBytes
    self.memory = memory
  }
}

/// `GET /api/v1/packages[?pid=PID]`
public struct PackagesAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.packages/1"
  public var schema = PackagesAnswer.schema
  public var takenAt: Double
  public var packages: [PackageRow]
  /// One a process: what the packages hold of it and what nobody owns.
  public var processes: [PackageCoverage]

  public init(takenAt: Double, packages: [PackageRow], processes: [PackageCoverage]) {
    self.takenAt = takenAt
    self.packages = packages
    self.processes = processes
  }
}

/// A package over the processes that hold it.
public struct PackageRow: Codable, Sendable, Hashable {
  public var name: String
  public var kind: PackageIdentity.Kind
  public var version: Known<String>
  public var modules: Int
  /// Summed over the processes; resident counts shared pages once a process, proportional does not.
  public var memory: MemoryRow
  public var lastUsedAt: Known<Double>
  /// Packages with a module that needs one of this package's modules.
  public var neededBy: [String]
  public var holders: [PackageHolder]

  public init(
    name: String, kind: PackageIdentity.Kind, version: Known<String>, modules: Int, memory: MemoryRow,
    lastUsedAt: Known<Double>, neededBy: [String], holders: [PackageHolder]
  ) {
    self.name = name
    self.kind = kind
    self.version = version
    self.modules = modules
    self.memory = memory
    self.lastUsedAt = lastUsedAt
    self.neededBy = neededBy
    self.holders = holders
  }
}

/// A package in one process.
public struct PackageHolder: Codable, Sendable, Hashable {
  public var pid: Int32
  public var processName: String
  public var modules: Int
  public var memory: MemoryRow
  public var lastUsedAt: Known<Double>

  public init(pid: Int32, processName: String, modules: Int, memory: MemoryRow, lastUsedAt: Known<Double>) {
    self.pid = pid
    self.processName = processName
    self.modules = modules
    self.memory = memory
    self.lastUsedAt = lastUsedAt
  }
}

/// How much of a process the packages explain.
public struct PackageCoverage: Codable, Sendable, Hashable {
  public var pid: Int32
  public var processName: String
  /// From one reading of smaps: everything, what files back, and what of that belongs to a named package.
  public var memory: MemoryRow
  public var fileBackedResidentBytes: UInt64
  public var packagedFileBackedResidentBytes: UInt64
  /// Anonymous memory outside modules: heap, stacks, arenas.
  public var anonymousResidentBytes: UInt64
  public var liveHeapBytes: Known<UInt64>

  public init(
    pid: Int32, processName: String, memory: MemoryRow, fileBackedResidentBytes: UInt64,
    packagedFileBackedResidentBytes: UInt64, anonymousResidentBytes: UInt64, liveHeapBytes: Known<UInt64>
  ) {
    self.pid = pid
    self.processName = processName
    self.memory = memory
    self.fileBackedResidentBytes = fileBackedResidentBytes
    self.packagedFileBackedResidentBytes = packagedFileBackedResidentBytes
    self.anonymousResidentBytes = anonymousResidentBytes
    self.liveHeapBytes = liveHeapBytes
  }
}

/// `GET /api/v1/events?after=SEQUENCE&limit=N&wait=SECONDS[&pid=PID]`: answers at once when there is something newer than
/// `after`, else when something happens or the wait is over.
public struct EventsAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.events/1"
  public var schema = EventsAnswer.schema
  public var events: [EventRow]
  /// Pass as `after` next time.
  public var next: UInt64
  /// Events between `after` and the first one here that the bounded history no longer has.
  public var lost: UInt64

  public init(events: [EventRow], next: UInt64, lost: UInt64) {
    self.events = events
    self.next = next
    self.lost = lost
  }
}

public struct EventRow: Codable, Sendable, Hashable {
  public var sequence: UInt64
  public var at: Double
  public var pid: Int32
  public var processName: String
  /// `attached`, `detached`, `adopted`, `dlopen`, `loaded`, `dlclose`, `unloaded`, `kept`, `fork`, `exec`, `state`, `exited`,
  /// `lost`.
  public var kind: String
  public var thread: Known<Int32>
  /// Path of the module, name asked for, program executed; null where the kind has none.
  public var subject: Known<String>
  public var package: Known<String>
  /// In words: why, how many, which child.
  public var detail: Known<String>

  public init(
    sequence: UInt64, at: Double, pid: Int32, processName: String, kind: String, thread: Known<Int32>,
    subject: Known<String>, package: Known<String>, detail: Known<String>
  ) {
    self.sequence = sequence
    self.at = at
    self.pid = pid
    self.processName = processName
    self.kind = kind
    self.thread = thread
    self.subject = subject
    self.package = package
    self.detail = detail
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

/// `GET /api/v1/config`
public struct ConfigAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.config/1"
  public var schema = ConfigAnswer.schema
  /// Path of the file in force, null when there is none.
  public var file: Known<String>
  public var settings: [SettingRow]
  public init(file: Known<String>, settings: [SettingRow]) {
    self.file = file
    self.settings = settings
  }
}
public struct SettingRow: Codable, Sendable, Hashable {
  /// Dotted, e.g. `log.level`.
  public var key: String
  public var value: String
  /// `default`, `/etc/mlos/mlos.yaml:3`, `environment MLOS_LOG_LEVEL`, `command line --socket`.
  public var origin: String
  public var summary: String
  public init(key: String, value: String, origin: String, summary: String) {
    self.key = key
    self.value = value
    self.origin = origin
    self.summary = summary
  }
}

/// Every error of the API, with a fitting HTTP status.
public struct ErrorAnswer: Codable, Sendable, Hashable, Error {
  public var error: Body
  public struct Body: Codable, Sendable, Hashable {
    /// Stable word: `not_found`, `invalid_request`, `not_permitted`, `too_large`, `unavailable`, `internal`, ...
    public var code: String
    public var message: String
    /// Key, value pairs in words; may be empty.
    public var details: [String: String]
  }
  public init(code: String, message: String, details: [String: String] = [:]) {
    error = Body(code: code, message: message, details: details)
  }
}
