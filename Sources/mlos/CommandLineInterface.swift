import ArgumentParser
import Wire

/// The root: `mlos`.
struct CommandLineInterface: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mlos",
    abstract: "See what memory running programs hold, and have them give back what they do not use.",
    discussion: """
      Start a program with `mlos run`, or let a running supervisor adopt one; then look at it:

        mlos run -- python3 serve.py
        mlos ps
        mlos packages --pid 4711

      Exit status:
      \(ExitStatus.table)
      """,
    version: "mlos \(Release.version)",
    subcommands: [
      RunCommand.self, TopCommand.self, ProcessesCommand.self, ModulesCommand.self, PackagesCommand.self, HeapCommand.self,
      UnloadCommand.self, TrimCommand.self, CollectCommand.self, StrategyCommand.self, PreferCommand.self,
      ProfileCommand.self, PlanCommand.self, WhyCommand.self,
      RecommendationsCommand.self, HistoryCommand.self, ExportCommand.self, RecordCommand.self, SimulateCommand.self,
      EventsCommand.self, AdoptCommand.self, StatusCommand.self, ConfigCommand.self, RulesCommand.self,
      DoctorCommand.self, CompletionCommand.self,
    ])
}
