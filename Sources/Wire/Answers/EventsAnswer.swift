/// `GET /api/v1/events?after=SEQUENCE&limit=N&wait=SECONDS[&pid=PID]`: answers at once when there is something newer than
/// `after`, else when something happens or the wait is over.
public struct EventsAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.events/1"
  public var schema = EventsAnswer.schema
  public var events: [EventRow]
  /// Pass as `after` next time.
  public var next: UInt64
  /// Events between `after` and the first one here that the bounded history no longer has.
  public var lost: UInt64

  public init(events: [EventRow], next: UInt64, lost: UInt64) {
    self.events = events
    self.next = next
    self.lost = lost
  }
}

public struct EventRow: Codable, Sendable, Hashable {
  public var sequence: UInt64
  public var at: Double
  public var pid: Int32
  public var processName: String
  /// `attached`, `detached`, `adopted`, `dlopen`, `loaded`, `dlclose`, `unloaded`, `kept`, `fork`, `exec`, `state`, `exited`,
  /// `lost`.
  public var kind: String
  public var thread: Known<Int32>
  /// Path of the module, name asked for, program executed; null where the kind has none.
  public var subject: Known<String>
  /// It has as many bytes as an agent's event has room for: the rest may be missing.
  public var subjectIsCut: Bool
  public var package: Known<String>
  /// In words: why, how many, which child.
  public var detail: Known<String>

  public init(
    sequence: UInt64, at: Double, pid: Int32, processName: String, kind: String, thread: Known<Int32>,
    subject: Known<String>, package: Known<String>, detail: Known<String>, subjectIsCut: Bool = false
  ) {
    self.sequence = sequence
    self.at = at
    self.pid = pid
    self.processName = processName
    self.kind = kind
    self.thread = thread
    self.subject = subject
    self.subjectIsCut = subjectIsCut
    self.package = package
    self.detail = detail
  }
}
