import Model

/// How often a unit is used, over several times at once: what was popular an hour ago and what is since a minute are different
/// units when the work changes. Which of the times tells most is learned from all units together: `RateTrust`.
struct UseRates: Hashable {
  /// Of a use, a third is left after so many seconds.
  static let windows = SIMD4<Double>(60, 300, 1500, 7200)
  /// A unit is taken to be known for so long at least, so that one use is no high rate.
  static let leastSeconds = 60.0

  /// Uses, fading with the windows, as of the last one.
  private var uses = SIMD4<Double>.zero

  /// - Parameter pause: Seconds since the use before; nil for the first.
  mutating func note(after pause: Double?) {
    if let pause { uses *= fade(pause) }
    uses += 1
  }

  /// Uses a second.
  ///
  /// - Parameters:
  ///   - idle: Seconds since the last use.
  ///   - age: Seconds since the first.
  func rates(idle: Double, age: Double) -> SIMD4<Double> {
    // What a use every second since then would add up to.
    let whole = Self.windows * (1 - fade(age))
    return uses * fade(idle) / pointwiseMax(whole, SIMD4(repeating: Self.leastSeconds))
  }

  /// How likely a pause of this length was by the rate that each window held for the unit, relative to each other.
  func likelihoods(ofPause pause: Double, age: Double) -> SIMD4<Double> {
    let before = rates(idle: 0, age: age)
    let after = rates(idle: pause, age: age + pause)
    // A rate fades while nothing happens: the mean of both ends stands for what was passed through.
    return after * each((before + after) * (pause / 2)) { decay(exponent: $0) }
  }

  private func fade(_ seconds: Double) -> SIMD4<Double> { each(seconds / Self.windows) { decay(exponent: $0) } }
}

/// How much each window's rates are worth, added up to 1: those that held the pauses that were seen for likely count more.
struct RateTrust: Hashable {
  /// So much of the trust is dealt out anew with every use, for the times change.
  static let share = 0.08

  private(set) var weights = SIMD4<Double>(repeating: 0.25)

  mutating func note(_ likelihoods: SIMD4<Double>) {
    let judged = weights * likelihoods
    let sum = judged.sum()
    guard sum > 0, sum.isFinite else { return }
    weights = judged / sum * (1 - Self.share) + Self.share / 4
  }
}

private func each(_ vector: SIMD4<Double>, _ body: (Double) -> Double) -> SIMD4<Double> {
  SIMD4(body(vector.x), body(vector.y), body(vector.z), body(vector.w))
}
