/// Of `GET /api/v1/status`: from whom the supervisor hears that memory is short, and whom it tells.
public struct PressureStatus: Codable, Sendable, Hashable {
  /// One thing that may tell of pressure.
  public struct Trigger: Codable, Sendable, Hashable {
    /// `machine`, or the control group.
    public var source: String
    public var path: String
    /// `armed`; `refused` by the kernel; `unavailable`: there is no such thing here; `lost`: it was armed, the group is gone.
    public var state: String
    /// As it was given to the kernel, microseconds: `some 50000 500000`. Null when not armed.
    public var trigger: Known<String>
    /// Why it is not armed, in words.
    public var problem: Known<String>
    public var events: UInt64
    public var lastEventAt: Known<Double>

    public init(
      source: String, path: String, state: String, trigger: Known<String>, problem: Known<String>, events: UInt64,
      lastEventAt: Known<Double>
    ) {
      self.source = source
      self.path = path
      self.state = state
      self.trigger = trigger
      self.problem = problem
      self.events = events
      self.lastEventAt = lastEventAt
    }
  }

  /// How often the control group that binds met its limits since it was made.
  public struct Limits: Codable, Sendable, Hashable {
    public var high: UInt64
    public var max: UInt64
    public var oom: UInt64
    public var oomKill: UInt64

    public init(high: UInt64, max: UInt64, oom: UInt64, oomKill: UInt64) {
      self.high = high
      self.max = max
      self.oom = oom
      self.oomKill = oomKill
    }
  }

  /// Who is told, MEMORY_PRESSURE_WATCH.
  public struct Bell: Codable, Sendable, Hashable {
    public var path: String
    public var clients: Int
    /// Turned away or sent away since the start.
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

  /// Memory is being given back for want of it.
  public var isPressed: Bool
  public var triggers: [Trigger]
  /// Seconds between looks while nobody tells of pressure.
  public var checkSeconds: Double
  /// Null where no control group of its own binds.
  public var groupLimits: Known<Limits>
  /// In use on the machine.
  public var swapBytes: Known<UInt64>
  /// Taken from all triggers.
  public var events: UInt64
  public var lastEventAt: Known<Double>
  /// Made for an event; several events may have been one decision.
  public var decisions: UInt64
  /// From the event to the end of its decision. Null before the first.
  public var lastDecisionMilliseconds: Known<Double>
  public var slowestDecisionMilliseconds: Known<Double>
  public var bell: Known<Bell>

  public init(
    isPressed: Bool, triggers: [Trigger], checkSeconds: Double, groupLimits: Known<Limits>, swapBytes: Known<UInt64>,
    events: UInt64, lastEventAt: Known<Double>, decisions: UInt64, lastDecisionMilliseconds: Known<Double>,
    slowestDecisionMilliseconds: Known<Double>, bell: Known<Bell>
  ) {
    self.isPressed = isPressed
    self.triggers = triggers
    self.checkSeconds = checkSeconds
    self.groupLimits = groupLimits
    self.swapBytes = swapBytes
    self.events = events
    self.lastEventAt = lastEventAt
    self.decisions = decisions
    self.lastDecisionMilliseconds = lastDecisionMilliseconds
    self.slowestDecisionMilliseconds = slowestDecisionMilliseconds
    self.bell = bell
  }
}
