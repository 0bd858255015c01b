import ArgumentParser
import Client
import Config
import FoundationEssentials
import Glibc
import Model
import Wire

/// `mlos run --json`.
struct RunReport: Codable, Hashable {
  static let schema = "mlos.run/1"
  enum Supervisor: String, Codable { case found, started, absent }

  var schema = RunReport.schema
  var pid = getpid()
  /// Path that is executed.
  var program: String
  var isWatched: Bool
  /// Why it is not watched.
  var reason: Known<String>
  var agentLibrary = Known<String>(nil)
  var agentSocket = Known<String>(nil)
  var supervisor = Known<Supervisor>(nil)
  /// Where it hears of want of memory: MEMORY_PRESSURE_WATCH.
  var pressureWatch = Known<String>(nil)
}

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a program with the agent in it.",
    discussion: """
      The program takes the place of this command: same process, terminal, signals and exit status. When no supervisor
      is reachable, one is started that ends with the last program it watches. Examples:
        mlos run -- python3 serve.py --port 8080
        mlos run --keep-alive ./train.sh
      """)

  @Flag(name: .customLong("no-embedded"), help: "Start no supervisor; the agent reports to one as soon as it comes.")
  var noEmbedded = false
  @Flag(name: .customLong("keep-alive"), help: "A supervisor that is started goes on after the program.")
  var keepAlive = false
  @Flag(name: .customLong("no-pressure-watch"), help: "Do not set MEMORY_PRESSURE_WATCH.") var noPressureWatch = false
  @Flag(help: "When MLOS cannot get ready, run the program without it.") var optional = false
  @Option(
    help: ArgumentHelp("Agent library. (environment: MLOS_AGENT_LIBRARY)", valueName: "path"), completion: .file())
  var agent: String?
  @Flag(name: .shortAndLong, help: "Say why a program will not be watched, even when standard error is no terminal.")
  var verbose = false
  @Flag(help: "Say in one line of JSON on standard error, before the program starts, how it will be watched.") var json = false
  @OptionGroup var connection: ConnectionOptions
  @Argument(
    parsing: .captureForPassthrough, help: ArgumentHelp("The program and its arguments.", valueName: "program"),
    completion: CompletionScript.program)
  var command: [String] = []

  func validate() throws { _ = try Self.program(command) }

  /// The program and its arguments; the parser leaves a `--` before them in place.
  static func program(_ captured: [String]) throws -> [String] {
    let isSeparated = captured.first == "--"
    // What comes before the program is captured with it.
    if let word = captured.first, word == "--help" || word == "-h" { throw CleanExit.helpRequest(RunCommand.self) }
    let program = isSeparated ? Array(captured.dropFirst()) : captured
    guard let name = program.first else { throw ValidationError("a program to run is missing") }
    if !isSeparated, name.hasPrefix("-") {
      throw ValidationError("unknown option '\(name)'; put -- before a program of that name")
    }
    return program
  }

  func run() throws {
    let program = try Self.program(command)
    let environment = ProcessInfo.processInfo.environment
    let arguments = ProcessImage.lastArguments(program.count)
    let inherited = ProcessImage.environment()
    let executable = try find(arguments[0], path: ProcessImage.value(of: "PATH", in: inherited))
    let shown = String(decoding: executable, as: UTF8.self)
    let preparation: Preparation
    do throws(Problem) {
      preparation = try getReady(environment, inherited)
    } catch {
      guard optional else {
        throw Failure(status: .cannotRun, message: error.message, advice: "--optional runs the program all the same")
      }
      Output.complain("\(error.message)\nmlos: running \(program[0]) without supervision")
      try report(RunReport(program: shown, isWatched: false, reason: Known(error.message)))
      return try become(executable, arguments, inherited)
    }
    let obstacle = verbose || json || isatty(STDERR_FILENO) == 1 ? withCString(executable, WatchObstacle.of) : nil
    if let obstacle, !json { Output.complain("\(program[0]) will not be watched: \(obstacle.words)") }
    try report(
      RunReport(
        program: shown, isWatched: obstacle == nil, reason: Known(obstacle?.words), agentLibrary: Known(preparation.library),
        agentSocket: Known(preparation.socket), supervisor: Known(preparation.supervisor),
        pressureWatch: Known(preparation.pressureWatch)))
    try become(executable, arguments, ProcessImage.environment(inherited, setting: preparation.changes))
  }

  /// The line of `--json`. The process that writes it becomes the program, so its PID is the program's.
  private func report(_ report: @autoclosure () -> RunReport) throws {
    guard json else { return }
    Output.report(String(decoding: try Coding.encoder().encode(report()), as: UTF8.self))
  }

  private func find(_ name: [UInt8], path: [UInt8]?) throws(Failure) -> [UInt8] {
    switch ProgramSearch.find(name, path: path, look: { ProgramSearch.look($0) }) {
    case .found(let path): return path
    case .notFound: throw Failure(status: .programNotFound, message: "'\(printable(name))': \(String(cString: strerror(ENOENT)))")
    case .notExecutable(let path):
      throw Failure(status: .notExecutable, message: "'\(printable(path))': \(String(cString: strerror(EACCES)))")
    }
  }

  private struct Preparation {
    var library: String
    var socket: String
    var supervisor: RunReport.Supervisor
    var pressureWatch: String?
    var changes: [(name: String, value: [UInt8]?)]
  }

  /// Finds the agent, sees to a supervisor, and says what is different in the program's environment.
  private func getReady(
    _ environment: [String: String], _ inherited: [[UInt8]]
  ) throws(Problem) -> Preparation {
    let settings: Settings
    do { settings = try connection.settings(environment: environment) } catch {
      throw Problem((error as? Failure)?.message ?? "\(error)")
    }
    let own = AgentLibrary.ownExecutable()
    let library = try AgentLibrary.choose(
      option: agent, variable: environment["MLOS_AGENT_LIBRARY"],
      candidates: AgentLibrary.candidates(executable: own, architecture: AgentLibrary.architecture),
      isReadable: AgentLibrary.isReadable
    ).get()
    let existing = ProcessImage.value(of: "LD_PRELOAD", in: inherited)
    let supervisor = try reachSupervisor(
      settings, own: own, path: environment["PATH"], environment: EmbeddedSupervisor.environment(inherited, preload: existing))
    let told = ProcessImage.value(of: PressureWatch.variable, in: inherited)
    let watch = noPressureWatch ? [] : PressureWatch.variables(inherited: told, socket: settings.pressureSocket)
    return Preparation(
      library: library, socket: settings.socket, supervisor: supervisor,
      pressureWatch: (watch.first?.value ?? told).map { String(decoding: $0, as: UTF8.self) },
      changes: [
        ("LD_PRELOAD", AgentLibrary.preload(agent: library, existing: existing)), ("MLOS_SOCKET", Array(settings.socket.utf8)),
      ] + watch)
  }

  private func reachSupervisor(
    _ settings: Settings, own: String?, path: String?, environment: [[UInt8]]
  ) throws(Problem) -> RunReport.Supervisor {
    let presence = SupervisorPresence.of(settings)
    switch presence {
    case .ready: return .found
    case .unusable(let error): throw Problem(error.description)
    case .changing, .absent:
      guard !noEmbedded else {
        if verbose { Output.complain("no supervisor listens on \(settings.socket) yet") }
        return .absent
      }
      let candidates = EmbeddedSupervisor.candidates(executable: own, path: path)
      guard let daemon = candidates.first(where: { ProgramSearch.look($0) == .executable }) else {
        throw Problem("no supervisor is reachable on \(settings.socket), and there is no mlosd beside mlos or in PATH")
      }
      let outcome = try EmbeddedSupervisor.start(
        executable: daemon,
        arguments: EmbeddedSupervisor.arguments(
          socket: settings.socket, configuration: connection.config.map(absolutePath), keepAlive: keepAlive),
        socket: settings.socket, environment: environment,
        isReachable: { SupervisorPresence.of(settings) == .ready })
      return outcome == .started ? .started : .found
    }
  }

  /// Executes the program in place of this command.
  private func become(_ executable: [UInt8], _ arguments: [[UInt8]], _ environment: [[UInt8]]) throws(Failure) {
    func execute(_ path: [UInt8], _ arguments: [[UInt8]]) -> Int32 {
      withCStrings(arguments) { arguments in
        withCStrings(environment) { variables in
          withCString(path) { path in
            execve(path, arguments, variables)
            return errno
          }
        }
      }
    }
    var number = execute(executable, arguments)
    // A script without "#!" is the shell's, as with execvp(3).
    let shell = Array("/bin/sh".utf8)
    if number == ENOEXEC { number = execute(shell, [shell, executable] + arguments.dropFirst()) }
    throw Failure(
      status: number == ENOENT ? .programNotFound : .notExecutable,
      message: "'\(printable(executable))': \(String(cString: strerror(number)))")
  }
}
