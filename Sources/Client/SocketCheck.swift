import Glibc

/// Looks at a socket before anything is said to it.
public enum SocketCheck {
  /// sizeof sun_path less the final NUL, unix(7).
  static let pathLimit = 107

  /// What stat(2) says about the path.
  struct Facts: Equatable {
    var isSocket: Bool
    var owner: UInt32
  }

  /// Nil when the client may connect.
  static func judge(_ facts: Facts, path: String, caller: UInt32) -> ClientError? {
    guard facts.isSocket else { return .notReachable(socket: path, reason: .notASocket) }
    return isTrusted(facts.owner, caller: caller) ? nil : .untrusted(socket: path, owner: facts.owner)
  }

  static func isTrusted(_ owner: UInt32, caller: UInt32) -> Bool { owner == 0 || owner == caller }

  static func check(path: String) -> ClientError? {
    guard path.utf8.count <= pathLimit else { return .notReachable(socket: path, reason: .pathTooLong) }
    var status = stat()
    guard stat(path, &status) == 0 else { return .notReachable(socket: path, reason: reason(errno: errno)) }
    return judge(
      Facts(isSocket: status.st_mode & S_IFMT == S_IFSOCK, owner: status.st_uid), path: path, caller: geteuid())
  }

  static func reason(errno number: Int32) -> ClientError.Unreachable {
    switch number {
    case ENOENT, ENOTDIR: .noSocket
    case ECONNREFUSED: .refused
    case EACCES, EPERM: .permission
    default: .other(String(cString: strerror(number)))
    }
  }

  /// Connects and hangs up, without the event loop and without a change to the process's signals: what a program needs that
  /// is about to execute another one. Blocks no longer than connect(2) on a local socket does.
  ///
  /// - Returns: Nil when a supervisor can be reached.
  public static func probe(path: String) -> ClientError? { connect(path: path, type: SOCK_STREAM) }

  /// As `probe`, for the agents' socket, without taking a place there: the kernel answers EPROTOTYPE to a connection of another
  /// type, and only where a live socket is bound (unix(7)).
  public static func probeAgents(path: String) -> ClientError? { connect(path: path, type: SOCK_DGRAM) }

  private static func connect(path: String, type: __socket_type) -> ClientError? {
    if let error = check(path: path) { return error }
    let descriptor = socket(AF_UNIX, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return .notReachable(socket: path, reason: reason(errno: errno)) }
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    // EAGAIN: somebody listens, with a full queue.
    let isThere = result == 0 || errno == EAGAIN || (errno == EPROTOTYPE && type != SOCK_STREAM)
    return isThere ? nil : .notReachable(socket: path, reason: reason(errno: errno))
  }
}
