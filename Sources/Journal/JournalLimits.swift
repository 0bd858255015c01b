/// How much is remembered, and for how long. What goes first is the oldest.
public struct JournalLimits: Hashable, Sendable {
  /// Of the file and its log together.
  public var bytes: UInt64 = 64 << 20
  public var decisionRows = 200_000
  public var outcomeRows = 50_000
  public var configurationRows = 10_000
  public var noticeRows = 10_000
  public var decisionSeconds = 30 * 86_400.0
  public var outcomeSeconds = 90 * 86_400.0
  public var configurationSeconds = 5 * 365 * 86_400.0
  /// After which buckets of 10 s become buckets of a minute, those buckets of 10 minutes, those of an hour, and those nothing.
  public var bucketSeconds = [3600.0, 86_400.0, 7 * 86_400.0, 90 * 86_400.0]
  /// Different names of metrics; samples of others are refused.
  public var metricNames = 256
  /// Different names of units that totals are kept for; the others share one.
  public var totalNames = 4096
  /// Rows that wait for a flush, and as many metric buckets.
  public var queueRows = 4096
  /// How long a flush waits at most for another program that reads or writes the file.
  public var busyMilliseconds: Int32 = 100

  public init() {}
}
