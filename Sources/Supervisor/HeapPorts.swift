import Model

/// A profile under way.
public protocol HeapRecording: Sendable {
  /// The shared memory for the agent.
  var descriptor: Int32 { get }
  var progress: (samples: UInt64, began: UInt64?) { get }
  /// Ends it. `completion` is called once, on another thread.
  func finish(_ completion: @escaping @Sendable (HeapRecord) -> Void)
}

/// Makes what a profile needs.
public protocol HeapProfiling: Sendable {
  /// - Parameters:
  ///   - mean: Bytes between two samples.
  ///   - rate: Samples a second at most.
  ///   - deadline: CLOCK_MONOTONIC nanoseconds; the agent ends by itself after it.
  func begin(_ pid: Int32, mean: UInt64, rate: UInt32, deadline: UInt64) throws(InspectionError) -> any HeapRecording
}

extension SegmentReading {
  public var abilities: AgentAbilities { .all }
  public var hasControlThread: Bool { true }
  public var cacheLimit: Int? { nil }
}

/// What is to be profiled.
public struct HeapRequest: Hashable, Sendable {
  /// 1 hour.
  public static let longest = 3_600.0
  public static let defaultMean: UInt64 = 512 << 10

  public var pid: Int32
  public var seconds: Double
  /// Bytes between two samples.
  public var mean: UInt64

  public init(pid: Int32, seconds: Double, mean: UInt64 = HeapRequest.defaultMean) {
    self.pid = pid
    self.seconds = seconds
    self.mean = mean
  }
}

public struct HeapProgress: Hashable, Sendable {
  public var pid: Int32
  public var askedSeconds: Double
  /// Since the agent began; nil when it has not.
  public var seconds: Double?
  public var samples: UInt64
}

public struct HeapSnapshot: Sendable {
  public var startedAt: Double
  public var pid: Int32
  public var name: String
  /// How long samples were taken.
  public var seconds: Double
  public var askedSeconds: Double
  /// Why it is less than what was asked for; nil for nothing.
  public var reason: String?
  public var record: HeapRecord
  /// Exact, from the agent's counters; nil when they cannot be told.
  public var exact: HeapExact?
  public var attribution: HeapAttribution
}

/// Counted, not sampled.
public struct HeapExact: Hashable, Sendable {
  /// During the profile.
  public var allocations: UInt64
  public var allocatedBytes: Bytes
  /// At its end, whenever it was allocated.
  public var liveBytes: Bytes
}
