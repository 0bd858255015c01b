/// A process, told apart from a later one that got the same PID by its start time.
public struct ProcessIdentity: Hashable, Sendable, Comparable, CustomStringConvertible {
  public var pid: Int32
  /// Field 22 of /proc/PID/stat: clock ticks between boot and the start of the process.
  public var startTicks: UInt64

  public init(pid: Int32, startTicks: UInt64) {
    self.pid = pid
    self.startTicks = startTicks
  }

  public static func < (left: ProcessIdentity, right: ProcessIdentity) -> Bool {
    (left.pid, left.startTicks) < (right.pid, right.startTicks)
  }
  public var description: String { "\(pid)" }
}
