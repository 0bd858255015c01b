/// How often paths that were never seen may be looked up in the package databases for the sake of events: each time reads every
/// list of dpkg, some 20 ms, and the paths are the programs' own word. Beyond it an event has no package.
struct LookUpBudget {
  /// The imports of a large framework come in some ten portions.
  static let burst = 40.0
  /// A second: a tenth of a core at most.
  static let rate = 5.0

  private var left = Self.burst
  private var at: UInt64 = 0

  /// - Parameter time: CLOCK_MONOTONIC, nanoseconds; never goes back.
  mutating func take(at time: UInt64) -> Bool {
    left = min(Self.burst, left + Double(time &- at) / 1e9 * Self.rate)
    at = time
    guard left >= 1 else { return false }
    left -= 1
    return true
  }
}
