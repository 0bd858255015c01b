import Client
import Config
import FoundationEssentials
import Glibc
import Model

/// What of MLOS itself is in place, for `mlos doctor`.
enum InstallationFindings {
  static func collect(_ connection: ConnectionOptions) -> [Finding] {
    let environment = ProcessInfo.processInfo.environment
    let executable = AgentLibrary.ownExecutable()
    let library = AgentLibrary.choose(
      option: nil, variable: environment["MLOS_AGENT_LIBRARY"],
      candidates: AgentLibrary.candidates(executable: executable, architecture: AgentLibrary.architecture),
      isReadable: AgentLibrary.isReadable)
    let daemon = EmbeddedSupervisor.candidates(executable: executable, path: environment["PATH"])
      .first { ProgramSearch.look($0) == .executable }
    return [agent(library), supervisorProgram(daemon), supervisor(connection)]
  }

  static func agent(_ library: Result<String, Problem>) -> Finding {
    switch library {
    case .success(let path): Finding(id: "agent-library", subject: "agent library", verdict: .works, found: path)
    case .failure(let problem):
      Finding(
        id: "agent-library", subject: "agent library", verdict: .missing, found: problem.message,
        consequence: "`mlos run` cannot watch what it starts", remedy: "install it, or name it with MLOS_AGENT_LIBRARY")
    }
  }

  static func supervisorProgram(_ path: String?) -> Finding {
    guard let path else {
      return Finding(
        id: "supervisor-program", subject: "supervisor program", verdict: .limited, found: "no mlosd beside mlos or in PATH",
        consequence: "`mlos run` cannot start a supervisor of its own", remedy: "install mlosd beside mlos")
    }
    return Finding(id: "supervisor-program", subject: "supervisor program", verdict: .works, found: path)
  }

  private static func supervisor(_ connection: ConnectionOptions) -> Finding {
    let settings: Settings
    do {
      settings = try connection.settings()
    } catch {
      return Finding(
        id: "supervisor", subject: "supervisor", verdict: .unknown, found: (error as? Failure)?.message ?? "\(error)",
        consequence: "its socket is not known", remedy: "correct the configuration")
    }
    guard let error = SocketCheck.probe(path: settings.controlSocket) else {
      return Finding(id: "supervisor", subject: "supervisor", verdict: .works, found: "listens on \(settings.controlSocket)")
    }
    return Finding(
      id: "supervisor", subject: "supervisor", verdict: .limited, found: error.description,
      consequence: "nothing is watched but by `mlos run`", remedy: error.advice)
  }
}
