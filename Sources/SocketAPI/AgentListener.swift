import CLinux
import Glibc
import LinuxPlatform
import Logging
import Supervisor

/// The agents' socket: one thread that accepts, takes HELLOs and notices ends. Decisions are the supervisor's.
public final class AgentListener: @unchecked Sendable {
  /// Who may connect besides root.
  public enum Admission: Sendable {
    /// A system service: any user's processes.
    case everyone
    case user(UInt32)

    func admits(_ user: UInt32) -> Bool {
      switch self {
      case .everyone: true
      case .user(let own): user == own || user == 0
      }
    }
  }

  /// 5 s: an agent sends its HELLO with the connect; one that has not by then is no agent.
  static let helloLimit: UInt64 = 5_000_000_000
  /// Sockets of one user whose HELLO is outstanding, at most. One more ends that user's oldest: agents say HELLO at once, so a
  /// flood of silent connections costs this many descriptors and keeps no agent out, of that user or another.
  static let pendingLimit = 64
  /// Accepted in one turn, at most: a flood must not keep the turns of those that are connected from coming.
  static let acceptedAtOnce = 256
  /// Descriptors kept free for the supervisor's own reading and answering. Dispatch, which runs Swift's concurrency, ends the
  /// process when it cannot open a file of /proc.
  static let reserve: Int32 = 64
  /// Refusals logged in `complaintPause`: whoever keeps knocking fills no disk. All are counted.
  static let refusalsLogged = 60
  /// 1 s: how long nothing is accepted after the descriptors ran out; the socket's backlog and the agents wait meanwhile.
  static let acceptPause: UInt64 = 1_000_000_000
  /// 60 s: a shortage that lasts is said again this often.
  static let complaintPause: UInt64 = 60_000_000_000

  private let listener: Int32
  private let admission: Admission
  private let sink: any SessionSink
  private let logger: Logger
  private let loop: EventLoop
  private let outgoing = OutgoingCommands()
  private var connections: [UInt64: AgentConnection] = [:]
  /// The established connection of each process. A process has one agent: what it opens beyond that would only cost us
  /// descriptors.
  private var established: [Int32: UInt64] = [:]
  /// Connections without a HELLO by user, oldest first.
  private var pending: [UInt32: [UInt64]] = [:]
  /// What each user may still connect; those with a whole budget are not listed.
  private var budgets: [UInt32: ConnectionBudget] = [:]
  /// When to accept again after a shortage; nil while accepting.
  private var resumeAt: UInt64?
  private var nextComplaint: UInt64 = 0
  /// Refusals logged since this time.
  private var refusals = (since: UInt64(0), count: 0)
  private var nextNumber: UInt64 = 1
  private var thread = pthread_t()
  // Written by `stop`, read by the thread after its wake-up; the eventfd orders the two.
  private var isStopping = false

  /// - Parameter listener: a listening, non-blocking SOCK_SEQPACKET; stays the caller's.
  public init(listener: Int32, admission: Admission, sink: any SessionSink, logger: Logger) throws(PlatformError) {
    self.listener = listener
    self.admission = admission
    self.sink = sink
    self.logger = logger
    loop = try EventLoop()
    try loop.add(listener, token: Token.listener)
  }

  /// Tokens: 0 the listener, else a connection's number, doubled, plus one for its pidfd.
  private enum Token {
    static let listener: UInt64 = 0
    static func socket(_ number: UInt64) -> UInt64 { number << 1 }
    static func process(_ number: UInt64) -> UInt64 { number << 1 | 1 }
  }

  public func start() {
    let context = Unmanaged.passRetained(self).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        mlos_linux_name_thread("agents")
        Unmanaged<AgentListener>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context)
  }

  /// Ends the thread and closes every connection; agents come back to the next supervisor.
  public func stop() {
    isStopping = true
    loop.wake()
    pthread_join(thread, nil)
  }

  private func run() {
    while !isStopping {
      for event in loop.wait(milliseconds: pending.isEmpty && resumeAt == nil ? nil : 1_000) { take(event) }
      outgoing.sendAll { self.connections[$0]?.socket }
      if !pending.isEmpty { dropSilent() }
      resume()
    }
    for connection in connections.values { connection.end() }
    connections = [:]
  }

  private func take(_ event: EventLoop.Event) {
    guard event.token != Token.listener else {
      acceptAll()
      return
    }
    let number = event.token >> 1
    guard let connection = connections[number] else { return }
    if event.token & 1 == 1 {
      // The process has ended. What it still had to say lies in its segment.
      if case .established = connection.state { sink.processExited(connection.pid, session: SessionID(number)) }
      end(number)
    } else if event.isReadable {
      receive(number)
    } else if event.isClosed {
      hungUp(number)
    }
  }

  /// Read anew each turn: the limit may be changed from outside (prlimit(2)).
  static func highestDescriptor() -> Int32 {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
    let highest = Int32(clamping: limit.rlim_cur)
    // With a limit as low as 64 a quarter is kept: half of it is open anyway.
    return max(highest / 4 * 3, highest - reserve)
  }

  private func spend(_ user: UInt32, at now: UInt64) -> Bool {
    var budget = budgets[user] ?? ConnectionBudget(at: now)
    let isWelcome = budget.take(at: now)
    budgets[user] = budget
    return isWelcome
  }

  private func acceptAll() {
    guard resumeAt == nil else { return }
    let now = monotonicNanoseconds()
    // Who can make a million users is root; forgetting is still cheap.
    if budgets.count > 64 { budgets = budgets.filter { !$0.value.isFull(at: now) } }
    let highest = Self.highestDescriptor()
    var unwelcome = 0
    defer { if unwelcome > 0 { sink.refused(.session, count: unwelcome) } }
    for _ in 0..<Self.acceptedAtOnce {
      let outcome = AgentConnection.accept(
        from: listener, deadline: now + Self.helloLimit, highest: highest, isWelcome: { spend($0, at: now) })
      switch outcome {
      case .none: return
      case .unwelcome: unwelcome += 1
      case .unidentified: unwelcome += 1
      case .failed(let code):
        pause(code)
        return
      case .connection(let connection): take(connection)
      }
    }
  }

  private func take(_ connection: AgentConnection) {
    let number = nextNumber
    nextNumber += 1
    guard admission.admits(connection.user) else {
      refuse(number, connection, "another user's process")
      return
    }
    if let oldest = pending[connection.user]?.first, pending[connection.user]!.count >= Self.pendingLimit {
      // No REJECT, which would keep a real agent away for a minute.
      sink.refused(.session)
      end(oldest)
    }
    do {
      try loop.add(connection.socket, token: Token.socket(number))
      try loop.add(connection.pidfd, token: Token.process(number))
    } catch {
      loop.remove(connection.socket)
      refuse(number, connection, "\(error)")
      return
    }
    connections[number] = connection
    pending[connection.user, default: []].append(number)
    // An agent's HELLO came with the connection: it must not wait behind those that say nothing.
    receive(number)
  }

  /// Out of descriptors or memory: the socket stays ready, so looking away is all that keeps this thread from spinning.
  private func pause(_ code: Int32) {
    let now = monotonicNanoseconds()
    resumeAt = now + Self.acceptPause
    loop.remove(listener)
    // One at least could not come in; those behind it wait.
    sink.refused(code == EMFILE || code == ENFILE ? .withoutDescriptor : .session)
    if now >= nextComplaint {
      nextComplaint = now + Self.complaintPause
      logger.error("cannot accept agents", metadata: ["errno": "\(code)", "advice": "raise the limit of open files"])
    }
  }

  private func resume() {
    guard let at = resumeAt, monotonicNanoseconds() >= at else { return }
    do {
      try loop.add(listener, token: Token.listener)
      resumeAt = nil
    } catch {
      resumeAt = monotonicNanoseconds() + Self.acceptPause
    }
  }

  /// Turns a connection away before it is one of ours.
  private func refuse(_ number: UInt64, _ connection: AgentConnection, _ reason: String) {
    sink.refused(.session)
    log(refused: connection, number, reason)
    connection.send(SupervisorFrame.reject())
    connection.end()
  }

  private func receive(_ number: UInt64) {
    guard let connection = connections[number] else { return }
    var buffer = [UInt8](repeating: 0, count: 512)
    var descriptors = [Int32](repeating: -1, count: 4)
    var received: Int32 = 0
    var truncated: Int32 = 0
    let count = mlos_linux_receive(connection.socket, &buffer, buffer.count, &descriptors, 4, &received, &truncated)
    let code = errno
    let passed = Array(descriptors.prefix(Int(received)))
    defer { for descriptor in passed { close(descriptor) } }
    if count < 0 {
      if code != EAGAIN { hungUp(number) }
      return
    }
    guard count > 0 else {
      hungUp(number)
      return
    }
    do {
      guard truncated == 0 else { throw AgentFrame.Failure.wrongSize(type: 0, size: count) }
      let frame = try buffer.withUnsafeBytes { bytes throws(AgentFrame.Failure) in
        try AgentFrame(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
      }
      take(frame, passed, number)
    } catch {
      sink.refused(.frame)
      drop(number, "frame refused: \(error)")
    }
  }

  private func take(_ frame: AgentFrame, _ descriptors: [Int32], _ number: UInt64) {
    guard let connection = connections[number] else { return }
    switch (frame, connection.state) {
    case (.hello, .awaitingHello):
      guard let descriptor = descriptors.first, descriptors.count == 1 else {
        sink.refused(.frame)
        drop(number, "HELLO with \(descriptors.count) descriptors instead of 1")
        return
      }
      greet(descriptor, number)
    case (.result(let request, let status, let value, let nanoseconds), .established):
      sink.answered(
        SessionID(number), request: request, CommandOutcome(status: status, value: value), seconds: Double(nanoseconds) / 1e9)
    case (.hello, .established), (.result, .awaitingHello):
      sink.refused(.frame)
      drop(number, "frame out of turn")
    }
  }

  private func greet(_ descriptor: Int32, _ number: UInt64) {
    guard let connection = connections[number] else { return }
    let segment: AgentSegment
    do throws(AgentSegment.Refusal) {
      segment = try AgentSegment(descriptor: descriptor)
    } catch {
      sink.refused(.segment)
      drop(number, error.description)
      return
    }
    let opening = SessionOpening(
      id: SessionID(number), pid: connection.pid, user: connection.user, segment: segment,
      commands: AgentPeer(number: number, outgoing: outgoing, loop: loop))
    // A process that died since has a PID that means nothing.
    if connection.hasExited {
      end(number)
      return
    }
    if let reason = sink.agentAttached(opening) {
      drop(number, reason)
      return
    }
    forgetPending(number, connection.user)
    connections[number]?.state = .established
    if let before = established.updateValue(number, forKey: connection.pid) { end(before) }
    connection.send(SupervisorFrame.welcome(pid: getpid()))
  }

  private func hungUp(_ number: UInt64) {
    guard let connection = connections[number] else { return }
    if case .established = connection.state { sink.agentDetached(SessionID(number), hasExited: connection.hasExited) }
    end(number)
  }

  /// Ends a connection whose peer misbehaved.
  private func drop(_ number: UInt64, _ reason: String) {
    guard let connection = connections[number] else { return }
    log(refused: connection, number, reason)
    connection.send(SupervisorFrame.reject())
    if case .established = connection.state { sink.agentDetached(SessionID(number), hasExited: connection.hasExited) }
    end(number)
  }

  private func log(refused connection: AgentConnection, _ number: UInt64, _ reason: String) {
    let now = monotonicNanoseconds()
    if now - refusals.since >= Self.complaintPause { refusals = (now, 0) }
    refusals.count += 1
    guard refusals.count <= Self.refusalsLogged else {
      if refusals.count == Self.refusalsLogged + 1 {
        logger.warning("more agents are refused: counted, not logged, for up to a minute")
      }
      return
    }
    logger.notice(
      "agent refused",
      metadata: ["session": "\(number)", "pid": "\(connection.pid)", "user": "\(connection.user)", "reason": "\(reason)"])
  }

  private func end(_ number: UInt64) {
    guard let connection = connections.removeValue(forKey: number) else { return }
    switch connection.state {
    case .awaitingHello: forgetPending(number, connection.user)
    case .established: if established[connection.pid] == number { established[connection.pid] = nil }
    }
    loop.remove(connection.socket)
    loop.remove(connection.pidfd)
    connection.end()
  }

  private func forgetPending(_ number: UInt64, _ user: UInt32) {
    pending[user]?.removeAll { $0 == number }
    if pending[user]?.isEmpty == true { pending[user] = nil }
  }

  private func dropSilent() {
    let now = monotonicNanoseconds()
    for (number, connection) in connections {
      guard case .awaitingHello(let deadline) = connection.state, now >= deadline else { continue }
      sink.refused(.session)
      drop(number, "no HELLO within 5 s")
    }
  }
}

extension AgentSegment: SegmentReading {}

func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
