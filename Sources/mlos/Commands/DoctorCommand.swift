import ArgumentParser
import Client
import Model
import Wire

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Say what MLOS can use on this machine, and what it cannot.",
    discussion: """
      Example, for a script that needs everything:
        mlos doctor --strict
      """)

  @Flag(help: "End with status 1 when something is missing.") var strict = false
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    Output.prepare()
    let view = DoctorView(findings: await InstallationFindings.collect(connection) + HostFindings.collect(connection))
    if output.json {
      Output.print([try JSONText.indented(Coding.encoder().encode(DoctorReport(findings: view.findings)))])
    } else {
      Output.print(view.lines(output.terminal))
    }
    if strict && view.hasMissing { throw ExitCode(ExitStatus.notFound.rawValue) }
  }
}
