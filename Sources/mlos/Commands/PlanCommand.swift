import ArgumentParser
import Client

struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Show what would be unloaded now, in which order and why. Touches nothing.",
    discussion: """
      Example, with everything that stays and the reason for each:
        mlos plan --all
      """)

  @Flag(help: "List what stays, too.") var all = false
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let client = try connection.client()
    try await output.show({ () async throws(ClientError) in try await client.plan() }) {
      PlanView(answer: $0, showsAll: all).lines(output.terminal)
    }
  }
}

struct WhyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "why", abstract: "Say what is decided about a package, from which numbers, and what would change it.",
    discussion: """
      Example:
        mlos why numpy
      """)

  @Argument(help: "Name of a package, as mlos packages lists it.") var name: String
  @Option(help: "In one process only.", completion: ProcessArgument.completion) var pid: ProcessArgument?
  @Flag(help: "Every process, not the first five only.") var all = false
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let client = try connection.client()
    guard !name.isEmpty else { throw Failure(status: .usage, message: "the name is empty") }
    try await output.show({ () async throws(ClientError) in try await client.plan(name: name) }) {
      WhyView(answer: $0, pid: pid?.pid, showsAll: all).lines(output.terminal)
    }
  }
}
