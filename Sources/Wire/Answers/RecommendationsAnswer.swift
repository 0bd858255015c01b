/// `GET /api/v1/recommendations[?pid=PID]`: what a person could change, and the figures that say so.
public struct RecommendationsAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.recommendations/1"
  public var schema = RecommendationsAnswer.schema
  public var takenAt: Double
  /// The most urgent first.
  public var recommendations: [RecommendationRow]
  /// How much was looked at: nothing found in nothing is no good news.
  public var looked: RecommendationsLooked

  public init(takenAt: Double, recommendations: [RecommendationRow], looked: RecommendationsLooked) {
    self.takenAt = takenAt
    self.recommendations = recommendations
    self.looked = looked
  }
}

public struct RecommendationRow: Codable, Sendable, Hashable {
  /// `warning` or `info`.
  public var type: String
  /// A stable word: `low-success-rate`, `low-memory-savings`, `high-unload-frequency`, `thread-oversubscription`, `free-heap`,
  /// `copies`.
  public var kind: String
  public var message: String
  public var suggestion: String
  /// `high`, `medium`, `low`.
  public var priority: String
  public var subject: RecommendationSubject
  /// What it was made from, by name; all measured.
  public var figures: [String: Double]

  public init(
    type: String, kind: String, message: String, suggestion: String, priority: String, subject: RecommendationSubject,
    figures: [String: Double]
  ) {
    self.type = type
    self.kind = kind
    self.message = message
    self.suggestion = suggestion
    self.priority = priority
    self.subject = subject
    self.figures = figures
  }
}

/// What a recommendation is about.
public struct RecommendationSubject: Codable, Sendable, Hashable {
  /// Null for all unloads together.
  public var name: Known<String>
  public var pids: [Int32]

  public init(name: Known<String>, pids: [Int32]) {
    self.name = name
    self.pids = pids
  }
}

/// What recommendations were made from.
public struct RecommendationsLooked: Codable, Sendable, Hashable {
  /// Null without a journal that can be read.
  public var unloads: Known<RecommendationsUnloads>
  public var threads: RecommendationsThreads
  public var heaps: RecommendationsHeaps
  public var copies: RecommendationsCopies

  public init(
    unloads: Known<RecommendationsUnloads>, threads: RecommendationsThreads, heaps: RecommendationsHeaps,
    copies: RecommendationsCopies
  ) {
    self.unloads = unloads
    self.threads = threads
    self.heaps = heaps
    self.copies = copies
  }
}

public struct RecommendationsUnloads: Codable, Sendable, Hashable {
  public var from: Double
  public var windowSeconds: Double
  /// What was only said is none.
  public var unloads: UInt64
  /// With fewer nothing is said about them.
  public var neededUnloads: UInt64

  public init(from: Double, windowSeconds: Double, unloads: UInt64, neededUnloads: UInt64) {
    self.from = from
    self.windowSeconds = windowSeconds
    self.unloads = unloads
    self.neededUnloads = neededUnloads
  }
}

public struct RecommendationsThreads: Codable, Sendable, Hashable {
  public var seconds: Double
  public var processes: Int
  public var unknownProcesses: Int

  public init(seconds: Double, processes: Int, unknownProcesses: Int) {
    self.seconds = seconds
    self.processes = processes
    self.unknownProcesses = unknownProcesses
  }
}

public struct RecommendationsHeaps: Codable, Sendable, Hashable {
  public var processes: Int
  /// Without an agent that counts, or with another allocator than glibc's.
  public var unknownProcesses: Int

  public init(processes: Int, unknownProcesses: Int) {
    self.processes = processes
    self.unknownProcesses = unknownProcesses
  }
}

public struct RecommendationsCopies: Codable, Sendable, Hashable {
  /// With large private memory, of a program and user that has another such process.
  public var processes: Int
  /// Read, and read of them.
  public var comparedProcesses: Int
  public var readBytes: UInt64
  public var refusedProcesses: Int
  /// A limit of bytes or time ended it: there may be more.
  public var isPartial: Bool

  public init(processes: Int, comparedProcesses: Int, readBytes: UInt64, refusedProcesses: Int, isPartial: Bool) {
    self.processes = processes
    self.comparedProcesses = comparedProcesses
    self.readBytes = readBytes
    self.refusedProcesses = refusedProcesses
    self.isPartial = isPartial
  }
}
