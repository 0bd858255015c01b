import ArgumentParser
import Client

struct RecommendationsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recommendations", abstract: "Say what could be changed, and from which figures. Measures for some seconds.",
    discussion: """
      Unloads of the last day, threads that wait for a processor, heap that is free but in memory, and content that several
      processes hold. Nothing is changed. Example:
        mlos recommendations --pid 4711
      """)

  @Option(help: "About one process only.", completion: ProcessArgument.completion) var pid: ProcessArgument?
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let client = try connection.client()
    try await output.show({ () async throws(ClientError) in try await client.recommendations(pid: pid?.pid) }) {
      RecommendationsView(answer: $0, isOfOne: pid != nil).lines(output.terminal)
    }
  }
}
