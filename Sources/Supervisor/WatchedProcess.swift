import Model

/// Identifies one connection of an agent; never reused within a supervisor's life.
public struct SessionID: Hashable, Sendable {
  public var number: UInt64
  public init(_ number: UInt64) { self.number = number }
}

/// Everything remembered about one process.
struct WatchedProcess {
  /// What stands between us and the process.
  enum Link {
    /// Connected: the socket is open, the segment is live.
    case agent(SessionID, any SegmentReading)
    /// The socket closed while the process lives: the segment is still true unless the process has executed another program.
    case detached(any SegmentReading)
    /// No agent: /proc alone.
    case adopted
  }
  var link: Link
  var facts: ProcessFacts
  var lastUse = LastUse()
  var lastActiveAt: Double?
  /// Next event to take from the ring.
  var eventCursor: UInt64 = 0
  /// Of the segment, as last counted.
  var modulesDropped: UInt64 = 0
  /// Monotonic times of the last looks at the ring and at `modulesDropped`: what they tell may have grown since then, no longer.
  var ringSeen: UInt64
  var droppedSeen: UInt64
  /// The segment told what cannot be, which has been counted.
  var hasLied = false
  /// Last two readings of the heap for rates.
  var rate = AllocationRate()
  var sharing = Sharing()
  var untold = UntoldLoads()
  var modules = ModuleCount()
  /// What was known of modules in the agent's table while they were mapped, by their number there.
  var seenModules: [UInt32: SeenModule] = [:]
  var givenBack = GivenBack()
  var heap = HeapWatch()
  /// Closed libraries it was told to keep over the present connection; nil for as long as it was told nothing.
  var cacheLimitTold: Int?
  /// What could be given back of it, as of the last scan.
  var units: [UnitObservation] = []
  /// Monotonic time of the next scan for use.
  var nextScan: UInt64

  var segment: (any SegmentReading)? {
    switch link {
    case .agent(_, let segment), .detached(let segment): segment
    case .adopted: nil
    }
  }

  /// - Parameter began: Monotonic time of the start of the process: nothing it counts is older.
  init(link: Link, facts: ProcessFacts, nextScan: UInt64, began: UInt64) {
    ringSeen = began
    droppedSeen = began
    self.link = link
    self.facts = facts
    self.nextScan = nextScan
  }
}

/// What a module was while it was mapped.
struct SeenModule {
  var file: FileReference
  var elf: ElfFacts?
}

extension WatchedProcess {
  /// Of those that are mapped no more, what they were; numbers may start over, files do not.
  func seen(of unloaded: [AgentModule]) -> [UInt32: SeenModule] {
    var seen: [UInt32: SeenModule] = [:]
    for module in unloaded {
      guard let known = seenModules[module.id], module.inode == known.file.inode else { continue }
      seen[module.id] = known
    }
    return seen
  }

  /// Keeps what is seen now for the time when it is mapped no more; bounded by the agent's table.
  mutating func remember(_ inventory: Inventory, _ elf: [ElfFacts?]) {
    let listed = Set(inventory.unloaded.map(\.id))
    seenModules = seenModules.filter { listed.contains($0.key) }
    for (object, elf) in zip(inventory.objects, elf) {
      for module in object.agents { seenModules[module.id] = SeenModule(file: object.file, elf: elf) }
    }
  }

  /// Another segment starts from nothing.
  mutating func takeNewSegment(began: UInt64) {
    eventCursor = 0
    modulesDropped = 0
    rate = AllocationRate()
    seenModules = [:]
    ringSeen = began
    droppedSeen = began
    hasLied = false
  }
}

/// Allocations a second between two readings that lie at least `shortest` apart.
struct AllocationRate {
  /// 0.2 s: below it a reading says more about the scheduler than about the program.
  static let shortest: UInt64 = 200_000_000

  private var at: UInt64?
  private var counters = HeapCounters()
  private(set) var allocationsPerSecond: Double?
  private(set) var bytesPerSecond: Double?

  /// - Returns: Whether the program has allocated since the reading before.
  @discardableResult mutating func take(_ heap: HeapCounters, at time: UInt64) -> Bool {
    guard let before = at else {
      at = time
      counters = heap
      return false
    }
    guard time > before, time - before >= Self.shortest else { return false }
    let hasAllocated = heap.allocations > counters.allocations
    let seconds = Double(time - before) / 1e9
    // A segment that counts backwards lies: no rate rather than a negative one.
    if heap.allocations >= counters.allocations, heap.bytesAllocated >= counters.bytesAllocated {
      allocationsPerSecond = Double(heap.allocations - counters.allocations) / seconds
      bytesPerSecond = Double((heap.bytesAllocated - counters.bytesAllocated).count) / seconds
    } else {
      allocationsPerSecond = nil
      bytesPerSecond = nil
    }
    at = time
    counters = heap
    return hasAllocated
  }
}
