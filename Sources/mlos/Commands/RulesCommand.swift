import ArgumentParser
import Client
import Config
import Wire

struct RulesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules", abstract: "Show the rules in force and how they stand; add, remove, enable and disable them.",
    discussion: """
      Example:
        mlos rules
        mlos rules check torch.yaml
        mlos rules add torch.yaml
        mlos rules disable torch-when-idle
      """,
    subcommands: [List.self, Show.self, Check.self, Add.self, Remove.self, Enable.self, Disable.self],
    defaultSubcommand: List.self)

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the rules in the order in which they are looked at, and how each stands.",
      discussion: """
        Example:
          mlos rules list --json
        """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let client = try connection.client()
      try await output.show({ () async throws(ClientError) in try await client.rules() }) {
        RulesView(answer: $0).lines(output.terminal)
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show one rule: how it stands, where it is from, and its text.",
      discussion: """
        Example:
          mlos rules show torch-when-idle
        """)

    @Argument(help: "As mlos rules lists it.") var name: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let client = try connection.client()
      try AskedName.check(name)
      try await output.show({ () async throws(ClientError) in try await client.rule(name) }) { answer in
        answer.rules.flatMap { RuleView(rule: $0, takenAt: answer.takenAt).lines(output.terminal) }
      }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a file of rules without a supervisor; every mistake with its line and column.",
      discussion: """
        Strategies and rules that it names may also be those of the configuration. Example:
          mlos rules check /etc/mlos/rules.d/torch.yaml
        """)

    @Argument(help: "A YAML file of rules; - is standard input.", completion: .file(extensions: ["yaml", "yml"])) var file: String
    @Flag(help: "Print JSON, with every mistake.") var json = false
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
      Output.prepare()
      // As the supervisor does: rules that cannot be read, or do not fit any more, hold nothing up.
      let settings =
        try (try? connection.settings(changedAtRunTime: true, withAddedRules: true))
        ?? connection.settings(changedAtRunTime: true)
      let label = RulesCommand.label(file)
      let count: Int
      do throws(ConfigErrors) {
        count = try RuleFile.check(try RuleFile.contents(of: file, called: label), path: label, beside: settings)
      } catch {
        if json {
          try Self.show(RulesCheckListing(file: label, rules: nil, mistakes: error.errors))
          throw ExitCode(ExitStatus.configuration.rawValue)
        }
        throw RulesCommand.wrong(error.errors.map { "\($0)" })
      }
      guard json else { return Output.print(["\(label): \(Phrases.count(count, "rule", "rules")), nothing is wrong"]) }
      try Self.show(RulesCheckListing(file: label, rules: count, mistakes: []))
    }
  }

  /// `mlos rules check --json`.
  struct RulesCheckListing: Codable, Equatable {
    struct Mistake: Codable, Equatable {
      var line: Known<Int>
      var column: Known<Int>
      var field: Known<String>
      /// A stable word.
      var mistake: String
      var message: String
    }
    var schema = "mlos.rules-check/1"
    var file: String
    /// Nil when something is wrong.
    var rules: Known<Int>
    var mistakes: [Mistake]

    init(file: String, rules: Int?, mistakes: [ConfigError]) {
      self.file = file
      self.rules = Known(rules)
      self.mistakes = mistakes.map {
        Mistake(
          line: Known($0.line), column: Known($0.column), field: Known($0.field), mistake: $0.code.rawValue, message: $0.message)
      }
    }
  }

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add the rules of a file while the supervisor runs; they hold after a restart too.",
      discussion: """
        All of them or none. One that was added before under the same name gives way. Example:
          mlos rules add torch.yaml
        """)

    @Argument(help: "A YAML file of rules; - is standard input.", completion: .file(extensions: ["yaml", "yml"])) var file: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let client = try connection.client()
      let label = RulesCommand.label(file)
      let bytes: [UInt8]
      do throws(ConfigErrors) { bytes = try RuleFile.contents(of: file, called: label) } catch {
        throw RulesCommand.wrong(error.errors.map { "\($0)" })
      }
      guard let text = String(validating: bytes, as: UTF8.self) else { throw RulesCommand.wrong(["\(label): not UTF-8"]) }
      try await RulesCommand.change(output, "added") { () async throws(ClientError) in
        try await client.addRules(text, from: label)
      }
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove a rule that was added while the supervisor ran.",
      discussion: """
        One of a file is removed there, or disabled. Example:
          mlos rules remove torch-when-idle
        """)

    @Argument(help: "As mlos rules lists it.") var name: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let client = try connection.client()
      try AskedName.check(name)
      try await output.show({ () async throws(ClientError) in try await client.removeRule(name) }) { answer in
        guard let rule = answer.rules.first else { return ["\(name) is removed"] }
        return ["\(name) is removed; the one of \(rule.origin) holds again"]
      }
    }
  }

  struct Enable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Have a rule fire again.",
      discussion: """
        Example:
          mlos rules enable torch-when-idle
        """)

    @Argument(help: "As mlos rules lists it.") var name: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws { try await RulesCommand.turn(name, on: true, connection, output) }
  }

  struct Disable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Keep a rule from firing, wherever it is written.",
      discussion: """
        Example:
          mlos rules disable torch-when-idle
        """)

    @Argument(help: "As mlos rules lists it.") var name: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws { try await RulesCommand.turn(name, on: false, connection, output) }
  }
}

extension RulesCommand.Check {
  fileprivate static func show(_ listing: RulesCommand.RulesCheckListing) throws {
    Output.print([JSONText.indented(Array(try Coding.encoder().encode(listing)))])
  }
}

extension RulesCommand {
  fileprivate static func label(_ file: String) -> String { file == "-" ? "standard input" : file }

  fileprivate static func wrong(_ mistakes: [String]) -> Failure {
    Failure(status: .configuration, message: "the rules are wrong:\n" + mistakes.map { "  \($0)" }.joined(separator: "\n"))
  }

  fileprivate static func turn(_ name: String, on isEnabled: Bool, _ connection: ConnectionOptions, _ output: OutputOptions)
    async throws
  {
    let client = try connection.client()
    try AskedName.check(name)
    try await change(output, isEnabled ? "enabled" : "disabled") { () async throws(ClientError) in
      try await client.turnRule(name, on: isEnabled)
    }
  }

  /// Shows what came of a change; a text that is wrong is not the command line's fault.
  fileprivate static func change(
    _ output: OutputOptions, _ word: String,
    _ request: () async throws(ClientError) -> ControlClient.Answer<RulesAnswer>
  ) async throws {
    Output.prepare()
    do throws(ClientError) {
      let answer = try await request()
      Output.print(
        output.json
          ? [JSONText.indented(answer.json)] : answer.body.rules.map { "\($0.name) is \(word) (\($0.origin))" })
    } catch .answered(422, let answer) where answer.error.details["line"] != nil {
      throw wrong(answer.error.message.split(separator: "\n").map(String.init))
    } catch {
      throw Failure(error)
    }
  }
}
