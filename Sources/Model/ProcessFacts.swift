/// What /proc/PID/stat, statm, status, cmdline and exe say, read in one go.
public struct ProcessFacts: Hashable, Sendable {
  public var identity: ProcessIdentity
  public var parent: Int32
  /// Effective user id.
  public var user: UInt32
  /// /proc/PID/comm, at most 15 bytes.
  public var name: String
  /// Arguments joined for display, control characters escaped, limited to 4096 bytes; empty for kernel threads.
  public var commandLine: String
  /// Target of /proc/PID/exe; nil when it may not be read.
  public var executable: [UInt8]?
  /// R, S, D, Z, T, ...
  public var state: Character
  public var threads: UInt32
  public var virtual: Bytes
  /// The largest `virtual` was, VmPeak; nil where the kernel does not say, or where it was not read again.
  public var virtualPeak: Bytes?
  public var resident: Bytes
  public var residentAnonymous: Bytes
  public var residentFile: Bytes
  public var residentShared: Bytes
  public var swap: Bytes
  /// User and system time used so far, in clock ticks.
  public var processorTicks: UInt64
  public var minorFaults: UInt64
  public var majorFaults: UInt64
  /// 0 none, 1 strict, 2 filter.
  public var seccomp: Int
  /// Bottom of the stack: another program in the same process has another one. Nil when it may not be read.
  public var stackBottom: UInt64?

  public init(
    identity: ProcessIdentity, parent: Int32, user: UInt32, name: String, commandLine: String, executable: [UInt8]?,
    state: Character, threads: UInt32, virtual: Bytes, resident: Bytes, residentAnonymous: Bytes, residentFile: Bytes,
    residentShared: Bytes, swap: Bytes, processorTicks: UInt64, minorFaults: UInt64, majorFaults: UInt64, seccomp: Int,
    stackBottom: UInt64?, virtualPeak: Bytes? = nil
  ) {
    self.identity = identity
    self.parent = parent
    self.user = user
    self.name = name
    self.commandLine = commandLine
    self.executable = executable
    self.state = state
    self.threads = threads
    self.virtual = virtual
    self.virtualPeak = virtualPeak
    self.resident = resident
    self.residentAnonymous = residentAnonymous
    self.residentFile = residentFile
    self.residentShared = residentShared
    self.swap = swap
    self.processorTicks = processorTicks
    self.minorFaults = minorFaults
    self.majorFaults = majorFaults
    self.seccomp = seccomp
    self.stackBottom = stackBottom
  }
}
