import Wire

/// Why a request has no answer.
public enum ClientError: Error, Hashable, Sendable {
  case notReachable(socket: String, reason: Unreachable)
  /// The socket belongs to neither root nor the caller, or whoever listens on it does: whatever it says is not to be believed.
  case untrusted(socket: String, owner: UInt32)
  case timeout(socket: String, after: Duration)
  /// The connection ended before the answer did: the supervisor has ended, most likely.
  case interrupted(socket: String)
  /// What came back is no answer of this API.
  case protocolError(String)
  /// The answer is longer than `limit` bytes.
  case tooLarge(limit: Int)
  /// The supervisor refused, and says why.
  case answered(status: Int, ErrorAnswer)

  /// What keeps the client from connecting.
  public enum Unreachable: Hashable, Sendable {
    case noSocket
    /// A socket nobody listens on.
    case refused
    case permission
    /// Something else is at the path.
    case notASocket
    case pathTooLong
    /// In the words of the system.
    case other(String)
  }
}

extension ClientError: CustomStringConvertible {
  /// One sentence for people.
  public var description: String {
    switch self {
    case .notReachable(let socket, let reason): "no supervisor is reachable on \(socket): \(reason)"
    case .untrusted(let socket, let owner):
      "\(socket) is refused: it belongs to user \(owner), neither to root nor to you"
    case .timeout(let socket, let limit): "the supervisor on \(socket) did not answer within \(limit)"
    case .interrupted(let socket): "the supervisor on \(socket) ended, or hung up, before it had answered"
    case .protocolError(let problem): "the supervisor's answer makes no sense: \(problem)"
    case .tooLarge(let limit): "the supervisor's answer is larger than \(limit) bytes"
    case .answered(_, let answer): answer.error.message
    }
  }

  /// What to do about it; nil when nothing is to be said.
  public var advice: String? {
    switch self {
    case .notReachable(_, .noSocket), .notReachable(_, .refused):
      "start one with `mlosd`, or a program together with one: `mlos run -- PROGRAM`"
    case .notReachable(_, .permission): "use the user that runs the supervisor, or root"
    case .notReachable(_, .notASocket), .notReachable(_, .pathTooLong), .untrusted:
      "name another socket with --socket or MLOS_SOCKET"
    case .interrupted: "mlos status says whether one is there again"
    case .notReachable(_, .other), .timeout, .protocolError, .tooLarge, .answered: nil
    }
  }
}

extension ClientError.Unreachable: CustomStringConvertible {
  /// A few words without a full stop.
  public var description: String {
    switch self {
    case .noSocket: "there is no such socket"
    case .refused: "nobody listens there"
    case .permission: "permission denied"
    case .notASocket: "it is not a socket"
    case .pathTooLong: "the path is too long for a socket"
    case .other(let words): words
    }
  }
}
