import ArgumentParser
import Client
import Glibc
import Wire

struct EventsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "events", abstract: "Show what happened in the watched processes.",
    discussion: """
      With --follow and --json each event is one line. Example, libraries as they come and go:
        mlos events --follow --kind loaded --kind unloaded
      """)

  @Flag(name: .shortAndLong, help: "Go on with what happens from now on, until Ctrl-C.") var follow = false
  @Option(help: "Of one process only.", completion: ProcessArgument.completion) var pid: ProcessArgument?
  @Option(
    help: ArgumentHelp("Of one kind only; may be repeated: \(EventLine.kinds.joined(separator: ", ")).", valueName: "kind"),
    completion: .list(EventLine.kinds))
  var kind: [String] = []
  @Option(help: ArgumentHelp("Show the last N of the history only.", valueName: "n")) var limit: Int?
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  /// How long the supervisor may hold an answer back: two wake-ups a minute when nothing happens.
  private static let wait = Duration.seconds(30)

  func validate() throws {
    for kind in kind where !EventLine.kinds.contains(kind) {
      throw ValidationError("unknown kind '\(kind)'; the kinds are \(EventLine.kinds.joined(separator: ", "))")
    }
    try OrderingOptions.check(limit)
  }

  func run() async throws {
    Output.prepare()
    signal(SIGINT) { _ in _exit(ExitStatus.interrupted.rawValue) }
    let client = try connection.client()
    do throws(ClientError) {
      var history = try await self.history(client)
      history.events = chosen(history.events)
      if let limit { history.events = Array(history.events.suffix(limit)) }
      if output.json && !follow {
        Output.print([try Self.json(history, pretty: true)])
      } else {
        try show(history)
      }
      if follow { Output.endWhenAbandoned() }
      while follow {
        let answer = try await client.events(after: history.next, wait: Self.wait, pid: pid?.pid).body
        history.next = max(history.next, answer.next)
        try show(EventsAnswer(events: chosen(answer.events), next: answer.next, lost: answer.lost))
      }
    } catch {
      throw Failure(error)
    }
  }

  /// Everything the supervisor still has, however many answers it takes.
  private func history(_ client: ControlClient) async throws(ClientError) -> EventsAnswer {
    var all = try await client.events(pid: pid?.pid).body
    // A history that grows faster than it is read must not keep this from ending.
    for _ in 0..<10_000 where !all.events.isEmpty {
      let more = try await client.events(after: all.next, pid: pid?.pid).body
      guard !more.events.isEmpty, more.next > all.next else { break }
      all.events += more.events
      all.next = more.next
      all.lost += more.lost
    }
    return all
  }

  private func chosen(_ events: [EventRow]) -> [EventRow] { kind.isEmpty ? events : events.filter { kind.contains($0.kind) } }

  private func show(_ answer: EventsAnswer) throws(ClientError) {
    if answer.lost > 0 { Output.complain("\(answer.lost) older events are no longer kept") }
    let terminal = output.terminal
    var lines: [String] = []
    for event in answer.events {
      lines.append(
        output.json ? try Self.json(event, pretty: false) : EventLine.text(event, terminal, clock: EventLine.localTime))
    }
    if !lines.isEmpty { Output.print(lines) }
  }

  private static func json(_ value: some Encodable, pretty: Bool) throws(ClientError) -> String {
    do {
      let compact = try Coding.encoder().encode(value)
      return pretty ? JSONText.indented(compact) : String(decoding: compact, as: UTF8.self)
    } catch {
      throw .protocolError("the events cannot be written as JSON: \(error)")
    }
  }
}
