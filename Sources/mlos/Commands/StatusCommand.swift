import ArgumentParser

struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show the supervisor and what it holds.",
    discussion: """
      Example, for a script:
        mlos status --json
      """)

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let client = try connection.client()
    try await output.show(client.status) { StatusView(answer: $0).lines(output.terminal) }
  }
}
