import ArgumentParser
import Config
import Glibc
import LinuxPlatform
import Logging
import Wire
import Supervisor

/// The supervisor's command line.
struct Daemon: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mlosd",
    abstract: "Watches the processes that run with libmlosagent.so and those that are adopted; answers mlos.",
    discussion: """
      Listens for agents on the socket (default: /run/mlos/agent.sock for root, $XDG_RUNTIME_DIR/mlos/agent.sock for others) and \
      for the control API on control.sock beside it.

      Signals: SIGTERM and SIGINT end it cleanly, SIGHUP reads the configuration again and opens the log file anew.
      Exit status: 0 after a clean end, 1 when it cannot start, 64 for a wrong command line.

      Example: mlosd --socket /tmp/try/agent.sock --log-level debug
      """,
    version: "mlosd \(Release.version)")

  @Option(help: ArgumentHelp("Path of the agents' socket.", valueName: "path")) var socket: String?
  @Option(help: ArgumentHelp("Configuration file; must exist when given.", valueName: "file")) var config: String?
  @Option(
    help: ArgumentHelp("Least level that is logged: trace, debug, info, notice, warning, error, critical.", valueName: "level"))
  var logLevel: String?
  @Option(help: ArgumentHelp("File for the log instead of standard error.", valueName: "file")) var logFile: String?
  @Flag(help: "Check the configuration, print what is in force, and end.") var checkConfig = false
  @Flag(help: "End when the last watched process has gone (what mlos run starts).") var ephemeral = false
  @Option(help: ArgumentHelp("Write one byte 1 to this descriptor when ready, then close it.", valueName: "number")) var readyFd:
    Int32?

  /// As the library's own, but what a full disk did not take of the help is an error.
  static func main() async {
    do {
      let command = try parse()
      try await command.run()
    } catch {
      if exitCode(for: error).isSuccess {
        Self.print(fullMessage(for: error))
        Glibc.exit(0)
      }
      exit(withError: error)
    }
  }

  func run() async throws {
    let paths = RuntimePaths.current(environment: environmentVariables())
    // A state folder out of reach, as with the HOME of another user, holds nothing of this one's.
    let isOutOfReach = access(paths.stateDirectory, F_OK) != 0 && errno == EACCES
    let sources = ConfigurationSources(
      option: config, overrides: overrides, environment: environmentVariables(), paths: paths,
      keepsChanges: !ephemeral && !isOutOfReach)
    do {
      let changes = try sources.changesFile?.read() ?? RuntimeChanges()
      let (stored, settings) = try Self.load(sources, changes)
      if checkConfig {
        if let problem = stored.problem { Self.complain(StoredRules.words(problem)) }
        Self.print(settings.rows().map { "\($0.key) = \($0.value)  # \($0.origin)" }.joined(separator: "\n"))
        return
      }
      let service = try DaemonService(
        settings: settings, changes: changes, stored: stored, sources: sources, isEphemeral: ephemeral, readyDescriptor: readyFd)
      try await service.run()
    } catch let error as ConfigErrors {
      Self.fail(error.description)
    } catch let error as StartError {
      Self.fail(error.description)
    }
  }

  /// With what was changed at run time or, where that does not go with the files any more, without: the machine is better off
  /// with a supervisor that says so than with none. What was changed stays in its file, to be unset.
  private static func load(
    _ sources: ConfigurationSources, _ changes: RuntimeChanges
  ) throws(ConfigErrors) -> (stored: StoredRules, settings: Settings) {
    do throws(ConfigErrors) {
      return try StoredRules.load(sources, changes)
    } catch {
      guard changes != RuntimeChanges(), let without = try? StoredRules.load(sources, RuntimeChanges()) else { throw error }
      complain(
        "settings that were changed at run time are not in force, for they do not go with the configuration any more: "
          + error.errors.map { "\($0)" }.joined(separator: "; ")
          + ". Change the configuration, or take a change back: mlos config unset KEY "
          + "(they are kept in \(sources.changesFile?.path ?? "memory"))")
      return without
    }
  }

  private var overrides: [SettingOverride] {
    var all: [SettingOverride] = []
    if let socket { all.append(SettingOverride(key: "socket", value: socket, option: "--socket")) }
    if let logLevel { all.append(SettingOverride(key: "log.level", value: logLevel, option: "--log-level")) }
    if let logFile { all.append(SettingOverride(key: "log.file", value: logFile, option: "--log-file")) }
    return all
  }

  private static func print(_ text: String) {
    var rest = Array("\(text)\n".utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      guard count >= 0 || errno == EINTR else {
        fail("cannot write: \(String(cString: strerror(errno)))")
      }
      rest = rest.dropFirst(max(count, 0))
    }
  }

  static func fail(_ text: String) -> Never {
    complain(text)
    Glibc.exit(1)
  }

  private static func complain(_ text: String) {
    let lines = Array(text.split(separator: "\n").map { "mlosd: \($0)\n" }.joined().utf8)
    _ = write(STDERR_FILENO, lines, lines.count)
  }
}

/// Where the configuration comes from, kept for SIGHUP.
struct ConfigurationSources: Sendable {
  var option: String?
  var overrides: [SettingOverride]
  var environment: [String: String]
  var paths: RuntimePaths
  /// Whether what is changed at run time outlives the supervisor.
  var keepsChanges: Bool

  /// Where that is kept.
  var changesFile: RuntimeChangesFile? { keepsChanges ? RuntimeChangesFile(stateDirectory: paths.stateDirectory) : nil }
  var rulesFile: RuntimeRulesFile? { keepsChanges ? RuntimeRulesFile(stateDirectory: paths.stateDirectory) : nil }

  func load(_ changes: RuntimeChanges, _ rules: RuntimeRules) throws(ConfigErrors) -> Settings {
    let (file, isRequired) = paths.chosenFile(option: option, environment: environment)
    return try Settings.load(
      file: file, required: isRequired, environment: environment, overrides: overrides, runtime: changes, rules: rules,
      paths: paths)
  }
}

func environmentVariables() -> [String: String] {
  var variables: [String: String] = [:]
  var entry = environ
  while let pointer = entry.pointee {
    let text = String(cString: pointer)
    if let equals = text.firstIndex(of: "=") { variables[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
    entry += 1
  }
  return variables
}
