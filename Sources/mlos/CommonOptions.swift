import ArgumentParser
import Client
import Config
import FoundationEssentials
import Glibc

/// Which supervisor.
struct ConnectionOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Socket of the agents; the control socket is beside it. (environment: MLOS_SOCKET)", valueName: "path"),
    completion: .file())
  var socket: String?

  @Option(
    name: .long, help: ArgumentHelp("Configuration file. (environment: MLOS_CONFIG)", valueName: "path"),
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  /// What a supervisor started now by this user would use.
  ///
  /// - Parameters:
  ///   - changedAtRunTime: With settings that were changed while a supervisor ran.
  ///   - withAddedRules: With rules that were.
  func settings(
    environment: [String: String] = ProcessInfo.processInfo.environment, changedAtRunTime: Bool = false,
    withAddedRules: Bool = false
  ) throws -> Settings {
    let paths = RuntimePaths.current(environment: environment)
    let file = paths.chosenFile(option: config.map(absolutePath), environment: environment)
    for (option, value) in [("--socket", socket), ("--config", config)] where value == "" {
      throw Failure(status: .usage, message: "\(option) is empty")
    }
    let overrides = socket.map { [SettingOverride(key: "socket", value: absolutePath($0), option: "--socket")] } ?? []
    do throws(ConfigErrors) {
      let changes = changedAtRunTime ? try RuntimeChangesFile(stateDirectory: paths.stateDirectory).read() : RuntimeChanges()
      let rules = withAddedRules ? try RuntimeRulesFile(stateDirectory: paths.stateDirectory).read() : RuntimeRules()
      return try Settings.load(
        file: absolutePath(file.path), required: file.isRequired, environment: environment, overrides: overrides,
        runtime: changes, rules: rules, paths: paths)
    } catch {
      throw Failure(error)
    }
  }

  func client() throws -> ControlClient { ControlClient(socketPath: try settings().controlSocket) }
}

/// How answers are shown.
struct OutputOptions: ParsableArguments {
  @Flag(name: .long, help: "Print the API's JSON.")
  var json = false

  @Flag(name: .customLong("no-color"), help: "Print without colours. (environment: NO_COLOR)")
  var noColour = false

  var terminal: Terminal { .current(environment: ProcessInfo.processInfo.environment, noColour: noColour) }

  /// The answer of one request, as JSON or as `lines` show it.
  func show<Body: Sendable>(
    _ request: () async throws(ClientError) -> ControlClient.Answer<Body>, lines: (Body) -> [String]
  ) async throws {
    Output.prepare()
    do throws(ClientError) {
      let answer = try await request()
      Output.print(json ? [JSONText.indented(answer.json)] : lines(answer.body))
    } catch {
      throw Failure(error)
    }
  }
}

/// `--reverse` and `--limit`.
struct OrderingOptions: ParsableArguments {
  @Flag(name: .long, help: "Turn the order around.")
  var reverse = false

  @Option(name: .long, help: ArgumentHelp("Show the first N rows only; the totals are over all.", valueName: "n"))
  var limit: Int?

  func validate() throws { try Self.check(limit) }

  /// One rule for all commands.
  static func check(_ limit: Int?) throws {
    if let limit, limit < 1 { throw ValidationError("--limit must be at least 1, not \(limit)") }
  }

  var ordering: Ordering { Ordering(isReversed: reverse, limit: limit) }
}

/// Rows that have memory figures.
struct MemoryOrderingOptions: ParsableArguments {
  @Option(help: "Order: resident, private, proportional, used or name.") var sort = MemoryOrder.resident
  @OptionGroup var rows: OrderingOptions
}

/// A process ID as an argument.
struct ProcessArgument: ExpressibleByArgument {
  var pid: Int32

  init?(argument: String) {
    guard let pid = Int32(argument), pid > 0 else { return nil }
    self.pid = pid
  }

  /// Processes this user can see that have the agent mapped.
  static var completion: CompletionKind { .custom { _, _, _ in WatchedProcesses.identifiers(withAgent: true).map(String.init) } }

  /// Those whose memory this user can look into, and that have not.
  static var adoptable: CompletionKind { .custom { _, _, _ in WatchedProcesses.identifiers(withAgent: false).map(String.init) } }
}

/// A name that is asked for.
enum AskedName {
  /// A path's longest: no unit and no rule has a longer name.
  static let limit = 4096

  /// Before it goes into a request, whose head has a limit of its own that says nothing of a name.
  static func check(_ name: String) throws {
    if name.isEmpty { throw Failure(status: .usage, message: "the name is empty") }
    let bytes = name.utf8.count
    if bytes > limit { throw Failure(status: .usage, message: "the name has \(bytes) bytes; none is longer than \(limit)") }
  }
}

/// Relative to the current directory.
func absolutePath(_ path: String) -> String { String(decoding: absolutePath(Array(path.utf8)), as: UTF8.self) }

/// The same for a path that need not be UTF-8. The empty one stays what it is.
func absolutePath(_ path: [UInt8]) -> [UInt8] {
  let slash = UInt8(ascii: "/")
  guard let first = path.first, first != slash, let directory = getcwd(nil, 0) else { return path }
  defer { free(directory) }
  return UnsafeRawBufferPointer(start: directory, count: strlen(directory)) + [slash] + path
}
