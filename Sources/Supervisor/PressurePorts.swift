import Model

/// Who is told by the kernel that memory is short: see `LinuxPlatform.PressureWatcher`. Calls return at once.
public protocol PressureWatching: Sendable {
  /// Has `Supervisor.lookForPressure` called in so many nanoseconds.
  func lookAgain(after nanoseconds: UInt64)
  func report() -> PressureWatchReport
}

/// Tells programs that memory is short, so that they can give back what they can do without: see `SocketAPI.PressureListener`. Calls
/// return at once.
public protocol PressureTelling: Sendable {
  func ring()
  func report() -> PressureBellReport
}

/// What is known of the watch for pressure.
public struct PressureSnapshot: Sendable {
  /// Nil without a watcher.
  public var watch: PressureWatchReport?
  /// Nil when nobody can be told.
  public var bell: PressureBellReport?
  public var takenAt: Moment
  /// Between looks while nobody tells.
  public var checkSeconds: Double
  /// Memory is given back for want of it.
  public var isPressed: Bool
  public var swapUsed: Bytes?
  /// Events taken; of these some came while a decision was under way and were taken together.
  public var events: UInt64
  /// Seconds since 1970.
  public var lastEventAt: Double?
  /// Decisions made for an event.
  public var decisions: UInt64
  /// From the kernel's word to the end of the decision, milliseconds; nil before the first.
  public var lastMilliseconds: Double?
  public var slowestMilliseconds: Double?
}
