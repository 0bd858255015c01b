/// Something a person could change, with the figures that say so.
public enum Recommendation: Hashable, Sendable {
  /// Unloads that were tried and gave nothing back.
  case lowSuccessRate(UnloadWindow)
  /// Unloads that gave less back than a unit must promise.
  case lowMemorySavings(UnloadWindow, minimum: Bytes)
  /// The same units go again and again, more often than `limit` an hour.
  case highUnloadFrequency(UnloadWindow, limit: Double)
  case threadOversubscription(ThreadContention)
  case freeHeap(FreeHeap)
  case copies(MemoryCopies)

  public enum Priority: String, Hashable, Sendable, CaseIterable {
    case high, medium, low
  }
}

/// Unloads of a stretch of time, counted; what was only said is none.
public struct UnloadWindow: Hashable, Sendable {
  /// Wall-clock seconds since 1970: from here on, and before that.
  public var from: Double
  public var to: Double
  public var unloads: UInt64
  /// Of these: memory came back.
  public var successful: UInt64
  public var freed: Bytes
  /// How many different units they were.
  public var units: UInt64
  /// Of the first one; nil when there was none.
  public var firstAt: Double?

  public init(
    from: Double, to: Double, unloads: UInt64, successful: UInt64, freed: Bytes, units: UInt64, firstAt: Double?
  ) {
    self.from = from
    self.to = to
    self.unloads = unloads
    self.successful = successful
    self.freed = freed
    self.units = units
    self.firstAt = firstAt
  }

  /// 0 to 1; nil without an unload.
  public var successRate: Double? { unloads == 0 ? nil : Double(successful) / Double(unloads) }
  /// Of those that gave something back; nil when none did.
  public var averageFreed: Bytes? { successful == 0 ? nil : Bytes(freed.count / successful) }
  /// Of a unit, over the time from the first one on, an hour at least; nil without an unload.
  public var unloadsPerUnitAndHour: Double? {
    guard units > 0, let firstAt else { return nil }
    return Double(unloads) / Double(units) / max(1, (to - firstAt) / 3600)
  }
}

extension Recommendation {
  /// What costs work or time comes before what costs memory alone.
  public var priority: Priority {
    switch self {
    case .lowSuccessRate, .threadOversubscription: .high
    case .highUnloadFrequency, .freeHeap, .copies: .medium
    case .lowMemorySavings: .low
    }
  }

  /// Processes it is about; none for one about all.
  public var processes: [ProcessIdentity] {
    switch self {
    case .lowSuccessRate, .lowMemorySavings, .highUnloadFrequency: []
    case .threadOversubscription(let contention): [contention.process]
    case .freeHeap(let heap): [heap.process]
    case .copies(let copies): copies.processes
    }
  }
}

extension UnloadWindow {
  /// 24 h: a day has its busy and its idle hours.
  public static let recommendedSeconds = 86_400.0
  /// 20: where nine of ten unloads succeed, fewer than 16 of 20 do so by chance on 4 % of the days.
  public static let recommendedUnloads: UInt64 = 20
}

/// Threads of a process that wait for a processor while others run.
public struct ThreadContention: Hashable, Sendable {
  public var process: ProcessIdentity
  public var processName: String
  /// How long it was watched.
  public var seconds: Double
  /// Threads that ran or waited for a processor during a good part of it.
  public var busyThreads: Int
  /// Processors they may use.
  public var processors: Double
  /// Summed over its threads.
  public var ranSeconds: Double
  public var waitedSeconds: Double
  /// Threads of all watched processes on the same processors that ran or wanted to, on average.
  public var demand: Double
  /// What says how many threads the libraries in it start.
  public var knobs: [ThreadKnob]

  public init(
    process: ProcessIdentity, processName: String, seconds: Double, busyThreads: Int, processors: Double, ranSeconds: Double,
    waitedSeconds: Double, demand: Double, knobs: [ThreadKnob]
  ) {
    self.process = process
    self.processName = processName
    self.seconds = seconds
    self.busyThreads = busyThreads
    self.processors = processors
    self.ranSeconds = ranSeconds
    self.waitedSeconds = waitedSeconds
    self.demand = demand
    self.knobs = knobs
  }

  /// Of the time its threads wanted a processor, 0 to 1.
  public var waitedShare: Double {
    let wanted = ranSeconds + waitedSeconds
    return wanted > 0 ? waitedSeconds / wanted : 0
  }
}

/// Where a library is told how many threads to start. In the order of display.
public enum ThreadKnob: String, Hashable, Sendable, CaseIterable {
  case onnxRuntime = "onnxruntime"
  case torch
  /// libgomp, libomp and libiomp5.
  case openMP = "openmp"
  case openBLAS = "openblas"
}

/// Memory of glibc's malloc that is in memory and belongs to no live block.
public struct FreeHeap: Hashable, Sendable {
  public var process: ProcessIdentity
  public var processName: String
  /// Resident in the program break's heap and in the arenas.
  public var resident: Bytes
  /// Live blocks as the agent counts them, those with a mapping of their own too, and the header of each.
  public var live: Bytes
  /// Packages in it for which a lower mmap threshold is known to help.
  public var profiled: [String]

  public init(process: ProcessIdentity, processName: String, resident: Bytes, live: Bytes, profiled: [String]) {
    self.process = process
    self.processName = processName
    self.resident = resident
    self.live = live
    self.profiled = profiled
  }

  /// Known to be free. Blocks with a mapping of their own stand on the other side: with them it is more.
  public var free: Bytes { resident - live }
}

/// Equal content in several processes of one program and user.
public struct MemoryCopies: Hashable, Sendable {
  /// Path of the program, for people.
  public var program: String
  /// The one that was read first had it first.
  public var processes: [ProcessIdentity]
  /// What could be saved: pages that the others have again, with the limits of a 95 % interval.
  public var duplicate: Bytes
  public var low: Bytes
  public var high: Bytes
  /// Of the others: private pages in large ranges, and how many of them were looked at.
  public var covered: Bytes
  public var sampled: Bytes

  public init(
    program: String, processes: [ProcessIdentity], duplicate: Bytes, low: Bytes, high: Bytes, covered: Bytes, sampled: Bytes
  ) {
    self.program = program
    self.processes = processes
    self.duplicate = duplicate
    self.low = low
    self.high = high
    self.covered = covered
    self.sampled = sampled
  }
}
