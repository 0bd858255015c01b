import Model

/// What a unit's reload counts for, after it was needed again soon after it went: more, fading with time.
struct Regret: Hashable {
  static let largest = 16.0
  /// One hour: what is left of a regret counts half.
  static let halfLife = 3600.0

  private var extra = 0.0
  private var at = Instant(nanoseconds: 0)

  /// 1 without regret.
  func factor(at now: Instant) -> Double {
    extra == 0 ? 1 : 1 + extra * Double.exp2(-now.seconds(since: at) / Self.halfLife)
  }

  /// - Parameter share: 1 for a unit that came back whole; less for pages of it.
  mutating func raise(at now: Instant, share: Double = 1) {
    let before = factor(at: now)
    extra = min(before * (1 + min(max(share, 0), 1)), Self.largest) - 1
    at = max(at, now)
  }
}

extension Double {
  /// Two to the power of `x`, for x of at most 0, without libm: exact for whole numbers, else within 0.01 %.
  fileprivate static func exp2(_ x: Double) -> Double {
    guard x > -60 else { return 0 }
    let whole = x.rounded(.down)
    let rest = (x - whole) * 0.693_147_180_559_945_3
    // Of a power series for 0 <= rest < 0.7.
    let fraction = 1 + rest * (1 + rest / 2 * (1 + rest / 3 * (1 + rest / 4 * (1 + rest / 5 * (1 + rest / 6)))))
    return Double(sign: .plus, exponent: Int(whole), significand: 1) * fraction
  }
}
