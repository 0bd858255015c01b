import ArgumentParser
import Client
import Config
import Wire

struct ConfigCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Show the configuration in force.",
    discussion: """
      Example:
        mlos config show --origin
      """,
    subcommands: [Show.self], defaultSubcommand: Show.self)

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
        let answer = ConfigAnswer(settings)
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

extension ConfigAnswer {
  init(_ settings: Settings) {
    self.init(
      file: Known(settings.file),
      settings: settings.rows().map { SettingRow(key: $0.key, value: $0.value, origin: $0.origin, summary: $0.summary) })
  }
}
