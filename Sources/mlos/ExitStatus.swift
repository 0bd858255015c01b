import Client
import Config
import Glibc

/// What `mlos` answers to the shell. Zero for what was asked for.
enum ExitStatus: Int32, CaseIterable {
  case notFound = 1
  case unreachable = 3
  case refused = 4
  case broken = 5
  case usage = 64
  case configuration = 78
  case cannotRun = 125
  case notExecutable = 126
  case programNotFound = 127
  case interrupted = 130

  var meaning: String {
    switch self {
    case .notFound: "what was asked about is not there; `doctor --strict` found something missing; heap: nothing was sampled"
    case .unreachable: "no supervisor is reachable, or it did not answer in time"
    case .refused: "permission denied by the system, or refused by the supervisor"
    case .broken: "the supervisor failed or its answer makes no sense; standard output is closed or cannot be written"
    case .usage: "the command line is wrong"
    case .configuration: "the configuration is wrong"
    case .cannotRun: "run: MLOS itself could not get ready"
    case .notExecutable: "run: the program cannot be executed"
    case .programNotFound: "run: there is no such program"
    case .interrupted: "events --follow: ended by Ctrl-C"
    }
  }

  /// For the help of the root command.
  static var table: String {
    (["    0  what was asked for was done"]
      + allCases.map { status in
        let code = "\(status.rawValue)"
        return String(repeating: " ", count: 5 - code.count) + code + "  " + status.meaning
      }).joined(separator: "\n")
  }
}

/// Ends the command with a message.
struct Failure: Error, Equatable {
  var status: ExitStatus
  var message: String
  /// What to do about it.
  var advice: String?

  /// Prints and ends the process.
  func exit() -> Never {
    Output.complain(message)
    if let advice { Output.note(advice) }
    Glibc.exit(status.rawValue)
  }
}

extension Failure {
  init(_ error: ClientError) {
    let status: ExitStatus =
      switch error {
      case .notReachable(_, .permission), .untrusted: .refused
      case .notReachable, .timeout, .interrupted: .unreachable
      case .protocolError, .tooLarge: .broken
      case .answered(404, _): .notFound
      case .answered(401, _), .answered(403, _), .answered(409, _): .refused
      // Of a process that cannot be read, not of the question.
      case .answered(422, let answer) where answer.error.code == "unreadable": .refused
      case .answered(400, _), .answered(422, _): .usage
      case .answered: .broken
      }
    self.init(status: status, message: error.description, advice: error.advice)
  }

  init(_ errors: ConfigErrors) {
    self.init(
      status: .configuration, message: "the configuration is wrong:\n" + errors.errors.map { "  \($0)" }.joined(separator: "\n"))
  }
}
