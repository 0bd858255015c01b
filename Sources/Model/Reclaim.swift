/// One rung of the ladder by which memory is given back, the mildest first.
public enum ReclaimRung: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
  /// Closes for good what the program has closed.
  case closedModules = "closed-modules"
  /// Asks the program's own callbacks.
  case callbacks
  /// Python's collector.
  case collect
  /// The allocator's free memory.
  case trim
  /// Clean pages of libraries and mapped files, which come back from the file.
  case modulePages = "module-pages"
  /// Equal pages of several processes are kept once.
  case equalPages = "equal-pages"
  /// What the kernel holds least needed in a control group that is the process's own.
  case controlGroup = "control-group"
  /// Pages that only a swap can hold.
  case heapPages = "heap-pages"

  public static func < (left: ReclaimRung, right: ReclaimRung) -> Bool { left.place < right.place }
  private var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// What was left where it is, and why, in a word of the truth report: `nodelete`, `thread-inside:812`, `no-swap`.
public struct ReclaimRemainder: Hashable, Sendable {
  /// A library, or what else it is about; empty for the whole rung.
  public var name: String
  public var reason: String
  /// Nil when it was not measured.
  public var bytes: Bytes?

  public init(name: String = "", reason: String, bytes: Bytes? = nil) {
    self.name = name
    self.reason = reason
    self.bytes = bytes
  }
}

/// What one rung did to one process.
public struct RungReport: Hashable, Sendable {
  public var rung: ReclaimRung
  /// Nil when it was carried out; else why nothing was, in a word.
  public var refusal: String?
  /// Of the process, as the kernel counts it just before and after; nil when it could not be read.
  public var before: MemoryUsage?
  public var after: MemoryUsage?
  /// Measurements included.
  public var seconds: Double
  /// The program's own time that it took, by the agent's clock; nil when no agent was asked.
  public var agentSeconds: Double?
  /// What the agent answered, where that says something: objects collected, libraries unmapped; bytes that the kernel keeps merged.
  public var count: UInt64?
  public var remainders: [ReclaimRemainder]

  public init(
    rung: ReclaimRung, refusal: String? = nil, before: MemoryUsage? = nil, after: MemoryUsage? = nil, seconds: Double = 0,
    agentSeconds: Double? = nil, count: UInt64? = nil, remainders: [ReclaimRemainder] = []
  ) {
    self.rung = rung
    self.refusal = refusal
    self.before = before
    self.after = after
    self.seconds = seconds
    self.agentSeconds = agentSeconds
    self.count = count
    self.remainders = remainders
  }

  /// Resident bytes fewer; nil when it was not measured. A program that allocates meanwhile hides what came back. Pages that are
  /// kept once stay resident in each process: of them its part.
  public var freed: Bytes? {
    guard let before, let after else { return nil }
    return rung == .equalPages ? before.proportional - after.proportional : before.resident - after.resident
  }
}

/// What came of giving back in one process: every figure measured, nil where it could not be.
public struct ReclaimReport: Hashable, Sendable {
  public var process: ProcessIdentity
  public var processName: String
  /// Who was asked to go; nil when the whole process was.
  public var package: String?
  /// What was expected back; nil when nobody could tell.
  public var predicted: Bytes?
  /// Of the whole process.
  public var before: MemoryUsage?
  public var after: MemoryUsage?
  /// Of the package's files in it; nil when the whole process was meant.
  public var packageBefore: MemoryUsage?
  public var packageAfter: MemoryUsage?
  public var seconds: Double
  public var rungs: [RungReport]
  /// Why nothing was tried; nil when something was.
  public var refusal: String?

  public init(process: ProcessIdentity, processName: String, package: String?, refusal: String? = nil) {
    self.process = process
    self.processName = processName
    self.package = package
    self.refusal = refusal
    seconds = 0
    rungs = []
  }

  /// Resident bytes fewer, of the process; nil when it was not measured.
  public var freed: Bytes? {
    guard let before, let after else { return nil }
    return before.resident - after.resident
  }
  /// Private bytes fewer: what nobody else can still hold.
  public var freedPrivate: Bytes? {
    guard let before, let after else { return nil }
    return before.privateBytes - after.privateBytes
  }
  public var freedProportional: Bytes? {
    guard let before, let after else { return nil }
    return before.proportional - after.proportional
  }

  /// What the unit gave back: of the package's own files where one was asked, else of the process.
  public var freedOfUnit: Bytes? {
    if !rungs.isEmpty, rungs.allSatisfy({ $0.rung == .equalPages }) { return freedProportional }
    guard let packageBefore, let packageAfter else { return freed }
    return packageBefore.resident - packageAfter.resident
  }

  /// What the machine got back, as far as it shows in this process: of a package's files their proportional bytes, for a page that
  /// others still map is not back; else as `freedOfUnit`.
  public var cameBack: Bytes? {
    guard let packageBefore, let packageAfter else { return freedOfUnit }
    return packageBefore.proportional - packageAfter.proportional
  }

  /// What stayed, of all rungs.
  public var remainders: [ReclaimRemainder] { rungs.flatMap(\.remainders) }

  /// Why nothing came back, the first reason that was given; nil when memory came back.
  public var obstacle: String? {
    if let freed = freedOfUnit, freed > .zero { return nil }
    let refusals = rungs.compactMap(\.refusal)
    return refusal ?? refusals.first { !Self.isInapplicable($0) } ?? remainders.first?.reason ?? refusals.first
      ?? "nothing-resident"
  }

  /// Rungs that there is nothing for in this program: no reason for what the others did not bring.
  public static func isInapplicable(_ refusal: String) -> Bool {
    inapplicable.contains(refusal) || refusal.hasPrefix("unavailable:")
  }

  private static let inapplicable: Set<String> = [
    "no-python", "no-callback", "none-closed", "no-purge-call", "not-of-a-package", "not-asked-for", "dry-run",
  ]
}

/// Words for `enum mlos_refusal` of the agent's contract.
public enum AgentRefusal {
  /// - Parameter value: As the agent answered: reason in the low half, detail in the high half. A number that is none is shown.
  public static func word(_ value: Int64) -> String {
    let reason = UInt32(truncatingIfNeeded: value)
    let detail = UInt32(truncatingIfNeeded: value >> 32)
    switch reason {
    case 1: return "no-purge-call"
    case 2: return "too-soon:\(detail)ms"
    case 3: return "no-python"
    case 4: return "no-safe-point"
    case 5: return "under-way"
    case 6: return "not-clean-code"
    case 7: return "kernel:errno-\(detail)"
    case 8: return "seccomp"
    case 20: return "not-kept"
    case 21: return "nodelete"
    case 22: return "unique-symbol"
    case 23: return "tls-destructor"
    case 24: return "needed-by:module-\(detail)"
    case 25: return "thread-inside:\(detail)"
    case 26: return "thread-started:\(detail)"
    case 27: return "signal-handler:\(detail)"
    case 28: return "exit-handler"
    case 29: return "key-destructor"
    case 30: return "family:\(family(detail))"
    case 31: return "excluded"
    case 32: return "stayed"
    case 33: return "loader-busy"
    case 40: return "no-callback"
    case 41: return "callback-late"
    case 42: return "in-use:\(detail)"
    default: return "agent-code-\(reason)"
    }
  }

  private static func family(_ number: UInt32) -> String {
    switch number {
    case 1: "openmp"
    case 2: "cuda"
    case 3: "go"
    case 4: "qt"
    case 5: "python"
    case 6: "jvm"
    default: "\(number)"
    }
  }
}
