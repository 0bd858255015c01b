/// How the journal is doing. Decisions do not depend on it.
public struct JournalHealth: Hashable, Sendable {
  public enum Condition: Hashable, Sendable {
    case writing
    /// Nothing is written at the moment; rows wait, and when the queue is full they are lost. The code tells why.
    case waiting(JournalError)
    /// Nothing will be written before somebody does something.
    case stopped(JournalError)
  }

  public var condition: Condition
  public var queuedRows = 0
  public var queueLimit: Int
  /// Since the start.
  public var writtenRows: UInt64 = 0
  /// Since the start: rows and samples that found no room, or that could not be stored.
  public var lostRows: UInt64 = 0
  /// Of the last row that was lost.
  public var lastLoss: Double?
  /// Wall-clock seconds since 1970 of the last flush that wrote all.
  public var lastFlush: Double?
  /// Of the file and its log; nil while it is not open.
  public var bytes: UInt64?
  /// Where the last damaged file was moved to.
  public var movedAside: String?

  init(condition: Condition, queueLimit: Int) {
    self.condition = condition
    self.queueLimit = queueLimit
  }
}

/// What the journal says about itself.
public struct JournalNotice: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// Rows were lost between two times.
    case lost
    /// A damaged journal was moved aside.
    case replaced
    /// The file was taken away while it was in use.
    case vanished
  }
  public var id: Int64 = 0
  public var time: Double
  public var kind: Kind
  /// For people: `17 rows lost between ... and ...: no room on the disk`.
  public var text: String
  /// How many were lost, and when the first and the last of them; nil for other kinds.
  public var rows: UInt64?
  public var began: Double?
  public var ended: Double?

  init(_ kind: Kind, _ text: String, at time: Double, rows: UInt64? = nil, began: Double? = nil, ended: Double? = nil) {
    self.time = time
    self.kind = kind
    self.text = text
    self.rows = rows
    self.began = began
    self.ended = ended
  }
}
