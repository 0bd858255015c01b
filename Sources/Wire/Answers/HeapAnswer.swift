import Model

/// `POST /api/v1/processes/PID/heap`
public struct HeapAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.heap/1"
  public var schema = HeapAnswer.schema
  public var startedAt: Double
  public var pid: Int32
  public var name: String
  /// How long samples were taken.
  public var seconds: Double
  public var askedSeconds: Double
  /// Set when it is less than what was asked for; `reason` says why.
  public var isPartial: Bool
  public var reason: Known<String>
  public var sampling: HeapSampling
  public var exact: HeapExactRow
  public var total: HeapFigures
  /// Of the total: samples without a stack.
  public var withoutStack: HeapFigures
  public var packages: [HeapPackageRow]
  public var stacks: [HeapStackRow]
  /// Stacks that the answer has no room for, the smallest; they are in the totals.
  public var stacksLeftOut: Int
  public var frames: [HeapFrameRow]

  public init(
    startedAt: Double, pid: Int32, name: String, seconds: Double, askedSeconds: Double, reason: String?,
    sampling: HeapSampling, exact: HeapExactRow, total: HeapFigures, withoutStack: HeapFigures, packages: [HeapPackageRow],
    stacks: [HeapStackRow], stacksLeftOut: Int, frames: [HeapFrameRow]
  ) {
    self.startedAt = startedAt
    self.pid = pid
    self.name = name
    self.seconds = seconds
    self.askedSeconds = askedSeconds
    isPartial = reason != nil
    self.reason = Known(reason)
    self.sampling = sampling
    self.exact = exact
    self.total = total
    self.withoutStack = withoutStack
    self.packages = packages
    self.stacks = stacks
    self.stacksLeftOut = stacksLeftOut
    self.frames = frames
  }
}

extension HeapAnswer {
  /// Every frame and package that is named by its place is there. Who reads an answer off a socket asks this first.
  public func isConsistent() -> Bool {
    frames.allSatisfy { packages.indices.contains($0.package) }
      && stacks.allSatisfy { packages.indices.contains($0.package) && $0.frames.allSatisfy { frames.indices.contains($0) } }
  }
}

/// How samples were taken, and what was lost of them.
public struct HeapSampling: Codable, Sendable, Hashable {
  /// Bytes between two samples on average, to begin with.
  public var meanBytes: UInt64
  /// The largest it was raised to, to hold the rate.
  public var largestMeanBytes: UInt64
  public var samples: UInt64
  /// Of these, dropped: above the highest rate.
  public var throttled: UInt64
  /// Of these, without a stack: the reader was behind.
  public var stacksLost: UInt64
  /// Of these, not followed to their free: the table was full.
  public var liveLost: UInt64
  /// Records that made no sense.
  public var refused: UInt64

  public init(
    meanBytes: UInt64, largestMeanBytes: UInt64, samples: UInt64, throttled: UInt64, stacksLost: UInt64, liveLost: UInt64,
    refused: UInt64
  ) {
    self.meanBytes = meanBytes
    self.largestMeanBytes = largestMeanBytes
    self.samples = samples
    self.throttled = throttled
    self.stacksLost = stacksLost
    self.liveLost = liveLost
    self.refused = refused
  }
}

/// Counted, not sampled; null when it cannot be told.
public struct HeapExactRow: Codable, Sendable, Hashable {
  /// During the profile.
  public var allocations: Known<UInt64>
  public var allocatedBytes: Known<UInt64>
  /// At its end, whenever it was allocated.
  public var liveHeapBytes: Known<UInt64>

  public init(allocations: UInt64?, allocatedBytes: UInt64?, liveHeapBytes: UInt64?) {
    self.allocations = Known(allocations)
    self.allocatedBytes = Known(allocatedBytes)
    self.liveHeapBytes = Known(liveHeapBytes)
  }
}

/// An estimate with its 95 % interval.
public struct HeapEstimate: Codable, Sendable, Hashable {
  public var bytes: UInt64
  /// Null without a sample: then the truth is most likely below three means, and not known better.
  public var lowBytes: Known<UInt64>
  public var highBytes: Known<UInt64>
  public var objects: UInt64
  public var samples: UInt64

  public init(bytes: UInt64, lowBytes: UInt64?, highBytes: UInt64?, objects: UInt64, samples: UInt64) {
    self.bytes = bytes
    self.lowBytes = Known(lowBytes)
    self.highBytes = Known(highBytes)
    self.objects = objects
    self.samples = samples
  }

  public init(_ sums: HeapSums) {
    // Saturating: sums come from another program's word.
    func whole(_ value: Double) -> UInt64 { UInt64(exactly: value.rounded()) ?? (value > 0 ? .max : 0) }
    let interval = sums.interval
    self.init(
      bytes: whole(sums.bytes), lowBytes: interval.map { whole($0.low) }, highBytes: interval.map { whole($0.high) },
      objects: whole(sums.objects), samples: sums.samples)
  }
}

/// What was allocated during the profile, and what of it was live at its end.
public struct HeapFigures: Codable, Sendable, Hashable {
  public var live: HeapEstimate
  public var allocated: HeapEstimate

  public init(live: HeapEstimate, allocated: HeapEstimate) {
    self.live = live
    self.allocated = allocated
  }
}

/// What a package allocated.
public struct HeapPackageRow: Codable, Sendable, Hashable {
  public var name: String
  public var kind: PackageIdentity.Kind
  public var version: Known<String>
  /// Stacks whose first frame outside the C library, the C++ runtime and the allocator is the package's.
  public var own: HeapFigures
  /// Stacks with any frame of the package; these do not add up.
  public var through: HeapFigures

  public init(name: String, kind: PackageIdentity.Kind, version: Known<String>, own: HeapFigures, through: HeapFigures) {
    self.name = name
    self.kind = kind
    self.version = version
    self.own = own
    self.through = through
  }
}

/// A chain of calls.
public struct HeapStackRow: Codable, Sendable, Hashable {
  /// Indices of `frames`, innermost first.
  public var frames: [Int]
  /// Index of `packages`.
  public var package: Int
  /// The outermost call was found.
  public var isComplete: Bool
  public var live: HeapEstimate
  public var allocated: HeapEstimate

  public init(frames: [Int], package: Int, isComplete: Bool, live: HeapEstimate, allocated: HeapEstimate) {
    self.frames = frames
    self.package = package
    self.isComplete = isComplete
    self.live = live
    self.allocated = allocated
  }
}

/// A function in a chain of calls.
public struct HeapFrameRow: Codable, Sendable, Hashable {
  /// Null when no symbol table has its name.
  public var function: Known<String>
  /// Path of the file; null for code without one.
  public var module: Known<String>
  /// Where the function begins in the file, or what stands for it.
  public var address: UInt64
  /// Index of `packages`.
  public var package: Int

  public init(function: Known<String>, module: Known<String>, address: UInt64, package: Int) {
    self.function = function
    self.module = module
    self.address = address
    self.package = package
  }
}

/// The body of `POST /api/v1/processes/PID/heap`.
public struct HeapProfileRequest: Codable, Sendable, Hashable {
  public var seconds: Double
  /// Only stacks of the package with this name; the figures of packages and the totals stay whole.
  public var package: String?
  /// Bytes between two samples; 524,288 when it is missing.
  public var meanBytes: UInt64?

  public init(seconds: Double, package: String? = nil, meanBytes: UInt64? = nil) {
    self.seconds = seconds
    self.package = package
    self.meanBytes = meanBytes
  }
}

/// `GET /api/v1/processes/PID/heap` and `POST /api/v1/processes/PID/heap/stop`
public struct HeapProgressAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.heap-progress/1"
  public var schema = HeapProgressAnswer.schema
  public var pid: Int32
  public var askedSeconds: Double
  /// Since the agent began; null when it has not.
  public var seconds: Known<Double>
  public var samples: UInt64

  public init(pid: Int32, askedSeconds: Double, seconds: Known<Double>, samples: UInt64) {
    self.pid = pid
    self.askedSeconds = askedSeconds
    self.seconds = seconds
    self.samples = samples
  }
}
