/// A reading of CLOCK_MONOTONIC: for differences only, says nothing to people.
public struct Instant: Hashable, Comparable, Sendable {
  /// Since some moment before the machine's start.
  public var nanoseconds: UInt64

  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// For tests and traces, which count from 0. Negative and not finite is 0.
  public init(seconds: Double) {
    nanoseconds = seconds > 0 && seconds.isFinite ? UInt64(min(seconds * 1e9, 9e18)) : 0
  }

  public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

  /// Seconds from `earlier` to here; 0 when that lies behind, so that a clock which is set back makes nothing negative.
  public func seconds(since earlier: Instant) -> Double {
    nanoseconds > earlier.nanoseconds ? Double(nanoseconds - earlier.nanoseconds) / 1e9 : 0
  }

  /// Saturates.
  public func advanced(bySeconds seconds: Double) -> Instant {
    guard seconds > 0 else { return self }
    let (sum, overflow) = nanoseconds.addingReportingOverflow(Instant(seconds: seconds).nanoseconds)
    return Instant(nanoseconds: overflow ? .max : sum)
  }
}
