/// Sums over the samples of a heap profile: what they stand for and how sure that is.
///
/// An allocation of s bytes is sampled with a probability p = 1 - e^(-s/mean) that depends on nothing else, and then stands
/// for 1/p allocations and s/p bytes (Horvitz and Thompson 1952). Since allocations are sampled independently of each other,
/// the sum of s²(1-p)/p² over the samples estimates the variance of the estimated bytes without bias.
public struct HeapSums: Hashable, Sendable {
  public var samples: UInt64 = 0
  public var objects = 0.0
  public var bytes = 0.0
  public var bytesVariance = 0.0

  public init() {}

  /// - Parameter probability: With which this allocation was sampled; above 0, at most 1.
  public mutating func add(bytes size: Double, probability: Double) {
    samples += 1
    objects += 1 / probability
    bytes += size / probability
    bytesVariance += size * size * (1 - probability) / (probability * probability)
  }

  public static func += (left: inout HeapSums, right: HeapSums) {
    left.samples += right.samples
    left.objects += right.objects
    left.bytes += right.bytes
    left.bytesVariance += right.bytesVariance
  }

  /// Holds the true number of bytes in about 95 of 100 profiles. Nil without a sample: then nothing bounds it from above.
  ///
  /// The estimate is treated as a scaled Poisson count with the same ratio of mean to deviation, whose limits are Byar's
  /// (Breslow and Day 1987, "Statistical Methods in Cancer Research II", 2.10): for few samples they are not symmetrical, for
  /// many they are the estimate plus and minus 1.96 deviations.
  public var interval: (low: Double, high: Double)? {
    guard samples > 0, bytes > 0 else { return nil }
    guard bytesVariance > 0 else { return (bytes, bytes) }
    let count = bytes * bytes / bytesVariance
    let scale = bytes / count
    let z = 1.959964
    func cube(_ value: Double) -> Double { value * value * value }
    let low = count * cube(max(0, 1 - 1 / (9 * count) - z / (3 * count.squareRoot())))
    let next = count + 1
    let high = next * cube(1 - 1 / (9 * next) + z / (3 * next.squareRoot()))
    return (low * scale, high * scale)
  }
}

/// A function, or an address nobody has a name for.
public struct HeapFrame: Hashable, Sendable {
  /// Nil for code that no file backs.
  public var file: FileReference?
  /// As in the file; in memory without one.
  public var address: UInt64
  /// Mangled, as the symbol table has it.
  public var function: [UInt8]?

  public init(file: FileReference?, address: UInt64, function: [UInt8]?) {
    self.file = file
    self.address = address
    self.function = function
  }
}

/// What was allocated through one chain of calls.
public struct HeapStack: Hashable, Sendable {
  /// Indices of `HeapRecord.frames`, innermost first.
  public var frames: [Int]
  public var isComplete: Bool
  public var allocated = HeapSums()
  /// Of it, what was not freed when the profile ended.
  public var live = HeapSums()

  public init(frames: [Int], isComplete: Bool) {
    self.frames = frames
    self.isComplete = isComplete
  }
}

/// The outcome of one profile, before packages are known.
public struct HeapRecord: Sendable {
  public var frames: [HeapFrame] = []
  public var stacks: [HeapStack] = []
  /// Live samples whose stack was lost.
  public var liveWithoutStack = HeapSums()
  /// Beyond the limit of stacks that are told apart.
  public var allocatedBeyondLimit = HeapSums()
  public var liveBeyondLimit = HeapSums()
  /// The agent's word from here on.
  public var hasBegun = false
  public var end: HeapEnd = .none
  /// CLOCK_MONOTONIC nanoseconds; nil before it has begun, or while it goes on.
  public var began: UInt64?
  public var ended: UInt64?
  public var countersAtStart = HeapCounters()
  public var mean: UInt64 = 0
  public var largestMean: UInt64 = 0
  public var samples: UInt64 = 0
  /// Of these: above the rate; without a stack because the ring was full; not in the table of live samples.
  public var throttled: UInt64 = 0
  public var stacksLost: UInt64 = 0
  public var liveLost: UInt64 = 0
  /// Records that made no sense.
  public var refused: UInt64 = 0

  public init() {}
}

/// Why the agent stopped sampling by itself.
public enum HeapEnd: Hashable, Sendable {
  case none, stopped, deadline, filter, notCounting, disconnected, unknown
}

/// Why the agent did not begin.
public enum HeapRefusal: Hashable, Sendable {
  case notCounting, seccomp, noDescriptor, wrongSegment, noMemory, busy
  /// It does not know the command.
  case tooOld
  case unknown(Int64)
}
