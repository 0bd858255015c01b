import CLinux
import Glibc
import LinuxPlatform

/// A connected socket with its kernel-verified peer. Owner of its descriptors: `end` closes them.
struct AgentConnection {
  enum State {
    /// Accepted; a HELLO must come before the deadline (CLOCK_MONOTONIC, nanoseconds).
    case awaitingHello(deadline: UInt64)
    case established
  }

  let socket: Int32
  /// Names this very process even if its PID is used again.
  let pidfd: Int32
  let pid: Int32
  let user: UInt32
  var state: State

  /// Accepts one connection.
  ///
  /// - Parameters:
  ///   - highest: The descriptor from which on the process counts as out of descriptors: the rest is for its own work.
  ///   - isWelcome: Asked before anything is spent on a connection, with the user.
  static func accept(
    from listener: Int32, deadline: UInt64, highest: Int32, isWelcome: (UInt32) -> Bool
  ) -> AcceptOutcome {
    let descriptor = mlos_linux_accept(listener)
    guard descriptor >= 0 else { return errno == EAGAIN ? .none : .failed(errno) }
    guard descriptor < highest else {
      close(descriptor)
      return .failed(EMFILE)
    }
    var pid: pid_t = 0
    var user: uid_t = 0
    var group: gid_t = 0
    guard mlos_linux_peer_credentials(descriptor, &pid, &user, &group) == 0, pid > 0 else {
      close(descriptor)
      return .unidentified
    }
    guard isWelcome(user) else {
      close(descriptor)
      return .unwelcome
    }
    var pidfd = mlos_linux_peer_pidfd(descriptor)
    if pidfd < 0 {
      // Older kernels: the PID could be another process by now, but then the first one is dead and its socket hung up.
      pidfd = mlos_linux_pidfd_open(pid, 0)
      var check = pollfd(fd: descriptor, events: 0, revents: 0)
      if pidfd >= 0, poll(&check, 1, 0) != 0 {
        close(pidfd)
        pidfd = -1
      }
    }
    guard pidfd >= 0 else {
      let code = errno
      close(descriptor)
      return code == EMFILE || code == ENFILE ? .failed(code) : .unidentified
    }
    return .connection(
      AgentConnection(socket: descriptor, pidfd: pidfd, pid: pid, user: user, state: .awaitingHello(deadline: deadline)))
  }

  enum AcceptOutcome {
    case connection(AgentConnection)
    case none
    /// Its peer cannot be told for sure.
    case unidentified
    case unwelcome
    case failed(Int32)
  }

  /// The kernel's word on whether the process has ended.
  var hasExited: Bool {
    var check = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
    return poll(&check, 1, 0) == 1 && check.revents & Int16(POLLIN) != 0
  }

  /// Non-blocking: an agent that does not read loses the frame, never the supervisor's time.
  @discardableResult
  func send(_ packet: [UInt8]) -> Bool {
    Glibc.send(socket, packet, packet.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) == packet.count
  }

  func end() {
    close(socket)
    close(pidfd)
  }
}
