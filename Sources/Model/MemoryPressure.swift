/// How full the memory is that binds: a control group's where it has a limit, else the machine's.
public enum PressureLevel: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
  /// Below 50 %.
  case low
  /// From 50 %.
  case medium
  /// From 70 %.
  case high
  /// Above 85 %.
  case critical

  /// - Parameter share: Of the limit, 0 to 1; what is no number is `low`: nothing is given back for a figure that is not known.
  public init(share: Double) {
    if share > 0.85 {
      self = .critical
    } else if share >= 0.7 {
      self = .high
    } else if share >= 0.5 {
      self = .medium
    } else {
      self = .low
    }
  }

  public static func < (left: PressureLevel, right: PressureLevel) -> Bool { left.rank < right.rank }
  private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// Memory in use against the limit that binds.
public struct MemoryPressure: Hashable, Sendable {
  public var used: Bytes
  /// Above zero.
  public var limit: Bytes
  /// Where the limit comes from: `machine`, or the path of a control group.
  public var source: String
  /// Share of the time since the last look in which something waited for memory (PSI `some`), 0 to 1; nil when the kernel does not say.
  public var stall: Double?
  /// Bytes that a load which waits needs now.
  public var wanted: Bytes

  public init(used: Bytes, limit: Bytes, source: String = "machine", stall: Double? = nil, wanted: Bytes = .zero) {
    self.used = used
    self.limit = limit
    self.source = source
    self.stall = stall
    self.wanted = wanted
  }

  /// Of the limit; above 1 when more is used than it allows.
  public var share: Double { limit.count == 0 ? 0 : Double(used.count) / Double(limit.count) }
  public var level: PressureLevel { PressureLevel(share: share) }
}

/// All that a decision is made from.
public struct Snapshot: Hashable, Sendable {
  /// Nil when it could not be read: then nothing is given back for want of memory.
  public var memory: MemoryPressure?
  public var units: [UnitObservation]

  public init(memory: MemoryPressure?, units: [UnitObservation]) {
    self.memory = memory
    self.units = units
  }
}
