import ArgumentParser

struct ProcessesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ps", abstract: "List the watched processes.",
    discussion: """
      Example, the five with the largest heap:
        mlos ps --sort heap --limit 5
      """)

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions
  @Option(help: "Order: resident, private, heap, cpu or pid.") var sort = ProcessOrder.resident
  @OptionGroup var rows: OrderingOptions

  func run() async throws {
    let client = try connection.client()
    try await output.show(client.processes) {
      ProcessesView(answer: $0, order: sort, ordering: rows.ordering).lines(output.terminal)
    }
  }
}
