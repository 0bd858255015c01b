import Model
import Synchronization

/// Where the watcher's thread leaves its word, so that it never waits for the supervisor: what comes while a decision is under way
/// is one word more.
final class PressureInbox: Sendable {
  /// What came since it was emptied.
  struct Contents: Hashable {
    /// The oldest, with the largest stall of all: from there on somebody waits.
    var event: PressureEvent?
    var count: UInt64 = 0
    /// The time to look has come.
    var isLookDue = false
  }
  private let contents = Mutex(Contents())

  /// True for the first word since it was emptied: somebody has to come and take it.
  func put(_ event: PressureEvent) -> Bool {
    contents.withLock { contents in
      let isFirst = contents == Contents()
      contents.count += 1
      var kept = contents.event ?? event
      kept.stall = [kept.stall, event.stall].compactMap(\.self).max()
      contents.event = kept
      return isFirst
    }
  }

  func putLook() -> Bool {
    contents.withLock { contents in
      let isFirst = contents == Contents()
      contents.isLookDue = true
      return isFirst
    }
  }

  func empty() -> Contents {
    contents.withLock { contents in
      defer { contents = Contents() }
      return contents
    }
  }
}

/// When memory is looked at besides the regular looks. A value without a clock.
struct PressureWork {
  /// 100 ms between two decisions, at least: each looks at every unit.
  static let shortestPause: UInt64 = 100_000_000
  /// 250 ms to the next look while memory is short: what was given back shows by then.
  static let firstLook: UInt64 = 250_000_000
  /// 2 s: where look after look finds nothing better, there is nothing to give back that would help.
  static let longestLook: UInt64 = 2_000_000_000
  /// 1 s between two times that programs are told: a cache cannot be emptied faster.
  static let ringPause: UInt64 = 1_000_000_000
  /// 10 s between two records of how long a decision took: stalls that nothing is done about may last for days.
  static let tellPause: UInt64 = 10_000_000_000
  /// Less than this is no progress.
  static let progress = Bytes.mebibytes(1)

  var watcher: (any PressureWatching)?
  var bell: (any PressureTelling)?

  private(set) var events: UInt64 = 0
  private(set) var lastEvent: UInt64?
  private(set) var decisions: UInt64 = 0
  private(set) var lastMilliseconds: Double?
  private(set) var slowestMilliseconds: Double?
  private(set) var isPressed = false
  /// No decision has been made for it.
  private var pending: PressureEvent?
  private var lastDecision: UInt64?
  private var lastRing: UInt64?
  private var lastTold: UInt64?
  private var nextSample: UInt64 = 0
  /// Pause to the next look, and what was in use at the last; nil while memory is not short.
  private var look: (pause: UInt64, used: Bytes)?

  /// Share of the time in which something waits, at least, by the kernel's word since the last decision. The sums since the last
  /// look would spread it over a minute.
  var toldStall: Double? { pending?.stall }

  mutating func take(_ contents: PressureInbox.Contents) {
    guard let event = contents.event else { return }
    events += contents.count
    lastEvent = max(lastEvent ?? 0, event.at)
    var kept = pending ?? event
    kept.stall = [kept.stall, event.stall].compactMap(\.self).max()
    pending = kept
  }

  /// Nobody wants to know.
  mutating func forget() { pending = nil }

  enum Due: Hashable {
    case now
    /// In so many nanoseconds.
    case later(UInt64)
    case never
  }

  /// Whether to decide.
  func due(at now: UInt64) -> Due {
    guard pending != nil else { return .never }
    guard let lastDecision, now &- lastDecision < Self.shortestPause, now >= lastDecision else { return .now }
    return .later(Self.shortestPause - (now - lastDecision))
  }

  /// A decision was made, for an event or not.
  ///
  /// - Returns: Milliseconds since the event that it was made for.
  mutating func decided(began: UInt64, ended: UInt64) -> Double? {
    lastDecision = began
    guard let event = pending else { return nil }
    pending = nil
    let milliseconds = ended >= event.at ? Double(ended - event.at) / 1e6 : 0
    decisions += 1
    lastMilliseconds = milliseconds
    slowestMilliseconds = max(slowestMilliseconds ?? 0, milliseconds)
    return milliseconds
  }

  /// - Returns: Nanoseconds to the next look; nil when the regular one is soon enough.
  mutating func heed(_ memory: MemoryPressure?, isPressed: Bool) -> UInt64? {
    self.isPressed = isPressed
    guard isPressed, let memory else {
      look = nil
      return nil
    }
    var pause = Self.firstLook
    if let before = look, memory.used + Self.progress > before.used { pause = min(before.pause * 2, Self.longestLook) }
    // The first look after an event is the quick one.
    if pending != nil { pause = Self.firstLook }
    look = (pause, memory.used)
    return pause
  }

  /// Whether programs are to be told now.
  mutating func isRingDue(at now: UInt64) -> Bool {
    guard isPressed, lastRing.map({ now &- $0 >= Self.ringPause }) ?? true else { return false }
    lastRing = now
    return true
  }

  /// Whether the time that a decision took is to be recorded.
  mutating func isTellingDue(at now: UInt64) -> Bool {
    guard lastTold.map({ now &- $0 >= Self.tellPause }) ?? true else { return false }
    lastTold = now
    return true
  }

  /// Whether figures are to be recorded: looks in between are not, however many there are.
  mutating func isSampleDue(every seconds: Double, at now: UInt64) -> Bool {
    guard now >= nextSample else { return false }
    nextSample = now &+ UInt64(max(seconds, 1) * 1e9)
    return true
  }
}
