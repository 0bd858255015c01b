import Model

/// What is to be given back, by whom and how far.
public struct ReclaimRequest: Sendable {
  public enum Target: Hashable, Sendable {
    /// All of it that may go, in one process.
    case process(Int32)
    /// A package's or a module's files, in these processes or, with nil, in all that hold it.
    case package(String, pids: Set<Int32>?)
    /// As `process`, those of them that are watched.
    case processes(Set<Int32>)
    /// Every watched process.
    case everything
  }
  public var target: Target
  /// Tried in the order of the ladder.
  public var rungs: Set<ReclaimRung>
  /// Enough; nil for as much as the rungs bring.
  public var wanted: Bytes?
  /// What was in use a moment ago goes too.
  public var isForced: Bool
  /// Says what would go, and touches nothing.
  public var isDryRun: Bool
  /// The kernel's copies of files go too, where nobody maps them any more: without it the next use finds them in memory.
  public var dropsCache: Bool
  /// How long Python's collector may take to come to a safe point.
  public var collectMilliseconds: UInt64
  public var requester: Requester
  public var reason: UnloadReason
  /// By the policy, which has it in the journal already.
  var isDecided: Bool

  public init(
    target: Target, rungs: Set<ReclaimRung>, wanted: Bytes? = nil, isForced: Bool = false, isDryRun: Bool = false,
    dropsCache: Bool = true, collectMilliseconds: UInt64 = ReclaimRequest.standardCollectMilliseconds, requester: Requester,
    reason: UnloadReason = .manual
  ) {
    self.init(
      target: target, rungs: rungs, wanted: wanted, isForced: isForced, isDryRun: isDryRun, dropsCache: dropsCache,
      collectMilliseconds: collectMilliseconds, requester: requester, reason: reason, isDecided: false)
  }

  init(
    target: Target, rungs: Set<ReclaimRung>, wanted: Bytes? = nil, isForced: Bool = false, isDryRun: Bool = false,
    dropsCache: Bool = true, collectMilliseconds: UInt64 = ReclaimRequest.standardCollectMilliseconds, requester: Requester,
    reason: UnloadReason, isDecided: Bool
  ) {
    self.isDecided = isDecided
    self.target = target
    self.rungs = rungs
    self.wanted = wanted
    self.isForced = isForced
    self.isDryRun = isDryRun
    self.dropsCache = dropsCache
    self.collectMilliseconds = collectMilliseconds
    self.requester = requester
    self.reason = reason
  }

  /// 1 s: a server that waits for connections with a timeout of its own, as Python's socketserver does (0.5 s), comes by in it.
  public static let standardCollectMilliseconds: UInt64 = 1_000

  /// What a person means who names no rung: everything that is undone by the program's next use. With an amount that is wanted the
  /// kernel's own choice too, which has to be told one.
  public static func standardRungs(of target: Target, wanted: Bytes? = nil) -> Set<ReclaimRung> {
    switch target {
    case .package: [.closedModules, .modulePages]
    case .process, .processes, .everything:
      Set([.closedModules, .callbacks, .collect, .trim, .modulePages, .heapPages] + (wanted == nil ? [] : [.controlGroup]))
    }
  }
}

/// What came of a request, process by process.
public struct ReclaimSnapshot: Sendable {
  public var takenAt: Double
  public var seconds: Double
  public var isDryRun: Bool
  /// Of what binds the machine, before and after; nil when it cannot be read. Others allocate meanwhile.
  public var memoryBefore: MemoryPressure?
  public var memoryAfter: MemoryPressure?
  /// By PID.
  public var reports: [ReclaimReport]
}

/// One process on the ladder.
struct Climber {
  /// The files that are meant; nil for the whole process.
  var files: Set<LastUse.FileKey>?
  var report: ReclaimReport
  /// Nil without a connected agent.
  var session: SessionID?
  var abilities: AgentAbilities = []
  /// Its agent answers at once.
  var hasThread = false
  var pid: Int32 { report.process.pid }

  func holds(_ file: FileReference) -> Bool {
    files?.contains(LastUse.FileKey(device: file.device, inode: file.inode)) ?? true
  }
}

extension Mapping {
  /// A file has all of it: what was written to, or is to be, has no other copy.
  var isDroppable: Bool {
    !permissions.contains(.write) && usage.privateDirty == .zero && usage.anonymous == .zero && usage.swap == .zero
  }
}

/// Which pages of a process may be dropped, and which not.
struct DroppablePages {
  /// Library code and constants: its agent can drop them.
  var segments: [(range: AddressRange, file: FileReference, resident: Bytes)] = []
  /// Other mapped files, model weights say.
  var files: [(range: AddressRange, file: FileReference, resident: Bytes)] = []
  var remainders: [ReclaimRemainder] = []

  var resident: Bytes { (segments + files).reduce(.zero) { $0 + $1.resident } }

  /// - Parameters:
  ///   - isInUse: Seen in use a moment ago.
  ///   - obstacle: Why a file's pages had better stay.
  init(
    _ mappings: [Mapping], of climber: Climber, isInUse: (Mapping) -> Bool, isRuntime: (FileReference) -> Bool,
    obstacle: (FileReference) -> String?
  ) {
    var used: [String: Bytes] = [:]
    var blocked: [String: (reason: String, bytes: Bytes)] = [:]
    for mapping in mappings {
      guard case .file(let file) = mapping.backing, climber.holds(file), !isRuntime(file), mapping.usage.resident > .zero
      else { continue }
      let usage = mapping.usage
      guard mapping.isDroppable else { continue }
      let name = file.displayPath
      if isInUse(mapping) {
        used[name, default: .zero] += usage.resident
        continue
      }
      if let reason = obstacle(file) {
        blocked[name] = (reason, (blocked[name]?.bytes ?? .zero) + usage.resident)
        continue
      }
      let entry = (range: AddressRange(start: mapping.start, end: mapping.end), file: file, resident: usage.resident)
      // Shared mappings and files without code are no library segments.
      if mapping.permissions.contains(.shared) { files.append(entry) } else { segments.append(entry) }
    }
    // A library's first segment last: the check of the others reads its program headers, which would bring it back.
    segments.sort { ($0.file.inode, $1.range.start) < ($1.file.inode, $0.range.start) }
    remainders =
      used.sorted { $0.key < $1.key }.map { ReclaimRemainder(name: $0.key, reason: "in-use", bytes: $0.value) }
      + blocked.sorted { $0.key < $1.key }.map { ReclaimRemainder(name: $0.key, reason: $0.value.reason, bytes: $0.value.bytes) }
  }
}
