/// How many connections one user may open: a burst, then so many a second. Pure; times are CLOCK_MONOTONIC nanoseconds.
struct ConnectionBudget {
  /// A machine that starts a thousand workers at once is no attack.
  static let burst = 2_048.0
  /// A second. Agents reconnect with pauses that grow to a minute: this serves 15,000 of them.
  static let rate = 256.0

  private var left = Self.burst
  private var at: UInt64

  init(at time: UInt64) { at = time }

  /// False when the user has spent what there was.
  mutating func take(at time: UInt64) -> Bool {
    left = min(Self.burst, left + Double(time &- at) / 1e9 * Self.rate)
    at = time
    guard left >= 1 else { return false }
    left -= 1
    return true
  }

  /// Nothing is known of this user that a new budget would not say.
  func isFull(at time: UInt64) -> Bool { left + Double(time &- at) / 1e9 * Self.rate >= Self.burst }
}
