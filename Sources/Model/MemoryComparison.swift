/// Processes of one program and user whose memory is compared.
public struct ComparedProgram: Hashable, Sendable {
  /// Path, for people.
  public var program: String
  /// Those with most to compare first.
  public var processes: [ComparedProcess]

  public init(program: String, processes: [ComparedProcess]) {
    self.program = program
    self.processes = processes
  }
}

public struct ComparedProcess: Hashable, Sendable {
  public var identity: ProcessIdentity
  /// Large anonymous mappings, ascending.
  public var ranges: [Range<UInt64>]
  /// Resident in them.
  public var resident: Bytes

  public init(identity: ProcessIdentity, ranges: [Range<UInt64>], resident: Bytes) {
    self.identity = identity
    self.ranges = ranges
    self.resident = resident
  }
}

/// What came of comparing the processes of one program.
public struct ComparisonReading: Hashable, Sendable {
  public struct Process: Hashable, Sendable {
    public var identity: ProcessIdentity
    /// Pages that this process alone holds, in its large mappings.
    public var pages: UInt64
    /// Of these looked at.
    public var sampled: UInt64
    /// Of those looked at, found in a process before: by its index.
    public var equal: [Int: UInt64]

    public init(identity: ProcessIdentity, pages: UInt64, sampled: UInt64, equal: [Int: UInt64]) {
      self.identity = identity
      self.pages = pages
      self.sampled = sampled
      self.equal = equal
    }
  }

  public var program: String
  /// Those that could be read, in their order.
  public var processes: [Process]
  public var pageSize: Bytes
  /// Processes that could not be read.
  public var refused: Int
  /// A limit ended it: there may be more equal pages than were found.
  public var isPartial: Bool

  public init(program: String, processes: [Process], pageSize: Bytes, refused: Int, isPartial: Bool) {
    self.program = program
    self.processes = processes
    self.pageSize = pageSize
    self.refused = refused
    self.isPartial = isPartial
  }

  /// From all of them.
  public var read: Bytes { processes.reduce(.zero) { $0 + Bytes($1.sampled * pageSize.count) } }
}
