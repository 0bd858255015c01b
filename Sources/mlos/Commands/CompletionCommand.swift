import ArgumentParser
import Wire

struct CompletionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completion", abstract: "Print the completion script of a shell.",
    discussion: """
      Example, for bash:
        mlos completion bash > ~/.local/share/bash-completion/completions/mlos
      """)

  enum Shell: String, CaseIterable, ExpressibleByArgument { case bash, zsh, fish }

  @Argument(help: "bash, zsh or fish.") var shell: Shell
  @Flag(name: .long, help: "Print the script as a JSON string with its shell.") var json = false

  func run() throws {
    Output.prepare()
    let script =
      switch shell {
      case .bash: CompletionScript.text(for: .bash)
      case .zsh: CompletionScript.text(for: .zsh)
      case .fish: CompletionScript.text(for: .fish)
      }
    Output.print([
      json ? try JSONText.indented(Coding.encoder().encode(CompletionReport(shell: shell.rawValue, script: script))) : script
    ])
  }
}

/// `mlos completion SHELL --json`.
struct CompletionReport: Codable, Hashable {
  static let schema = "mlos.completion/1"
  var schema = CompletionReport.schema
  var shell: String
  var script: String
}
