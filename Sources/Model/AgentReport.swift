/// One reading of an agent's shared-memory segment, every value already bounds-checked.
public struct AgentReport: Hashable, Sendable {
  public enum State: String, Hashable, Sendable {
    case starting, active, loaderOnly = "loader-only", inert
    /// What stands there is none of the agent's: the process has overwritten it.
    case invalid
  }

  public var state: State
  /// Stable word for why the agent does less than everything, nil for no reason: `mixed-allocator`, `sanitizer`, ...; `invalid`
  /// for a number that is none.
  public var reason: String?
  public var version: String
  /// `glibc`, `jemalloc`, `tcmalloc`, `mimalloc`, `other`, `unknown`.
  public var allocator: String
  public var heap: HeapCounters
  public var controlThread: Int32?
  public var dlopenCalls: UInt64
  public var dlcloseCalls: UInt64
  public var forks: UInt64
  public var wakeups: UInt64
  public var modules: [AgentModule]
  /// Entries that did not fit or were refused as nonsense by the reader.
  public var modulesDropped: UInt64
  /// Index of the next event the agent will write.
  public var eventsHead: UInt64
  public var otherNamespaces: OtherNamespaces

  /// Whether objects outside the program's own link-map namespace (dlmopen, LD_AUDIT) are in the table.
  public enum OtherNamespaces: String, Hashable, Sendable {
    case none, listed, notListed = "not-listed"
  }

  public init(
    state: State, reason: String?, version: String, allocator: String, heap: HeapCounters, controlThread: Int32?,
    dlopenCalls: UInt64, dlcloseCalls: UInt64, forks: UInt64, wakeups: UInt64, modules: [AgentModule],
    modulesDropped: UInt64, eventsHead: UInt64, otherNamespaces: OtherNamespaces
  ) {
    self.state = state
    self.reason = reason
    self.version = version
    self.allocator = allocator
    self.heap = heap
    self.controlThread = controlThread
    self.dlopenCalls = dlopenCalls
    self.dlcloseCalls = dlcloseCalls
    self.forks = forks
    self.wakeups = wakeups
    self.modules = modules
    self.modulesDropped = modulesDropped
    self.eventsHead = eventsHead
    self.otherNamespaces = otherNamespaces
  }
}

/// Commands that an agent knows beyond those of the first version.
public struct AgentAbilities: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let heapProfile = AgentAbilities(rawValue: 1)
  /// Trim, collect, drop, merge.
  public static let reclaim = AgentAbilities(rawValue: 2)
  /// Keeps closed libraries, and closes them for good when asked.
  public static let moduleCache = AgentAbilities(rawValue: 4)
  /// Asks callbacks of the program.
  public static let callbacks = AgentAbilities(rawValue: 8)
  public static let all: AgentAbilities = [.heapProfile, .reclaim, .moduleCache, .callbacks]
}

/// The part of a report that a listing shows.
public struct AgentSummary: Hashable, Sendable {
  public var state: AgentReport.State
  public var reason: String?
  public var allocator: String
  public var heap: HeapCounters
  /// Files, as a listing of the modules has them. While the table is being written the number may be off by what is under way.
  public var modulesLoaded: Int
  /// What the agent says did not fit its table.
  public var modulesDropped: UInt64
  /// Regions that the program has marked busy, now.
  public var busyRegions: UInt32

  public init(
    state: AgentReport.State, reason: String?, allocator: String, heap: HeapCounters, modulesLoaded: Int, modulesDropped: UInt64,
    busyRegions: UInt32 = 0
  ) {
    self.busyRegions = busyRegions
    self.state = state
    self.reason = reason
    self.allocator = allocator
    self.heap = heap
    self.modulesLoaded = modulesLoaded
    self.modulesDropped = modulesDropped
  }
}

/// Sums over all threads since the process started.
public struct HeapCounters: Hashable, Sendable {
  public var allocations: UInt64 = 0
  public var frees: UInt64 = 0
  public var bytesAllocated = Bytes.zero
  public var bytesFreed = Bytes.zero
  /// The base inherited at a fork may be off by the last calls of other threads.
  public var isApproximate = false

  public init() {}

  /// Usable bytes handed out and not given back. A torn reading can never show less than zero.
  public var live: Bytes { bytesAllocated - bytesFreed }
}

/// One row of the agent's module table.
public struct AgentModule: Hashable, Sendable {
  public var id: UInt32
  public var isLoaded: Bool
  public var path: [UInt8]
  public var device: UInt64?
  public var inode: UInt64?
  public var buildID: [UInt8]
  public var loadAddress: UInt64
  public var mapStart: UInt64
  public var mapEnd: UInt64
  public var dlopenCount: UInt32
  public var dlcloseCount: UInt32
  /// CLOCK_MONOTONIC nanoseconds.
  public var firstLoad: UInt64
  public var lastLoad: UInt64
  public var unload: UInt64?
  public var nameSpace: Int32
  public var wasThereAtStart: Bool
  public var isMain: Bool
  /// The program has closed it, and the agent keeps it for its return.
  public var isKept = false

  public init(
    id: UInt32, isLoaded: Bool, path: [UInt8], device: UInt64?, inode: UInt64?, buildID: [UInt8], loadAddress: UInt64,
    mapStart: UInt64, mapEnd: UInt64, dlopenCount: UInt32, dlcloseCount: UInt32, firstLoad: UInt64, lastLoad: UInt64,
    unload: UInt64?, nameSpace: Int32, wasThereAtStart: Bool, isMain: Bool
  ) {
    self.id = id
    self.isLoaded = isLoaded
    self.path = path
    self.device = device
    self.inode = inode
    self.buildID = buildID
    self.loadAddress = loadAddress
    self.mapStart = mapStart
    self.mapEnd = mapEnd
    self.dlopenCount = dlopenCount
    self.dlcloseCount = dlcloseCount
    self.firstLoad = firstLoad
    self.lastLoad = lastLoad
    self.unload = unload
    self.nameSpace = nameSpace
    self.wasThereAtStart = wasThereAtStart
    self.isMain = isMain
  }
}

/// One entry of the agent's event ring.
public struct AgentEvent: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, Codable {
    case dlopen, loaded, dlclose, unloaded, kept, fork, exec, state
  }
  public var index: UInt64
  /// CLOCK_MONOTONIC nanoseconds.
  public var time: UInt64
  public var kind: Kind
  public var thread: Int32
  public var module: UInt32?
  public var argument: Int64
  public var text: [UInt8]
  /// The text has as many bytes as there is room for: the rest may be missing.
  public var isTextCut: Bool

  public init(
    index: UInt64, time: UInt64, kind: Kind, thread: Int32, module: UInt32?, argument: Int64, text: [UInt8],
    isTextCut: Bool = false
  ) {
    self.index = index
    self.time = time
    self.kind = kind
    self.thread = thread
    self.module = module
    self.argument = argument
    self.text = text
    self.isTextCut = isTextCut
  }
}
