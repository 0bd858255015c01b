/// `GET /api/v1/status`
public struct StatusAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.status/1"
  public var schema = StatusAnswer.schema
  public var version: String
  public var pid: Int32
  public var user: UInt32
  public var startedAt: Double
  public var uptimeSeconds: Double
  public var agentSocket: String
  public var controlSocket: String
  /// Set when the supervisor ends by itself once the last process it watches is gone.
  public var isEphemeral: Bool
  public var agents: Int
  public var adopted: Int
  public var modules: Int
  public var residentBytes: Known<UInt64>
  public var liveHeapBytes: Known<UInt64>
  /// Of the supervisor itself.
  public var ownResidentBytes: Known<UInt64>
  public var ownProcessorSeconds: Known<Double>
  public var counters: Counters
  /// Null when none is kept.
  public var journal: Known<JournalStatus>
  public var pressure: PressureStatus

  /// Things refused or dropped since the start; each 0 is a count.
  public struct Counters: Codable, Sendable, Hashable {
    public var sessionsAccepted: UInt64 = 0
    public var sessionsRefused: UInt64 = 0
    /// Of these, for want of descriptors of the supervisor's own.
    public var sessionsWithoutDescriptor: UInt64 = 0
    public var framesRefused: UInt64 = 0
    public var segmentsRefused: UInt64 = 0
    /// Segments that told what cannot be.
    public var segmentsLying: UInt64 = 0
    public var eventsDropped: UInt64 = 0
    public var modulesDropped: UInt64 = 0
    public var unreadableProcesses: UInt64 = 0
    public var unreadableFiles: UInt64 = 0
    public init() {}
  }

  public init(
    version: String, pid: Int32, user: UInt32, startedAt: Double, uptimeSeconds: Double, agentSocket: String,
    controlSocket: String, isEphemeral: Bool, agents: Int, adopted: Int, modules: Int, residentBytes: Known<UInt64>,
    liveHeapBytes: Known<UInt64>, ownResidentBytes: Known<UInt64>, ownProcessorSeconds: Known<Double>, counters: Counters,
    journal: Known<JournalStatus>, pressure: PressureStatus
  ) {
    self.version = version
    self.pid = pid
    self.user = user
    self.startedAt = startedAt
    self.uptimeSeconds = uptimeSeconds
    self.agentSocket = agentSocket
    self.controlSocket = controlSocket
    self.isEphemeral = isEphemeral
    self.agents = agents
    self.adopted = adopted
    self.modules = modules
    self.residentBytes = residentBytes
    self.liveHeapBytes = liveHeapBytes
    self.ownResidentBytes = ownResidentBytes
    self.ownProcessorSeconds = ownProcessorSeconds
    self.counters = counters
    self.journal = journal
    self.pressure = pressure
  }
}
