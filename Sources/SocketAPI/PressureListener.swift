import CLinux
import Glibc
import LinuxPlatform
import Logging
import Model
import Synchronization

/// Tells programs that memory is short by systemd's protocol (MEMORY_PRESSURE_WATCH, https://systemd.io/MEMORY_PRESSURE): whoever is
/// connected to the stream socket gets a byte, and gives back what it can do without. One thread, asleep between two calls of `ring`
/// and two connections.
public final class PressureListener: @unchecked Sendable {
  /// Of one user: a worker for each core of a large machine. Of all.
  static let userLimit = 256
  static let clientLimit = 1_024
  /// What a client may send: by the protocol some words for the kernel, which there are none for here.
  static let inputLimit = 4_096
  /// So often told without taking it, a minute of pressure: whoever does not read by then is not going to.
  static let unreadLimit = 60
  /// 1 s without accepting after the descriptors ran out: the socket stays ready, and would keep the thread busy.
  static let acceptPause: UInt64 = 1_000_000_000
  static let acceptedAtOnce = 64

  private struct Client {
    var socket: Int32
    var user: UInt32
    var received = 0
    var unread = 0
  }

  private struct Shared {
    var clients = 0
    var refused: UInt64 = 0
    var rings: UInt64 = 0
    var isRinging = false
    var isStopping = false
  }

  private let path: String
  private let listener: Int32
  private let admission: AgentListener.Admission
  private let logger: Logger
  private let loop: EventLoop
  private let shared = Mutex(Shared())
  private var thread = pthread_t()
  // Of the thread alone.
  private var clients: [UInt64: Client] = [:]
  private var budgets: [UInt32: ConnectionBudget] = [:]
  private var nextToken: UInt64 = 1
  private var resumeAt: UInt64?
  private var hasComplained = false

  /// - Parameter listener: a listening, non-blocking SOCK_STREAM at `path`; stays the caller's.
  public init(path: String, listener: Int32, admission: AgentListener.Admission, logger: Logger) throws(PlatformError) {
    self.path = path
    self.listener = listener
    self.admission = admission
    self.logger = logger
    loop = try EventLoop()
    try loop.add(listener, token: 0)
  }

  public func start() {
    let context = Unmanaged.passRetained(self).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        mlos_linux_name_thread("pressure-bell")
        Unmanaged<PressureListener>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context)
  }

  /// Ends the thread and closes every connection.
  public func stop() {
    shared.withLock { $0.isStopping = true }
    loop.wake()
    pthread_join(thread, nil)
  }

  /// Has everyone told, by the thread. From any thread; two that come together are one.
  public func ring() {
    shared.withLock { $0.isRinging = true }
    loop.wake()
  }

  public func report() -> PressureBellReport {
    shared.withLock { PressureBellReport(path: path, clients: $0.clients, refused: $0.refused, rings: $0.rings) }
  }

  private func run() {
    while true {
      for event in loop.wait(milliseconds: resumeAt == nil ? nil : 1_000) { take(event) }
      let (isRinging, isStopping) = shared.withLock { shared in
        defer { shared.isRinging = false }
        return (shared.isRinging, shared.isStopping)
      }
      if isStopping { break }
      if isRinging { tellAll() }
      resume()
      shared.withLock { $0.clients = clients.count }
    }
    for client in clients.values { close(client.socket) }
    clients = [:]
  }

  private func take(_ event: EventLoop.Event) {
    guard event.token != 0 else { return acceptAll() }
    guard var client = clients[event.token] else { return }
    var buffer = [UInt8](repeating: 0, count: 512)
    let count = recv(client.socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    if count < 0, errno == EAGAIN, !event.isClosed { return }
    client.received += max(count, 0)
    clients[event.token] = client
    // One that shuts down its side only is taken for gone, too: it would be ready for ever.
    if count <= 0 { return end(event.token) }
    if client.received > Self.inputLimit { refuse(event.token) }
  }

  private func acceptAll() {
    guard resumeAt == nil else { return }
    let now = monotonicNanoseconds()
    if budgets.count > 64 { budgets = budgets.filter { !$0.value.isFull(at: now) } }
    let highest = AgentListener.highestDescriptor()
    for _ in 0..<Self.acceptedAtOnce {
      let socket = mlos_linux_accept(listener)
      if socket < 0, errno == EAGAIN { return }
      if socket < 0 || socket >= highest {
        if socket >= 0 { close(socket) }
        return pause(at: now)
      }
      var (pid, user, group) = (pid_t(0), uid_t(0), gid_t(0))
      guard mlos_linux_peer_credentials(socket, &pid, &user, &group) == 0, welcomes(user, at: now) else {
        shared.withLock { $0.refused += 1 }
        close(socket)
        continue
      }
      add(socket, user)
    }
  }

  private func welcomes(_ user: UInt32, at now: UInt64) -> Bool {
    guard admission.admits(user), clients.count < Self.clientLimit else { return false }
    var budget = budgets[user] ?? ConnectionBudget(at: now)
    let isWithin = budget.take(at: now)
    budgets[user] = budget
    return isWithin && clients.values.count { $0.user == user } < Self.userLimit
  }

  private func add(_ socket: Int32, _ user: UInt32) {
    // The least there is: what is unread is the kernel's memory, and one byte says all.
    var size: Int32 = 0
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    let token = nextToken
    nextToken += 1
    do throws(PlatformError) {
      try loop.add(socket, token: token)
      clients[token] = Client(socket: socket, user: user)
    } catch {
      shared.withLock { $0.refused += 1 }
      close(socket)
    }
  }

  private func tellAll() {
    shared.withLock { $0.rings += 1 }
    for (token, client) in clients {
      var byte = UInt8(ascii: "\n")
      if mlos_linux_send(client.socket, &byte, 1, -1) == 1 {
        clients[token]?.unread = 0
      } else if errno == EAGAIN {
        // It has been told and did not read yet: nothing is lost.
        clients[token]?.unread += 1
        if client.unread + 1 >= Self.unreadLimit { refuse(token) }
      } else {
        end(token)
      }
    }
  }

  private func refuse(_ token: UInt64) {
    shared.withLock { $0.refused += 1 }
    end(token)
  }

  private func end(_ token: UInt64) {
    guard let client = clients.removeValue(forKey: token) else { return }
    loop.remove(client.socket)
    close(client.socket)
  }

  private func pause(at now: UInt64) {
    resumeAt = now + Self.acceptPause
    loop.remove(listener)
    shared.withLock { $0.refused += 1 }
    guard !hasComplained else { return }
    hasComplained = true
    logger.warning("cannot accept programs that want to hear of pressure", metadata: ["advice": "raise the limit of open files"])
  }

  private func resume() {
    guard let at = resumeAt, monotonicNanoseconds() >= at else { return }
    do throws(PlatformError) {
      try loop.add(listener, token: 0)
      resumeAt = nil
    } catch {
      resumeAt = monotonicNanoseconds() + Self.acceptPause
    }
  }
}
