import ArgumentParser
import Client
import Config
import Model
import Wire

/// Short ways to settings of one package: what `mlos config set unloading.packages.NAME...` does, too.
enum PackageSetting {
  static func key(_ name: String, _ member: String) -> String { "unloading.packages.\(UnitName.written(name)).\(member)" }

  /// Sets a key, or takes back what was set while the supervisor ran; that there was nothing to take back is no failure.
  static func set(
    _ key: String, to value: String?, _ connection: ConnectionOptions, _ output: OutputOptions, saying: String
  ) async throws {
    let client = try connection.client()
    Output.prepare()
    do throws(ClientError) {
      let answer = if let value { try await client.setConfiguration(key, to: value) } else { try await taken(client, key) }
      Output.print(output.json ? [JSONText.indented(answer.json)] : output.terminal.footnote(saying, .plain))
    } catch {
      throw Failure(error)
    }
  }

  private static func taken(_ client: ControlClient, _ key: String) async throws(ClientError)
    -> ControlClient.Answer<ConfigAnswer>
  {
    do throws(ClientError) {
      return try await client.unsetConfiguration(key)
    } catch .answered(404, _) {
      return try await client.configuration()
    }
  }
}

struct StrategyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "strategy", abstract: "Say how long a package, or every package, may be idle before it goes.",
    discussion: """
      aggressive (5 min), balanced (15 min), conservative (30 min), or a strategy of the configuration's; none takes back what
      was set. Holds after a restart. Examples:
        mlos strategy aggressive
        mlos strategy torch conservative
      """)

  @Argument(help: "Package (may be left out), then strategy.") var words: [String] = []
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard words.count == 1 || words.count == 2, words.allSatisfy({ !$0.isEmpty }) else {
      throw ValidationError("give a strategy, or a package and a strategy")
    }
  }

  func run() async throws {
    let strategy = words[words.count - 1]
    let package = words.count == 2 ? words[0] : nil
    let key = package.map { PackageSetting.key($0, "strategy") } ?? "unloading.strategy"
    let whose = package ?? "packages without one of their own"
    try await PackageSetting.set(
      key, to: strategy == "none" ? nil : strategy, connection, output,
      saying: strategy == "none"
        ? "the strategy of \(whose) is the configured one again" : "the strategy of \(whose) is \(strategy)")
  }
}

struct PreferCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prefer", abstract: "Say whether a package may be unloaded.",
    discussion: """
      keep: it stays, whatever happens. unload: it may go early. none takes back what was set. Holds after a restart. Example:
        mlos prefer torch keep
      """)

  enum Choice: String, ExpressibleByArgument, CaseIterable { case keep, unload, none }

  @Argument(help: "The package.") var package: String
  @Argument(help: "keep, unload or none.") var choice: Choice
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    guard !package.isEmpty else { throw Failure(status: .usage, message: "the name is empty") }
    let value: String? =
      switch choice {
      case .keep: "false"
      case .unload: "true"
      case .none: nil
      }
    let saying =
      switch choice {
      case .keep: "\(package) stays in memory"
      case .unload: "\(package) may go early"
      case .none: "\(package) is as every other again"
      }
    try await PackageSetting.set(PackageSetting.key(package, "allow_unload"), to: value, connection, output, saying: saying)
  }
}

struct ProfileCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "Set the supervisor up for one kind of work.",
    discussion: """
      inference: few packages, used often. training: long phases, what was loaded stays. analysis: bursts with pauses. A
      profile sets strategy, threshold, target and unloads per cycle where nothing else does. Holds after a restart. Example:
        mlos profile use inference
      """, subcommands: [Use.self])

  struct Use: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Use a profile, or none.",
      discussion: """
        Example:
          mlos profile use training
        """)

    @Argument(
      help: "inference, training, analysis or none.", completion: .list(["none"] + TaskProfile.allCases.map(\.rawValue)))
    var profile: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      try await PackageSetting.set(
        "unloading.profile", to: profile, connection, output,
        saying: profile == "none" ? "no profile is in use" : "the profile is \(profile)")
    }
  }
}
