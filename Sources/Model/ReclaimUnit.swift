/// What is given back as one: a package in a process, a model, a plugin, a module that was closed.
public struct ReclaimUnit: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The order is the order of display for equal names.
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
    /// The modules of a package in one process.
    case package
    /// A module that its program has closed and that is kept for its return.
    case closedModule = "closed-module"
    case plugin
    case model
    /// What the allocator of a process holds for nothing; named like the process.
    case heap
    /// All of a process that may go: asked for by a person.
    case process

    public static func < (left: Kind, right: Kind) -> Bool { left.rawValue < right.rawValue }

    /// A unit of this kind, for people.
    public func title(of name: String) -> String { self == .heap ? "heap of \(name)" : name }
  }

  public var kind: Kind
  /// What strategies, preferences and classes name.
  public var name: String
  /// Who holds it; nil for what is not inside one watched process.
  public var process: ProcessIdentity?

  public init(_ kind: Kind, _ name: String, in process: ProcessIdentity? = nil) {
    self.kind = kind
    self.name = name
    self.process = process
  }

  /// By name, then kind, then process: the last tie-break of every decision.
  public static func < (left: ReclaimUnit, right: ReclaimUnit) -> Bool {
    if left.name != right.name { return left.name < right.name }
    if left.kind != right.kind { return left.kind < right.kind }
    switch (left.process, right.process) {
    case (nil, nil), (_?, nil): return false
    case (nil, _?): return true
    case (let left?, let right?): return left < right
    }
  }

  /// `torch`, `torch in 4711`, `heap of python3 in 4711`.
  public var description: String { process.map { "\(title) in \($0)" } ?? title }

  /// For people: `torch`, `heap of python3`.
  public var title: String { kind.title(of: name) }
}

/// What happens to a unit when there is too little memory.
public enum UnitClass: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
  /// Never unloaded.
  case critical
  /// Loaded on demand, unloaded by the rules that hold for all.
  case important
  /// The first to go.
  case optional

  /// The first to go comes last.
  public static func < (left: UnitClass, right: UnitClass) -> Bool { left.rank < right.rank }
  private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// A unit as it was observed. What nobody measured is nil, never 0.
public struct UnitObservation: Hashable, Sendable {
  public var unit: ReclaimUnit
  public var isLoaded: Bool
  /// Why it must not be touched now, in a word (`thread-inside:812`, `request-in-flight`); nil when nothing shows use.
  public var busy: String?
  /// When it was last seen in use; nil when nobody has seen it used.
  public var lastUsed: Instant?
  /// Since when it is in memory, or has been watched there.
  public var loadedAt: Instant?
  /// What would come back to the machine, measured.
  public var bytes: Bytes?
  /// What bringing it back takes, measured.
  public var reloadSeconds: Double?
  /// What would come back if all processes that hold it let go of it at once: its share; nil where nobody else holds it.
  public var together: Together?
  /// Units that must be there as long as this one is.
  public var needs: [ReclaimUnit]
  /// Bytes read back since it was given back, as page faults tell; nil when that is not counted.
  public var refaulted: Bytes?

  /// A unit's share of what several processes hold.
  public struct Together: Hashable, Sendable {
    public var bytes: Bytes
    /// As `UnitObservation.reloadSeconds`, for these bytes.
    public var reloadSeconds: Double?

    public init(bytes: Bytes, reloadSeconds: Double? = nil) {
      self.bytes = bytes
      self.reloadSeconds = reloadSeconds
    }
  }

  public init(
    _ unit: ReclaimUnit, isLoaded: Bool = true, busy: String? = nil, lastUsed: Instant? = nil, loadedAt: Instant? = nil,
    bytes: Bytes? = nil, reloadSeconds: Double? = nil, needs: [ReclaimUnit] = [], refaulted: Bytes? = nil,
    together: Together? = nil
  ) {
    self.unit = unit
    self.isLoaded = isLoaded
    self.busy = busy
    self.lastUsed = lastUsed
    self.loadedAt = loadedAt
    self.bytes = bytes
    self.reloadSeconds = reloadSeconds
    self.needs = needs
    self.refaulted = refaulted
    self.together = together
  }
}
