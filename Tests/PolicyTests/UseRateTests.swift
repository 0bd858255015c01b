import Model
import Testing

@testable import Policy

@Suite struct UseRateTests {
  /// Used every `pause` seconds, so often.
  private func rates(pause: Double, times: Int) -> UseRates {
    var rates = UseRates()
    rates.note(after: nil)
    for _ in 1..<times { rates.note(after: pause) }
    return rates
  }

  @Test func aSteadyUseIsARateInEveryWindow() {
    let pause = 10.0
    let steady = rates(pause: pause, times: 5000).rates(idle: 0, age: 5000 * pause)
    for window in 0..<4 { #expect(abs(steady[window] * pause - 1) < 0.1, "window \(window): \(steady[window])") }
  }

  @Test func oneUseIsNoHighRate() {
    let one = rates(pause: 1, times: 1).rates(idle: 0, age: 0)
    #expect(one == SIMD4(repeating: 1 / 60.0))
  }

  @Test func shortWindowsForgetSooner() {
    let steady = rates(pause: 10, times: 1000)
    let now = steady.rates(idle: 0, age: 10_000)
    let later = steady.rates(idle: 600, age: 10_600)
    let left = later / now
    #expect(left[0] < 0.001 && left[0] < left[1] && left[1] < left[2] && left[2] < left[3] && left[3] > 0.85, "\(left)")
  }

  @Test func theWindowThatWasRightIsTrusted() {
    // Popular as ever, with pauses that a short window holds for the end.
    var trust = RateTrust()
    let steady = rates(pause: 200, times: 500)
    for _ in 0..<50 { trust.note(steady.likelihoods(ofPause: 200, age: 100_000)) }
    #expect(trust.weights.w > 5 * trust.weights.x, "\(trust.weights)")
    #expect(abs(trust.weights.sum() - 1) < 1e-9)
  }

  @Test func trustComesBackWhenTheTimesChange() {
    var trust = RateTrust()
    for _ in 0..<10_000 { trust.note(SIMD4(1, 1, 1, 100)) }
    #expect(trust.weights.w > 0.9 && trust.weights.x > 0.01)
    for _ in 0..<20 { trust.note(SIMD4(100, 1, 1, 1)) }
    #expect(trust.weights.x > 0.9, "\(trust.weights)")
  }

  @Test(arguments: [SIMD4(0.0, 0, 0, 0), SIMD4(.nan, 1, 1, 1), SIMD4(.infinity, 1, 1, 1)])
  func whatSaysNothingChangesNothing(_ likelihoods: SIMD4<Double>) {
    var trust = RateTrust()
    trust.note(likelihoods)
    #expect(trust.weights == SIMD4(repeating: 0.25))
  }

  @Test func thePolicyLearnsFromEachUse() {
    var policy = UnloadingPolicy()
    var unit = UnitObservation(ReclaimUnit(.package, "a"), bytes: .mebibytes(100))
    for step in 0..<300 {
      unit.lastUsed = Instant(seconds: Double(step) * 300)
      _ = policy.evaluate(Snapshot(memory: nil, units: [unit]), at: Instant(seconds: Double(step) * 300))
    }
    // Every five minutes, for a day: what a window of one minute holds for over each time.
    #expect(policy.prior.trust.weights.w > policy.prior.trust.weights.x, "\(policy.prior.trust)")
  }
}
