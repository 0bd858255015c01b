import Client
import Config

/// What of a supervisor a program finds that is about to start.
enum SupervisorPresence: Equatable {
  case ready
  /// The agents' socket is there, the control socket is not: it starts or ends just now.
  case changing
  case absent
  case unusable(ClientError)

  /// The agents' socket decides, for it is all that agents need. The control socket is a second opinion where this user may
  /// open it: that of a system service is root's.
  static func judge(agents: ClientError?, control: () -> ClientError?) -> SupervisorPresence {
    switch agents {
    case nil: break
    case .notReachable(_, .noSocket)?, .notReachable(_, .refused)?: return .absent
    case let error?: return .unusable(error)
    }
    return switch control() {
    case .notReachable(_, .noSocket)?, .notReachable(_, .refused)?: .changing
    case nil, .notReachable(_, .permission)?: .ready
    case let error?: .unusable(error)
    }
  }

  static func of(_ settings: Settings) -> SupervisorPresence {
    judge(agents: SocketCheck.probeAgents(path: settings.socket)) { SocketCheck.probe(path: settings.controlSocket) }
  }
}
