import ArgumentParser
import Client
import Wire

struct AdoptCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adopt", abstract: "Watch a running process that was started without the agent.",
    discussion: """
      Its memory and libraries are read from /proc; heap figures need the agent, that is `mlos run`. Example:
        mlos adopt 4711
      """)

  @Argument(help: "The process.", completion: ProcessArgument.adoptable) var pid: ProcessArgument
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let client = try connection.client()
    try await output.show({ () async throws(ClientError) in try await client.adopt(pid.pid) }) {
      output.terminal.footnote(Self.sentence($0), .plain)
    }
  }

  static func sentence(_ answer: AdoptAnswer) -> String {
    let process = answer.process
    return "\(process.name) (\(process.pid)) is \(answer.isNew ? "now watched" : "watched already"): resident "
      + Phrases.bytes(process.residentBytes)
  }
}
