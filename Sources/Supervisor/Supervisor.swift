import Logging
import Model
import Policy

/// The settings the supervisor itself needs.
public struct SupervisorOptions: Sendable {
  /// Watched processes at most, with and without an agent.
  public var processLimit: Int
  public var eventCapacity: Int
  /// Seconds between scans for use; nil for never.
  public var observeInterval: Double?
  public var isEphemeral: Bool
  public var unloading: UnloadingSettings
  /// In order of their dependence, without a circle: a set that has one is not taken.
  public var rules: [Rule]

  public init(
    processLimit: Int, eventCapacity: Int, observeInterval: Double?, isEphemeral: Bool,
    unloading: UnloadingSettings = UnloadingSettings(), rules: [Rule] = []
  ) {
    self.rules = rules
    self.unloading = unloading
    self.processLimit = processLimit
    self.eventCapacity = eventCapacity
    self.observeInterval = observeInterval
    self.isEphemeral = isEphemeral
  }
}

/// Knows what is watched. An actor on a serial queue of its own: reading /proc blocks, and must not hold up the threads that
/// serve HTTP. The agents' socket thread calls in synchronously, which is its back-pressure.
public actor Supervisor: SupervisorCommands {
  private let executor = QueueExecutor(label: "mlos.supervisor")
  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  let inspector: any ProcessInspecting
  let files: any FileInspecting
  let finder: (any AgentFinding)?
  let now: @Sendable () -> Moment
  let logger: Logger
  let ticksPerSecond: Double
  let ownPID: Int32
  let startedAt: Double
  var options: SupervisorOptions

  var processes: [Int32: WatchedProcess] = [:]
  var sessions: [SessionID: Int32] = [:]
  var history: EventHistory
  var counters = SupervisorCounters()
  var heap = HeapProfiles()
  var questions = Questions()
  /// Processes in which something is being given back: one ladder at a time each.
  var reclaiming: Set<Int32> = []
  /// What is tried in each of them now.
  var rungUnderWay: [Int32: ReclaimRung] = [:]
  let pages: (any PageReclaiming)?
  var unloading: Unloading
  let meter: (any MemoryMetering)?
  let storage: (any StorageMetering)?
  let recorder: (any HistoryRecording)?
  let heapProfiler: (any HeapProfiling)?
  let processorMeter: (any ProcessorMetering)?
  let comparer: (any MemoryComparing)?
  /// Waits for so many seconds; a test moves its clock instead.
  let pause: @Sendable (Double) async -> Void
  /// Who asks meanwhile gets the same figures.
  var advising: Task<RecommendationFigures, Never>?
  let pressureInbox = PressureInbox()
  var waiters: [UInt64: EventWaiter] = [:]
  var nextWaiter: UInt64 = 0
  /// Something was watched at some time: an ephemeral supervisor ends when that is over.
  var hasWatched = false
  /// Monotonic time of the next look for agents that are not connected.
  var nextDiscovery: UInt64 = 0
  /// Monotonic time of the tick before.
  var lastTick: UInt64?
  var lookUps = LookUpBudget()
  var lies = LieLog()
  /// No one may wait for events any more: the end has come.
  var isClosed = false

  public init(
    inspector: any ProcessInspecting, files: any FileInspecting, finder: (any AgentFinding)?, options: SupervisorOptions,
    ownPID: Int32,
    ticksPerSecond: Double, logger: Logger, heapProfiler: (any HeapProfiling)? = nil,
    pages: (any PageReclaiming)? = nil, meter: (any MemoryMetering)? = nil,
    recorder: (any HistoryRecording)? = nil, processorMeter: (any ProcessorMetering)? = nil,
    comparer: (any MemoryComparing)? = nil, storage: (any StorageMetering)? = nil,
    pause: @escaping @Sendable (Double) async -> Void = { try? await Task.sleep(for: .seconds($0)) },
    now: @escaping @Sendable () -> Moment
  ) {
    self.processorMeter = processorMeter
    self.comparer = comparer
    self.pause = pause
    self.meter = meter
    self.storage = storage
    self.recorder = recorder
    unloading = Unloading(settings: options.unloading, rules: options.rules)
    self.heapProfiler = heapProfiler
    self.pages = pages
    self.inspector = inspector
    self.files = files
    self.finder = finder
    self.options = options
    self.ownPID = ownPID
    self.ticksPerSecond = ticksPerSecond
    self.logger = logger
    self.now = now
    startedAt = now().wall
    history = EventHistory(capacity: options.eventCapacity)
  }

  /// Runs on the actor's queue and waits. Only for threads that are not Swift concurrency's.
  nonisolated func synchronously<Value: Sendable>(_ body: @Sendable (isolated Supervisor) -> Value) -> Value {
    executor.queue.sync { assumeIsolated { body($0) } }
  }

  /// Runs on the actor's queue, without waiting. From any thread.
  nonisolated func soon(_ body: @escaping @Sendable (isolated Supervisor) -> Void) {
    executor.queue.async { self.assumeIsolated { body($0) } }
  }

  /// Settings that may change while running; the event history keeps its size.
  public func reload(
    observeInterval: Double?, processLimit: Int, unloading settings: UnloadingSettings, rules: [Rule] = [],
    by requester: Requester = Requester("configuration")
  ) {
    endRuleSettings(settings, by: requester)
    unloading.take(settings, rules)
    unloading.nextCheck = 0
    options.observeInterval = observeInterval
    options.processLimit = processLimit
    let soon = now().monotonic
    for pid in processes.keys { processes[pid]?.nextScan = soon }
    tellCacheLimits()
  }

  /// What an ephemeral supervisor waits for: nothing left to watch, after there was something.
  public func isDone() -> Bool { hasWatched && processes.isEmpty }

  /// Some process was watched since the start.
  public var hasWatchedAnything: Bool { hasWatched }

  func startedAt(_ identity: ProcessIdentity, _ moment: Moment) -> Double {
    // Start ticks count from boot like CLOCK_BOOTTIME; the inspector's moment carries CLOCK_MONOTONIC, equal without suspend.
    moment.wall - (Double(moment.monotonic) / 1e9 - Double(identity.startTicks) / ticksPerSecond)
  }

  /// The start of a process as a reading of CLOCK_MONOTONIC; the moment itself when the clocks say that it lies ahead.
  func began(_ identity: ProcessIdentity, _ moment: Moment) -> UInt64 {
    min(moment.monotonic, UInt64(clamping: Int64(Double(identity.startTicks) / ticksPerSecond * 1e9)))
  }

  func record(
    _ kind: EventRecord.Kind, pid: Int32, name: String, at time: Double, thread: Int32? = nil, subject: String? = nil,
    isSubjectCut: Bool = false, package: String? = nil, detail: String? = nil
  ) {
    history.append(
      EventRecord(
        sequence: 0, at: time, pid: pid, processName: name, kind: kind, thread: thread, subject: subject,
        isSubjectCut: isSubjectCut, package: package,
        detail: detail))
  }
}
