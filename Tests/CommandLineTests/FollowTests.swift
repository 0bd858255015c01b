import Foundation
import Testing
import Wire

@testable import mlos

@Suite struct FollowTests {
  static func events(_ numbers: ClosedRange<UInt64>?, next: UInt64, lost: UInt64 = 0) throws -> ScriptedServer.Reply {
    let rows = (numbers.map { Array($0) } ?? []).map {
      EventRow(
        sequence: $0, at: 0, pid: 1, processName: "p", kind: $0 % 2 == 0 ? "loaded" : "dlopen", thread: Known(nil),
        subject: Known("s\($0)"), package: Known(nil), detail: Known(nil))
    }
    let json = try Coding.encoder().encode(EventsAnswer(events: rows, next: next, lost: lost))
    return .pieces([ScriptedServer.response(String(decoding: json, as: UTF8.self))])
  }

  private func follow(
    _ replies: [ScriptedServer.Reply], _ arguments: String..., whenOutput: @escaping (Process, FileHandle) -> Void
  ) async throws -> (outcome: InstalledCommand.Outcome, requests: [String]) {
    let command = try InstalledCommand()
    defer { command.remove() }
    let server = try await ScriptedServer(replies)
    let socket = URL(filePath: server.path).deletingLastPathComponent().appending(path: "agent.sock").path(percentEncoded: false)
    let process = try command.run(["events", "--socket", socket] + arguments, whenOutput: whenOutput)
    let requests = server.requests
    try await server.stop()
    return (process, requests)
  }

  @Test("Ctrl-C ends it with 130, and each event was one line of JSON") func interrupted() async throws {
    let (outcome, requests) = try await follow(
      [try Self.events(1...2, next: 2), try Self.events(nil, next: 2), .silence], "--follow", "--json"
    ) { process, _ in process.interrupt() }
    #expect(outcome.status == 130)
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 2)
    #expect(try Coding.decoder().decode(EventRow.self, from: Data(lines[0].utf8)).sequence == 1)
    #expect(requests.prefix(2) == ["GET /api/v1/events HTTP/1.1", "GET /api/v1/events?after=2 HTTP/1.1"])
  }

  @Test("a pipe that nobody reads any more ends it without a word") func closedPipe() async throws {
    let (outcome, _) = try await follow(
      [
        try Self.events(1...2, next: 2), try Self.events(nil, next: 2), try Self.events(3...3, next: 3),
        try Self.events(4...4, next: 4),
      ],
      "--follow"
    ) { _, output in try? output.close() }
    #expect(outcome.status == 0)
    #expect(outcome.errors == "")
  }

  @Test("the whole history in one answer, filtered, with what was lost") func history() async throws {
    let command = try InstalledCommand()
    defer { command.remove() }
    let server = try await ScriptedServer([
      try Self.events(5...8, next: 8, lost: 4), try Self.events(9...10, next: 10), try Self.events(nil, next: 10),
    ])
    let socket = URL(filePath: server.path).deletingLastPathComponent().appending(path: "agent.sock").path(percentEncoded: false)
    let outcome = try command.run("events", "--socket", socket, "--json", "--kind", "loaded", "--limit", "2", "--pid", "1")
    let answer = try Coding.decoder().decode(EventsAnswer.self, from: Data(outcome.output.utf8))
    #expect(answer.events.map(\.sequence) == [8, 10])
    #expect(answer.lost == 4)
    #expect(answer.next == 10)
    #expect(server.requests.first == "GET /api/v1/events?pid=1 HTTP/1.1")
    try await server.stop()
  }

  @Test("a supervisor that breaks off ends it with 3") func supervisorGone() async throws {
    let (outcome, _) = try await follow([try Self.events(nil, next: 0), .last(""), .last("")], "--follow") { _, _ in }
    #expect(outcome.status == 3)
  }
}
