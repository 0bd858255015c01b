import Model

/// By how much longer a unit may be idle, and its reload counts for more, after it was needed again soon after it went.
struct Regret: Hashable {
  /// Of the time it may be idle.
  static let largest = 16.0
  /// Of its reload: the history of its uses knows already that it came back, and says more about when it will.
  static let largestInScore = 1.5
  /// One hour: what is left of a regret counts half.
  static let halfLife = 3600.0

  private var extra = 0.0
  private var at = Instant(nanoseconds: 0)

  /// 1 without regret.
  func factor(at now: Instant) -> Double {
    extra == 0 ? 1 : 1 + extra * decay(halfLives: now.seconds(since: at) / Self.halfLife)
  }

  /// - Parameter share: 1 for a unit that came back whole; less for pages of it.
  mutating func raise(at now: Instant, share: Double = 1) {
    let before = factor(at: now)
    extra = min(before * (1 + min(max(share, 0), 1)), Self.largest) - 1
    at = max(at, now)
  }
}
