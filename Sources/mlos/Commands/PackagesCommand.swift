import ArgumentParser
import Client

struct PackagesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "packages", abstract: "List the packages whose libraries and files are in memory.",
    discussion: """
      Example, what of one process belongs to whom:
        mlos packages --pid 4711
      """)

  @Option(help: "Of one process only.", completion: ProcessArgument.completion) var pid: ProcessArgument?
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var rows: MemoryOrderingOptions

  func run() async throws {
    let client = try connection.client()
    try await output.show({ () async throws(ClientError) in try await client.packages(of: pid?.pid) }) {
      PackagesView(answer: $0, pid: pid?.pid, order: rows.sort, ordering: rows.rows.ordering).lines(output.terminal)
    }
  }
}
