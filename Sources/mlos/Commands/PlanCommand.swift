import ArgumentParser
import Client
import Wire

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

  @Argument(help: ArgumentHelp("Name of a package, or what mlos plan calls a unit.", valueName: "name")) var asked: String
  @Option(help: "In one process only.", completion: ProcessArgument.completion) var pid: ProcessArgument?
  @Flag(help: "Every process, not the first five only.") var all = false
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let client = try connection.client()
    try AskedName.check(asked)
    Output.prepare()
    var isElsewhere = false
    do throws(ClientError) {
      let terminal = output.terminal
      let plan: PlanAnswer
      do throws(ClientError) {
        plan = try await client.plan(name: name).body
      } catch .answered(404, let refusal) {
        // Not in memory now: what was decided about it before may say why.
        let (decided, problem) = try await decisions(client)
        guard let decided, !decided.isEmpty else {
          if let problem { Output.complain("what was decided before is not known: \(problem)") }
          throw .answered(status: 404, refusal)
        }
        guard output.json else {
          Output.print(terminal.wrapped("\(name) is not in memory now", indent: 2) + WhyView.lines(decided, terminal))
          return
        }
        var now = try await client.plan().body
        now.units = []
        try show(WhyListing(now, decisions: decided, pid: nil))
        return
      }
      let (decided, problem) = try await decisions(client)
      guard !output.json else { return try show(WhyListing(plan, decisions: decided, problem: problem, pid: pid?.pid)) }
      Output.print(
        WhyView(answer: plan, pid: pid?.pid, showsAll: all).lines(terminal) + WhyView.lines(decided ?? [], terminal)
          + WhyView.lines(problem: problem, terminal))
      // As for a name that is not there.
      if let pid, !plan.units.contains(where: { $0.pid.value == pid.pid }) { isElsewhere = true }
    } catch {
      throw Failure(error)
    }
    if isElsewhere { throw ExitCode(ExitStatus.notFound.rawValue) }
  }

  /// `heap of python3` is the heap of programs of that name.
  private var name: String { asked.hasPrefix("heap of ") ? String(asked.dropFirst("heap of ".count)) : asked }

  private func show(_ listing: WhyListing) throws(ClientError) {
    let compact: [UInt8]
    do { compact = Array(try Coding.encoder().encode(listing)) } catch { throw .protocolError("\(error)") }
    Output.print([JSONText.indented(compact)])
  }

  /// The last ones of the journal, newest first; nil where none is kept or it cannot be read, and why that is.
  private func decisions(_ client: ControlClient) async throws(ClientError) -> (rows: [DecisionRow]?, problem: String?) {
    do throws(ClientError) {
      return (try await client.decisions(of: name, pid: pid?.pid, limit: WhyView.shown), nil)
    } catch .answered(409, let refusal) {
      return (nil, refusal.error.message)
    }
  }
}
