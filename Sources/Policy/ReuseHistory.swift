import Model

/// How long a unit's pauses between two uses were, older ones counting less: what its own past says about its return.
///
/// Pauses are kept in buckets that double in width, from below 2 s to 97 days and more: they know periods and bursts. Beside them
/// stands how often it was used in the last minutes and hours, which knows what is popular. With nothing seen `Prior` decides.
struct ReuseHistory: Hashable {
  static let buckets = 24
  /// One more pause leaves this much of those before it: half after 14 pauses.
  static let fading: Float = 0.95

  /// What the rates of use count for, together, beside each pause.
  static let rateWeight = 2.0

  private var weights = SIMD32<Float>.zero
  private var rates = UseRates()
  private var firstUse: Instant?
  /// The last use that was counted.
  private(set) var lastUse: Instant?
  private(set) var uses: UInt64 = 0

  /// - Returns: Whether it is a return: not the first use, and not one that was seen before.
  mutating func note(use: Instant) -> Bool {
    guard let before = lastUse else {
      lastUse = use
      firstUse = use
      rates.note(after: nil)
      uses = 1
      return false
    }
    guard use > before else { return false }
    rates.note(after: use.seconds(since: before))
    lastUse = use
    uses += 1
    weights *= Self.fading
    weights[Self.bucket(use.seconds(since: before))] += 1
    return true
  }

  /// That it is used within `horizon` seconds from now, having been idle for `idle` seconds.
  ///
  /// - Parameter popularity: Whether the rate of use counts: for comparing units with each other. By the pauses alone a unit that was
  ///   used once is not expected soon.
  func probability(idle: Double, within horizon: Double, prior: Prior, popularity: Bool = false) -> Double {
    var survivors = prior.survivors(idle)
    var returning = survivors - prior.survivors(idle + horizon)
    if popularity, let rates = rates(idle: idle) {
      var pauses: Float = 1
      for bucket in 0..<Self.buckets { pauses += weights[bucket] }
      for window in 0..<4 {
        let weight = prior.trust.weights[window] * Self.rateWeight * Double(pauses) * decay(exponent: rates[window] * idle)
        survivors += weight
        returning += weight * (1 - decay(exponent: rates[window] * horizon))
      }
    }
    for bucket in 0..<Self.buckets where weights[bucket] > 0 {
      let weight = Double(weights[bucket])
      let after = weight * Self.share(of: bucket, after: idle)
      survivors += after
      returning += after - weight * Self.share(of: bucket, after: idle + horizon)
    }
    return survivors > 0 ? min(max(returning / survivors, 0), 1) : 0
  }

  /// Uses a second by each of the windows; nil before the first use.
  private func rates(idle: Double) -> SIMD4<Double>? {
    guard let firstUse, let lastUse else { return nil }
    return rates.rates(idle: idle, age: lastUse.seconds(since: firstUse) + idle)
  }

  /// Uses a second in the longest of the windows; nil before the first use.
  func rate(idle: Double) -> Double? { rates(idle: idle)?.w }

  /// How likely the pause that this use ends was by each of the windows; nil where it ends none.
  func likelihoods(ofUse use: Instant) -> SIMD4<Double>? {
    guard let firstUse, let lastUse, use > lastUse else { return nil }
    return rates.likelihoods(ofPause: use.seconds(since: lastUse), age: lastUse.seconds(since: firstUse))
  }

  /// Bucket 0 holds what is below 2 s, bucket i from 2^i s; the last has no end.
  static func bucket(_ seconds: Double) -> Int {
    guard seconds >= 2 else { return 0 }
    return min(buckets - 1, Int(seconds.exponent))
  }

  /// How much of a bucket lies beyond `seconds`, its pauses spread evenly.
  private static func share(of bucket: Int, after seconds: Double) -> Double {
    let low = bucket == 0 ? 0 : Double(sign: .plus, exponent: bucket, significand: 1)
    let high = Double(sign: .plus, exponent: bucket + 1, significand: 1)
    return min(max((high - seconds) / (high - low), 0), 1)
  }
}

/// What is expected of a unit about which nothing is known: as all units together did.
///
/// A share of units is never used again after its first use; of the others the pause is taken to follow Lomax's distribution
/// (shape 1): whatever has been idle for long stays idle for long, as is seen of files and web pages.
struct Prior: Hashable {
  /// Counts as so many pauses of the unit's own.
  static let weight = 0.3
  /// Half of those that return have done so after this time.
  static let medianSeconds = 60.0

  private var firstUses = 0.0
  private var firstReturns = 0.0
  /// Which of the windows of `UseRates` tells most.
  var trust = RateTrust()

  mutating func noteFirstUse() { firstUses += 1 }
  mutating func noteFirstReturn() { firstReturns += 1 }

  /// Share of the units that are used a second time, begun at a half.
  var returnShare: Double { (firstReturns + 1) / (firstUses + 2) }

  /// Weight of what has not returned after `seconds`.
  func survivors(_ seconds: Double) -> Double {
    let returning = returnShare
    return Self.weight * (1 - returning + returning * Self.medianSeconds / (Self.medianSeconds + max(seconds, 0)))
  }
}
