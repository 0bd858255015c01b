import ArgumentParser

struct CompletionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completion", abstract: "Print the completion script of a shell.",
    discussion: """
      Example, for bash:
        mlos completion bash > ~/.local/share/bash-completion/completions/mlos
      """)

  enum Shell: String, CaseIterable, ExpressibleByArgument { case bash, zsh, fish }

  @Argument(help: "bash, zsh or fish.") var shell: Shell

  func run() {
    Output.prepare()
    let script =
      switch shell {
      case .bash: CommandLineInterface.completionScript(for: .bash)
      case .zsh: CommandLineInterface.completionScript(for: .zsh)
      case .fish: CommandLineInterface.completionScript(for: .fish)
      }
    Output.print([script])
  }
}
