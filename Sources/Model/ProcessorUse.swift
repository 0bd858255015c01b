/// Processor time of one thread since its start, as the scheduler counts it.
public struct ThreadTime: Hashable, Sendable {
  public var thread: Int32
  /// Nanoseconds on a processor.
  public var ran: UInt64
  /// Nanoseconds ready to run, without a processor.
  public var waited: UInt64

  public init(thread: Int32, ran: UInt64, waited: UInt64) {
    self.thread = thread
    self.ran = ran
    self.waited = waited
  }
}

/// The threads of a process at one moment.
public struct ThreadTimes: Hashable, Sendable {
  public var process: ProcessIdentity
  public var threads: [ThreadTime]
  /// CLOCK_MONOTONIC nanoseconds, when they were read.
  public var at: UInt64

  public init(process: ProcessIdentity, threads: [ThreadTime], at: UInt64) {
    self.process = process
    self.threads = threads
    self.at = at
  }
}

/// Processors that threads may use.
public struct ProcessorAllowance: Hashable, Sendable {
  /// Numbers of processors that are online and in the affinity of any of the threads.
  public var processors: Set<Int>
  /// Processors' worth of time that a control group grants; nil for no limit.
  public var quota: Double?
  /// The group with that limit: those in it share the time.
  public var quotaGroup: String?

  public init(processors: Set<Int>, quota: Double? = nil, quotaGroup: String? = nil) {
    self.processors = processors
    self.quota = quota
    self.quotaGroup = quotaGroup
  }

  public var count: Double { min(Double(processors.count), quota ?? .infinity) }
}
