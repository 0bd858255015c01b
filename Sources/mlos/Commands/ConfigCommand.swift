import ArgumentParser
import Client
import Config
import Wire

struct ConfigCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Show the configuration in force, and change it while the supervisor runs.",
    discussion: """
      Example:
        mlos config show --origin
        mlos config set unloading.strategy aggressive
      """,
    subcommands: [Show.self, Set.self, Unset.self], defaultSubcommand: Show.self)

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show every setting.",
      discussion: """
        Asks the supervisor; without one, shows what a supervisor started now would use. Example:
          mlos config show --origin
        """)

    @Flag(help: "Show where each value comes from.") var origin = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      Output.prepare()
      let settings = try connection.settings()
      let client = ControlClient(socketPath: settings.controlSocket)
      do throws(ClientError) {
        let answer = try await client.configuration()
        show(answer.body, json: answer.json)
      } catch .notReachable(_, let reason) where reason == .noSocket || reason == .refused {
        Output.complain("no supervisor is reachable; this is what one started now would use")
        let answer = ConfigAnswer(try connection.settings(changedAtRunTime: true))
        show(answer, json: Array(try Coding.encoder().encode(answer)))
      } catch {
        throw Failure(error)
      }
    }

    private func show(_ answer: ConfigAnswer, json: [UInt8]) {
      let lines = ConfigView(answer: answer, showsOrigin: origin).lines(output.terminal)
      Output.print(output.json ? [JSONText.indented(json)] : lines)
    }
  }
}

extension ConfigCommand {
  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change a setting while the supervisor runs; it holds after a restart too.",
      discussion: """
        Wins over the file and the environment. Example:
          mlos config set unloading.balanced_timeout 10m
        """)

    @Argument(help: "Dotted, as mlos config show lists it.", completion: .list(ConfigCommand.keys)) var key: String
    @Argument(help: "As the file would have it.") var value: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let client = try connection.client()
      try ConfigCommand.check(key)
      try await output.show({ () async throws(ClientError) in try await client.setConfiguration(key, to: value) }) {
        ConfigCommand.lines($0, key)
      }
    }
  }

  struct Unset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take back what was set while the supervisor ran.",
      discussion: """
        The file, the environment or the default say again what holds. Example:
          mlos config unset unloading.balanced_timeout
        """)

    @Argument(help: "Dotted, as mlos config show lists it.", completion: .list(ConfigCommand.keys)) var key: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let client = try connection.client()
      try ConfigCommand.check(key)
      try await output.show({ () async throws(ClientError) in try await client.unsetConfiguration(key) }) {
        ConfigCommand.lines($0, key)
      }
    }
  }

  /// What may change while a supervisor runs.
  static var keys: [String] { SettingKeys.all.filter(\.isReloadable).map(\.name) }

  fileprivate static func check(_ key: String) throws {
    if key.isEmpty { throw Failure(status: .usage, message: "the key is empty") }
  }

  fileprivate static func lines(_ answer: ConfigAnswer, _ key: String) -> [String] {
    guard !answer.settings.isEmpty else { return ["\(key) is not set"] }
    return answer.settings.map { "\($0.key) is \($0.value.isEmpty ? "\"\"" : $0.value) (\($0.origin))" }
  }
}

extension ConfigAnswer {
  init(_ settings: Settings) {
    self.init(
      file: Known(settings.file),
      settings: settings.rows().map { SettingRow(key: $0.key, value: $0.value, origin: $0.origin, summary: $0.summary) })
  }
}
