import ArgumentParser
import Client

struct ModulesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "modules", abstract: "List the shared libraries of a process.",
    discussion: """
      Example, those that were used last, first:
        mlos modules 4711 --sort used
      """)

  @Argument(help: "The process.", completion: ProcessArgument.completion) var pid: ProcessArgument
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var rows: MemoryOrderingOptions

  func run() async throws {
    let client = try connection.client()
    try await output.show({ () async throws(ClientError) in try await client.modules(of: pid.pid) }) {
      ModulesView(answer: $0, order: rows.sort, ordering: rows.rows.ordering).lines(output.terminal)
    }
  }
}
