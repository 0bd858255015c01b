/// The pause between attempts to reach a supervisor: doubling from one second to one minute.
///
/// A minute: an absent supervisor then costs its processes one `stat` a minute, and a restarted one is found soon enough.
public struct BackOff: Equatable, Sendable {
  /// The pause after the first failure.
  public static let firstMilliseconds: UInt64 = 1_000
  /// No pause is longer.
  public static let longestMilliseconds: UInt64 = 60_000

  /// 0 before the first failure.
  public private(set) var milliseconds: UInt64

  /// Goes on after a pause of this length; 0 starts anew.
  public init(milliseconds: UInt64 = 0) {
    self.milliseconds = milliseconds
  }

  /// Records one more failed attempt and returns the pause before the next one.
  public mutating func fail() -> UInt64 {
    if milliseconds == 0 {
      milliseconds = Self.firstMilliseconds
    } else if milliseconds >= Self.longestMilliseconds / 2 {
      milliseconds = Self.longestMilliseconds
    } else {
      milliseconds *= 2
    }
    return milliseconds
  }

  /// A connection stood: the next failure is a first one.
  public mutating func succeed() {
    milliseconds = 0
  }
}
