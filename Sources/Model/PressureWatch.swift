/// What is asked of the kernel: to be told when something waited for memory for that long within the window (psi(7) triggers,
/// Documentation/accounting/psi.rst).
public struct PressureTrigger: Hashable, Sendable {
  public var stallMicroseconds: UInt64
  public var windowMicroseconds: UInt64

  /// A tenth of the time, as `PressureGate` calls a stall, within the shortest window there is: the kernel looks ten times a window,
  /// so it is told within 50 ms. Needs CAP_SYS_RESOURCE.
  public static let quick = PressureTrigger(stallMicroseconds: 50_000, windowMicroseconds: 500_000)
  /// The same share in the window that anybody may ask for, Linux 6.6: told within 2 s.
  public static let unprivileged = PressureTrigger(stallMicroseconds: 200_000, windowMicroseconds: 2_000_000)

  /// `some`: one that waits is a request that is answered late. `full`, when nobody gets on, comes too late to do anything.
  public var text: String { "some \(stallMicroseconds) \(windowMicroseconds)" }
  /// Of the time.
  public var share: Double { Double(stallMicroseconds) / Double(windowMicroseconds) }
}

/// The kernel's word that memory is short.
public struct PressureEvent: Hashable, Sendable {
  /// `machine`, or the control group.
  public var source: String
  /// Reading of CLOCK_MONOTONIC, nanoseconds, when it was taken from the kernel.
  public var at: UInt64
  /// Share of the time in which something waited, at least; nil when it is the group's counters that moved.
  public var stall: Double?

  public init(source: String, at: UInt64, stall: Double?) {
    self.source = source
    self.at = at
    self.stall = stall
  }
}

/// How often a control group met its limits, since it was made (memory.events of cgroup v2).
public struct GroupLimitCounts: Hashable, Sendable {
  /// Was slowed down beyond memory.high.
  public var high: UInt64
  /// Was about to exceed memory.max.
  public var max: UInt64
  public var outOfMemory: UInt64
  public var killed: UInt64

  public init(high: UInt64, max: UInt64, outOfMemory: UInt64, killed: UInt64) {
    self.high = high
    self.max = max
    self.outOfMemory = outOfMemory
    self.killed = killed
  }
}

/// One thing that may tell of pressure, and whether it does.
public struct PressureTriggerReport: Hashable, Sendable {
  public enum State: String, Hashable, Sendable {
    /// The kernel tells.
    case armed
    /// The kernel refused.
    case refused
    /// There is no such file here, which is as it should be on many machines.
    case unavailable
    /// It was armed, and the group is gone; looked for again.
    case lost
  }
  public var source: String
  public var path: String
  public var state: State
  /// Of an armed one.
  public var trigger: PressureTrigger?
  /// Why it is not armed, for people.
  public var problem: String?
  public var events: UInt64 = 0
  /// Reading of CLOCK_MONOTONIC.
  public var lastEvent: UInt64?

  public init(source: String, path: String, state: State, trigger: PressureTrigger? = nil, problem: String? = nil) {
    self.source = source
    self.path = path
    self.state = state
    self.trigger = trigger
    self.problem = problem
  }
}

/// All that is watched.
public struct PressureWatchReport: Hashable, Sendable {
  public var triggers: [PressureTriggerReport]
  /// Nil where no control group with counters binds.
  public var limits: GroupLimitCounts?

  public init(triggers: [PressureTriggerReport], limits: GroupLimitCounts?) {
    self.triggers = triggers
    self.limits = limits
  }
}

/// Who is told of pressure by the supervisor, MEMORY_PRESSURE_WATCH.
public struct PressureBellReport: Hashable, Sendable {
  public var path: String
  public var clients: Int
  /// Turned away, or sent away, since the start.
  public var refused: UInt64
  /// How often all were told.
  public var rings: UInt64

  public init(path: String, clients: Int, refused: UInt64, rings: UInt64) {
    self.path = path
    self.clients = clients
    self.refused = refused
    self.rings = rings
  }
}
