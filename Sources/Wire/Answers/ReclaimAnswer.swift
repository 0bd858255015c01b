/// `POST /api/v1/reclaim`
public struct ReclaimAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.reclaim/1"
  public var schema = ReclaimAnswer.schema
  public var takenAt: Double
  public var seconds: Double
  /// Nothing was touched.
  public var dryRun: Bool
  /// Memory came back in one process at least. False of a dry run.
  public var success: Bool
  /// Proportional bytes fewer over all processes, so that what several share counts once; null when not all could be measured.
  public var freedBytes: Known<UInt64>
  /// In use of the limit that binds, before and after. Others allocate meanwhile.
  public var usedBeforeBytes: Known<UInt64>
  public var usedAfterBytes: Known<UInt64>
  /// By PID.
  public var processes: [ReclaimRow]

  public init(
    takenAt: Double, seconds: Double, dryRun: Bool, success: Bool, freedBytes: Known<UInt64>, usedBeforeBytes: Known<UInt64>,
    usedAfterBytes: Known<UInt64>, processes: [ReclaimRow]
  ) {
    self.takenAt = takenAt
    self.seconds = seconds
    self.dryRun = dryRun
    self.success = success
    self.freedBytes = freedBytes
    self.usedBeforeBytes = usedBeforeBytes
    self.usedAfterBytes = usedAfterBytes
    self.processes = processes
  }
}

/// What came of it in one process.
public struct ReclaimRow: Codable, Sendable, Hashable {
  public var pid: Int32
  public var name: String
  /// Whose files were meant; null for the whole process.
  public var package: Known<String>
  public var success: Bool
  /// Why nothing came back, in a word: `no-agent`, `in-use`, `thread-inside:812`; null when something did.
  public var obstacle: Known<String>
  /// What was expected of the pages of files; null when they were not asked.
  public var predictedBytes: Known<UInt64>
  /// Resident bytes fewer: of the package's files where one was meant, else of the process.
  public var freedBytes: Known<UInt64>
  public var before: Known<ReclaimUsage>
  public var after: Known<ReclaimUsage>
  /// Of the package's files.
  public var packageBefore: Known<ReclaimUsage>
  public var packageAfter: Known<ReclaimUsage>
  public var seconds: Double
  public var rungs: [ReclaimRungRow]

  public init(
    pid: Int32, name: String, package: Known<String>, success: Bool, obstacle: Known<String>, predictedBytes: Known<UInt64>,
    freedBytes: Known<UInt64>, before: Known<ReclaimUsage>, after: Known<ReclaimUsage>, packageBefore: Known<ReclaimUsage>,
    packageAfter: Known<ReclaimUsage>, seconds: Double, rungs: [ReclaimRungRow]
  ) {
    self.pid = pid
    self.name = name
    self.package = package
    self.success = success
    self.obstacle = obstacle
    self.predictedBytes = predictedBytes
    self.freedBytes = freedBytes
    self.before = before
    self.after = after
    self.packageBefore = packageBefore
    self.packageAfter = packageAfter
    self.seconds = seconds
    self.rungs = rungs
  }
}

/// One rung of the ladder in one process.
public struct ReclaimRungRow: Codable, Sendable, Hashable {
  /// `closed-modules`, `callbacks`, `collect`, `trim`, `module-pages`, `equal-pages`, `control-group`, `heap-pages`.
  public var rung: String
  /// Why it was not carried out, in a word; null when it was.
  public var refusal: Known<String>
  public var before: Known<ReclaimUsage>
  public var after: Known<ReclaimUsage>
  /// Resident bytes fewer.
  public var freedBytes: Known<UInt64>
  /// Measurements included.
  public var seconds: Double
  /// The program's own time that it took.
  public var agentSeconds: Known<Double>
  /// Objects collected, libraries closed for good, bytes that callbacks told: what the agent answered. Bytes that are kept merged.
  public var count: Known<UInt64>
  public var stayed: [ReclaimStayedRow]

  public init(
    rung: String, refusal: Known<String>, before: Known<ReclaimUsage>, after: Known<ReclaimUsage>, freedBytes: Known<UInt64>,
    seconds: Double, agentSeconds: Known<Double>, count: Known<UInt64>, stayed: [ReclaimStayedRow]
  ) {
    self.rung = rung
    self.refusal = refusal
    self.before = before
    self.after = after
    self.freedBytes = freedBytes
    self.seconds = seconds
    self.agentSeconds = agentSeconds
    self.count = count
    self.stayed = stayed
  }
}

/// What stayed, and why.
public struct ReclaimStayedRow: Codable, Sendable, Hashable {
  /// A file; empty for the whole rung.
  public var name: String
  public var reason: String
  public var bytes: Known<UInt64>

  public init(name: String, reason: String, bytes: Known<UInt64>) {
    self.name = name
    self.reason = reason
    self.bytes = bytes
  }
}

/// Memory as the kernel counts it.
public struct ReclaimUsage: Codable, Sendable, Hashable {
  public var residentBytes: UInt64
  public var proportionalBytes: UInt64
  public var privateBytes: UInt64
  public var anonymousBytes: UInt64
  public var swapBytes: UInt64

  public init(
    residentBytes: UInt64, proportionalBytes: UInt64, privateBytes: UInt64, anonymousBytes: UInt64, swapBytes: UInt64
  ) {
    self.residentBytes = residentBytes
    self.proportionalBytes = proportionalBytes
    self.privateBytes = privateBytes
    self.anonymousBytes = anonymousBytes
    self.swapBytes = swapBytes
  }
}

/// The body of `POST /api/v1/reclaim`. One of `pid`, `package` and `all` says what is meant; `package` and `pid` together mean that
/// package in that process.
public struct ReclaimAsked: Codable, Sendable, Hashable {
  public var pid: Int32?
  /// A package, or a library by its file's name or path.
  public var package: String?
  /// Every watched process.
  public var all: Bool?
  /// Rungs to try, whatever their order here; missing for all that the program's next use undoes.
  public var rungs: [String]?
  /// Enough; missing for as much as the rungs bring.
  public var wantedBytes: UInt64?
  /// What was in use a moment ago goes too, and what its user denies.
  public var force: Bool?
  public var dryRun: Bool?
  /// The kernel's copies of files stay in memory.
  public var keepCache: Bool?
  /// How long Python's collector may take to come to a safe point; 1,000 when it is missing.
  public var collectMilliseconds: UInt64?

  public init(
    pid: Int32? = nil, package: String? = nil, all: Bool? = nil, rungs: [String]? = nil, wantedBytes: UInt64? = nil,
    force: Bool? = nil, dryRun: Bool? = nil, keepCache: Bool? = nil, collectMilliseconds: UInt64? = nil
  ) {
    self.pid = pid
    self.package = package
    self.all = all
    self.rungs = rungs
    self.wantedBytes = wantedBytes
    self.force = force
    self.dryRun = dryRun
    self.keepCache = keepCache
    self.collectMilliseconds = collectMilliseconds
  }
}
