import Client
import Config
import FoundationEssentials
import Glibc
import Model

/// What of MLOS itself is in place, for `mlos doctor`.
enum InstallationFindings {
  /// 2 s: a supervisor that is well answers within milliseconds.
  private static let patience = Duration.seconds(2)

  static func collect(_ connection: ConnectionOptions) async -> [Finding] {
    let environment = ProcessInfo.processInfo.environment
    let executable = AgentLibrary.ownExecutable()
    let library = AgentLibrary.choose(
      option: nil, variable: environment["MLOS_AGENT_LIBRARY"],
      candidates: AgentLibrary.candidates(executable: executable, architecture: AgentLibrary.architecture),
      isReadable: AgentLibrary.isReadable)
    let daemon = EmbeddedSupervisor.candidates(executable: executable, path: environment["PATH"])
      .first { ProgramSearch.look($0) == .executable }
    return [agent(library), supervisorProgram(daemon), await supervisor(connection)]
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

  private static func supervisor(_ connection: ConnectionOptions) async -> Finding {
    let settings: Settings
    do {
      settings = try connection.settings()
    } catch {
      return Finding(
        id: "supervisor", subject: "supervisor", verdict: .unknown, found: (error as? Failure)?.message ?? "\(error)",
        consequence: "its socket is not known", remedy: "correct the configuration")
    }
    let client = ControlClient(socketPath: settings.controlSocket, timeout: patience)
    do throws(ClientError) {
      let status = try await client.status().body
      return supervisor(.works, "process \(status.pid) answers on \(settings.controlSocket)")
    } catch .notReachable(_, .permission) where SocketCheck.probeAgents(path: settings.socket) == nil {
      return supervisor(
        .limited, "listens on \(settings.socket); \(settings.controlSocket) is not for you",
        "programs are watched, but only root and the user that runs it can ask about them",
        "ask as that user, or have a supervisor of your own: without --socket and MLOS_SOCKET")
    } catch .notReachable(let socket, let reason) {
      let error = ClientError.notReachable(socket: socket, reason: reason)
      return supervisor(.limited, error.description, "nothing is watched but by `mlos run`", error.advice)
    } catch {
      let isSilent = if case .timeout = error { true } else { false }
      return supervisor(
        .limited, error.description, "nothing can be asked",
        error.advice ?? (isSilent ? "see whether it is stopped or the machine overloaded; else start it anew" : "start it anew"))
    }
  }

  private static func supervisor(
    _ verdict: Finding.Verdict, _ found: String, _ consequence: String? = nil, _ remedy: String? = nil
  ) -> Finding {
    Finding(
      id: "supervisor", subject: "supervisor", verdict: verdict, found: found, consequence: consequence, remedy: remedy)
  }
}
