import CLinux
import Glibc
import Model
import Synchronization

/// What the watcher asks of the kernel; tests put their own in, where no trigger is to be had.
struct PressureProbes: Sendable {
  /// A descriptor on which a trigger of a file is armed, and which.
  var arm: @Sendable (_ path: String) throws(PlatformError) -> (descriptor: Int32, trigger: PressureTrigger)
  /// A trigger that has fired says so by EPOLLPRI once; what stands for it in a test can be read instead.
  var isUrgent = true
  /// Takes back what the stand-in says.
  var acknowledge: @Sendable (Int32) -> Void = { _ in }

  static let live = PressureProbes(arm: { path throws(PlatformError) in
    let armed = try PressureTrigger.best(on: path)
    let trigger = armed.trigger
    return (armed.leaked(), trigger)
  })
}

/// Waits for the kernel's word that memory is short, in one thread that sleeps until there is one: a calm machine wakes nobody.
///
/// Watches the machine's triggers, those of the control group that binds, and that group's counters of limits. What cannot be had
/// is reported, and whoever looks regularly goes on doing so. Also keeps the one alarm of who wants to look again soon.
public final class PressureWatcher: @unchecked Sendable {
  /// What the watcher tells. Called by its thread, which must not be held up.
  public struct Listener: Sendable {
    /// Memory is short.
    public var event: @Sendable (PressureEvent) -> Void
    /// The time that `lookAgain` asked for is over.
    public var lookDue: @Sendable () -> Void
    /// Something is armed, refused or lost; once for each change.
    public var changed: @Sendable (PressureTriggerReport) -> Void

    public init(
      event: @escaping @Sendable (PressureEvent) -> Void, lookDue: @escaping @Sendable () -> Void,
      changed: @escaping @Sendable (PressureTriggerReport) -> Void
    ) {
      self.event = event
      self.lookDue = lookDue
      self.changed = changed
    }
  }

  /// 1 s: a group that goes is not looked for at once, since one that comes and goes would keep the thread busy. Doubles with each
  /// loss and each look in vain.
  static let firstRetry: UInt64 = 1_000_000_000
  static let longestRetry: UInt64 = 60_000_000_000
  /// 1 s without the group's counters after they moved: beyond its high mark they may move a hundred times a second.
  static let limitPause: UInt64 = 1_000_000_000

  private enum Token {
    static let machine: UInt64 = 0
    static let group: UInt64 = 1
    static let limits: UInt64 = 2
  }

  private struct Shared {
    var machine: PressureTriggerReport
    var group: PressureTriggerReport
    var limits: GroupLimitCounts?
    /// When to say that it is time to look.
    var alarm: UInt64?
    var isStopping = false
  }

  private let files: PressureFiles
  private let probes: PressureProbes
  private let listener: Listener
  private let loop: EventLoop
  private let shared: Mutex<Shared>
  private var thread = pthread_t()
  // Of the thread alone.
  private var machine: Int32?
  private var group: Int32?
  private var limits: Int32?
  private var retry: UInt64?
  private var retryPause = PressureWatcher.firstRetry
  private var joinedAt: UInt64 = 0
  private var resumeLimits: UInt64?

  public convenience init(files: PressureFiles = PressureFiles(), listener: Listener) throws(PlatformError) {
    try self.init(files: files, probes: .live, listener: listener)
  }

  init(files: PressureFiles, probes: PressureProbes, listener: Listener) throws(PlatformError) {
    self.files = files
    self.probes = probes
    self.listener = listener
    loop = try EventLoop()
    shared = Mutex(
      Shared(
        machine: PressureTriggerReport(source: "machine", path: files.machine, state: .unavailable),
        group: PressureTriggerReport(source: "cgroup /", path: "\(files.group)/memory.pressure", state: .unavailable)))
  }

  /// Arms what there is, tells of it, and starts the thread.
  public func start() {
    machine = arm(files.machine, \.machine, Token.machine)
    joinGroup()
    for place in report().triggers { listener.changed(place) }
    let context = Unmanaged.passRetained(self).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        mlos_linux_name_thread("pressure")
        Unmanaged<PressureWatcher>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context)
  }

  /// Ends the thread and gives the triggers back.
  public func stop() {
    shared.withLock { $0.isStopping = true }
    loop.wake()
    pthread_join(thread, nil)
    for descriptor in [machine, group, limits].compactMap(\.self) { close(descriptor) }
  }

  /// Has `lookDue` called once in so many nanoseconds, instead of when that was asked for before. From any thread.
  public func lookAgain(after nanoseconds: UInt64) {
    let at = monotonicNow() &+ nanoseconds
    shared.withLock { $0.alarm = at }
    loop.wake()
  }

  public func report() -> PressureWatchReport {
    shared.withLock { PressureWatchReport(triggers: [$0.machine, $0.group], limits: $0.limits) }
  }

  private func run() {
    while true {
      let (alarm, isStopping) = shared.withLock { ($0.alarm, $0.isStopping) }
      if isStopping { return }
      let next = [alarm, retry, resumeLimits].compactMap(\.self).min()
      for event in loop.wait(milliseconds: next.map { Self.milliseconds(until: $0) }) { take(event) }
      ring()
    }
  }

  /// Rounded up, so that the last turn does not spin.
  private static func milliseconds(until at: UInt64) -> Int32 {
    let now = monotonicNow()
    return at <= now ? 0 : Int32(clamping: (at - now) / 1_000_000 + 1)
  }

  /// What is due by the clock.
  private func ring() {
    let now = monotonicNow()
    let isDue = shared.withLock { shared in
      guard let alarm = shared.alarm, alarm <= now else { return false }
      shared.alarm = nil
      return true
    }
    if isDue { listener.lookDue() }
    if let at = resumeLimits, at <= now {
      resumeLimits = nil
      // What moved meanwhile fires at once.
      if let limits { watch(limits, Token.limits) }
    }
    if let at = retry, at <= now {
      retry = nil
      joinGroup()
      if group == nil { joinLater(at: now) } else { listener.changed(shared.withLock { $0.group }) }
    }
  }

  private func take(_ event: EventLoop.Event) {
    let now = monotonicNow()
    switch event.token {
    case Token.machine:
      guard let machine else { return }
      // psi was switched off, or the like: an error stays, and would keep this thread busy.
      if event.isClosed { return lose(.machine, "the trigger is gone") }
      fired(machine, \.machine, at: now)
    case Token.group:
      guard let group else { return }
      if event.isClosed { return lose(.group, "the control group is gone") }
      fired(group, \.group, at: now)
    case Token.limits: limitsMoved(at: now)
    default: break
    }
  }

  private func fired(_ descriptor: Int32, _ place: WritableKeyPath<Shared, PressureTriggerReport>, at now: UInt64) {
    probes.acknowledge(descriptor)
    let told = shared.withLock { shared in
      shared[keyPath: place].events += 1
      shared[keyPath: place].lastEvent = now
      return shared[keyPath: place]
    }
    listener.event(PressureEvent(source: told.source, at: now, stall: told.trigger?.share))
  }

  private enum Place { case machine, group }

  private func lose(_ place: Place, _ problem: String) {
    let told: PressureTriggerReport
    switch place {
    case .machine:
      drop(&machine)
      told = shared.withLock {
        $0.machine.fail(.lost, problem); return $0.machine
      }
    case .group:
      drop(&group)
      drop(&limits)
      resumeLimits = nil
      let now = monotonicNow()
      if now &- joinedAt >= Self.longestRetry { retryPause = Self.firstRetry }
      joinLater(at: now)
      told = shared.withLock { shared in
        shared.limits = nil
        shared.group.fail(.lost, problem)
        return shared.group
      }
    }
    listener.changed(told)
  }

  private func joinLater(at now: UInt64) {
    retry = now &+ retryPause
    retryPause = min(retryPause * 2, Self.longestRetry)
  }

  private func drop(_ descriptor: inout Int32?) {
    guard let open = descriptor else { return }
    loop.remove(open)
    close(open)
    descriptor = nil
  }

  private func limitsMoved(at now: UInt64) {
    guard let limits else { return }
    // Reading also says that this was seen; a group that is gone cannot be read.
    guard let counts = Self.counts(limits) else { return lose(.group, "the control group is gone") }
    loop.remove(limits)
    resumeLimits = now &+ Self.limitPause
    let isWorse = shared.withLock { shared in
      defer { shared.limits = counts }
      guard let before = shared.limits, counts != before else { return false }
      shared.group.lastEvent = now
      return true
    }
    if isWorse { listener.event(PressureEvent(source: "cgroup /", at: now, stall: nil)) }
  }

  private func joinGroup() {
    if let problem = files.groupProblem {
      shared.withLock { if $0.group.state != .lost { $0.group.fail(.unavailable, problem) } }
      return
    }
    joinedAt = monotonicNow()
    group = arm("\(files.group)/memory.pressure", \.group, Token.group)
    guard limits == nil, let file = try? openPath("\(files.group)/memory.events", O_RDONLY | O_NONBLOCK),
      let counts = Self.counts(file.descriptor)
    else { return }
    shared.withLock { $0.limits = counts }
    let descriptor = file.leaked()
    limits = descriptor
    watch(descriptor, Token.limits)
  }

  private static func counts(_ descriptor: Int32) -> GroupLimitCounts? {
    guard let bytes = try? positionedBytes(descriptor, at: 0, upTo: 4096, "memory.events") else { return nil }
    return GroupLimitCounts(String(decoding: bytes, as: UTF8.self))
  }

  private func arm(_ path: String, _ place: WritableKeyPath<Shared, PressureTriggerReport>, _ token: UInt64) -> Int32? {
    do throws(PlatformError) {
      let (descriptor, trigger) = try probes.arm(path)
      do throws(PlatformError) {
        try probes.isUrgent ? loop.addUrgent(descriptor, token: token) : loop.add(descriptor, token: token)
      } catch {
        close(descriptor)
        throw error
      }
      shared.withLock { shared in
        shared[keyPath: place].state = .armed
        shared[keyPath: place].trigger = trigger
        shared[keyPath: place].problem = nil
      }
      return descriptor
    } catch {
      shared.withLock { $0[keyPath: place].fail(.refused, error.description) }
      return nil
    }
  }

  /// What cannot be watched is as good as lost: the group's trigger tells as much.
  private func watch(_ descriptor: Int32, _ token: UInt64) { try? loop.addUrgent(descriptor, token: token) }
}

extension PressureTriggerReport {
  fileprivate mutating func fail(_ state: State, _ problem: String) {
    self.state = state
    self.problem = problem
    trigger = nil
  }
}

func monotonicNow() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
