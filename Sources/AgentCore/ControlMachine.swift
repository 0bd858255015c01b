/// What the control thread does next: a pure value, told what happened and when, answering with one action at a time.
///
/// Time is milliseconds of `CLOCK_MONOTONIC`, always passed in.
public struct ControlMachine: Equatable, Sendable {
  /// The connection to the supervisor.
  public enum Link: Equatable, Sendable {
    case up
    /// Try again at this time.
    case down(retryAt: UInt64)
    /// No attempt in this process any more.
    case forbidden
  }

  /// Whether libraries may be coming or going.
  public enum Watch: Equatable, Sendable {
    /// The table is up to date as far as anyone has said.
    case idle
    /// A dlopen was announced before it began: look now and then until it must be over.
    case looking(since: UInt64, nextAt: UInt64, interval: UInt64)
  }

  /// What the loop is to do now.
  public enum Action: Equatable, Sendable {
    case connect
    case receive
    case refreshModules
    /// Send the deferred answers that are there, and refuse those that are late.
    case finishAnswers
    /// Sleep this long at most; nil = until something happens.
    case wait(milliseconds: UInt64?)
    case stop
  }

  /// How an attempt to connect ended.
  public enum ConnectOutcome: Equatable, Sendable {
    case connected, absent, refused, forbidden
  }

  /// What one read of the socket gave.
  public enum Received: Equatable, Sendable {
    case nothing, welcome, reject, command, closed, lost
    /// A command whose answer comes later.
    case deferred
  }

  /// The first looks after a dlopen: most libraries are mapped within 5 ms.
  public static let firstIntervalMilliseconds: UInt64 = 5
  /// A dlopen that takes longer is found by the next one, by a command, or by dlclose.
  public static let lookForMilliseconds: UInt64 = 2_000
  /// The ABI's pause after a REJECT.
  public static let rejectMilliseconds: UInt64 = 60_000
  /// Descriptors that the host took are made once more after this.
  public static let lostMilliseconds: UInt64 = 5_000

  /// The connection as it was last told.
  public private(set) var link: Link
  /// Whether looks at the module table are due.
  public private(set) var watch: Watch = .idle
  /// The pauses between attempts.
  public private(set) var backOff = BackOff()
  /// When deferred answers must be looked at; nil while none waits.
  public private(set) var answersAt: UInt64?
  private var readable = false
  private var stopping = false

  /// A machine whose thread starts now; a connection that stands is read first.
  public init(connected: Bool, at now: UInt64) {
    link = connected ? .up : .down(retryAt: now)
    readable = connected
  }

  /// The next thing to do. Calling it changes nothing; telling what came of it does.
  public func next(at now: UInt64) -> Action {
    if stopping { return .stop }
    if readable && link == .up { return .receive }
    if let answersAt, answersAt <= now { return .finishAnswers }
    if case .down(let retryAt) = link, retryAt <= now { return .connect }
    if case .looking(_, let nextAt, _) = watch, nextAt <= now { return .refreshModules }
    return .wait(milliseconds: pause(at: now))
  }

  private func pause(at now: UInt64) -> UInt64? {
    var until: UInt64?
    if case .down(let retryAt) = link { until = retryAt }
    if case .looking(_, let nextAt, _) = watch { until = until.map { $0 < nextAt ? $0 : nextAt } ?? nextAt }
    if let answersAt { until = until.map { $0 < answersAt ? $0 : answersAt } ?? answersAt }
    return until.map { $0 > now ? $0 - now : 0 }
  }

  /// The sleep ended.
  public mutating func woke(kicked: Bool, socket: Bool, stop: Bool, answer: Bool = false, at now: UInt64) {
    if stop { stopping = true }
    if answer { answersAt = now }
    if socket { readable = true }
    if kicked {
      watch = .looking(
        since: now, nextAt: now + Self.firstIntervalMilliseconds, interval: Self.firstIntervalMilliseconds)
    }
  }

  /// An attempt to connect ended.
  public mutating func connectEnded(_ outcome: ConnectOutcome, at now: UInt64) {
    switch outcome {
    case .connected:
      backOff.succeed()
      link = .up
      readable = true
    case .absent, .refused:
      link = .down(retryAt: now + backOff.fail())
    case .forbidden:
      link = .forbidden
    }
  }

  /// The socket was read once.
  public mutating func received(_ what: Received, at now: UInt64) {
    switch what {
    case .nothing:
      readable = false
    case .welcome, .command:
      readable = true
    case .deferred:
      readable = true
      answersAt = now
    case .reject:
      link = .down(retryAt: now + Self.rejectMilliseconds)
    case .closed:
      link = .down(retryAt: now + backOff.fail())
    case .lost:
      link = .down(retryAt: now + Self.lostMilliseconds)
    }
  }

  /// Answers were sent.
  ///
  /// - Parameter next: The earliest time at which one that still waits is too late; nil when none waits.
  public mutating func answersFinished(next: UInt64?) {
    answersAt = next
  }

  /// The table was brought up to date; looks follow at doubled distances until the dlopen must be over.
  public mutating func refreshed(at now: UInt64) {
    guard case .looking(let since, _, let interval) = watch else { return }
    let following = interval * 2
    if now + following > since + Self.lookForMilliseconds {
      watch = .idle
    } else {
      watch = .looking(since: since, nextAt: now + following, interval: following)
    }
  }
}
