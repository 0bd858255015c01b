import Model

/// Tries that brought nothing back: the next one waits, twice as long each time.
struct Vain: Hashable {
  /// 2 s before the second try.
  static let firstPause = 2.0
  /// Five minutes: what stood in the way may be gone.
  static let longestPause = 300.0

  private var tries = 0
  private var last: Instant?
  private var reason = ""

  mutating func note(_ result: UnloadOutcome.Result, at now: Instant) {
    switch result {
    case .freed: self = Vain()
    case .kept(let reason):
      tries = min(tries + 1, 16)
      last = now
      self.reason = reason
    case .dryRun: break
    }
  }

  /// Why it is not asked now; nil when it may be.
  func obstacle(at now: Instant) -> KeepReason? {
    guard let last else { return nil }
    let pause = min(Self.firstPause * Double(sign: .plus, exponent: tries - 1, significand: 1), Self.longestPause)
    let left = pause - now.seconds(since: last)
    return left > 0 ? .triedLately(reason, secondsLeft: left) : nil
  }
}
