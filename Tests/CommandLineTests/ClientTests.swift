import Foundation
import Glibc
import Testing
import Wire

@testable import Client

@Suite struct ClientTests {
  static let body = "{\"file\":null,\"schema\":\"mlos.config/1\",\"settings\":[]}"

  /// What the client makes of one scripted connection.
  func ask(
    _ replies: ScriptedServer.Reply..., timeout: Duration = .seconds(20), limit: Int = ControlClient.answerLimit
  ) async throws -> Result<ConfigAnswer, ClientError> {
    let server = try await ScriptedServer(replies)
    let client = ControlClient(socketPath: server.path, timeout: timeout, answerLimit: limit)
    let result: Result<ConfigAnswer, ClientError>
    do throws(ClientError) {
      result = .success(try await client.configuration().body)
    } catch {
      result = .failure(error)
    }
    await client.close()
    try await server.stop()
    return result
  }

  @Test("an answer may come in any pieces") func pieces() async throws {
    let whole = ScriptedServer.response(Self.body)
    let expected = ConfigAnswer(file: Known(nil), settings: [])
    #expect(try await ask(.pieces([whole])).get() == expected)
    #expect(try await ask(.pieces(whole.map { String($0) })).get() == expected)
    let chunked =
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
      + Self.body.map { "1\r\n\($0)\r\n" }.joined() + "0\r\n\r\n"
    #expect(try await ask(.pieces([chunked])).get() == expected)
  }

  @Test(
    "what is no answer is told apart from silence",
    arguments: [
      "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{{{", "HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops", "\0\0\0\0\0\0\0\0",
    ])
  func nonsense(text: String) async throws {
    let result = try await ask(.last(text), .last(text))
    guard case .failure(.protocolError) = result else {
      Issue.record("\(result)")
      return
    }
  }

  @Test("a supervisor that ends in the middle is no liar", arguments: ["HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", ""])
  func interrupted(text: String) async throws {
    let result = try await ask(.last(text), .last(text))
    guard case .failure(.interrupted) = result else {
      Issue.record("\(result)")
      return
    }
  }

  @Test("an answer that is too large is not read to its end") func oversized() async throws {
    let result = try await ask(.pieces([ScriptedServer.response(String(repeating: "x", count: 2000))]), limit: 1000)
    #expect(result == .failure(.tooLarge(limit: 1000)))
  }

  @Test("silence ends with the time-out") func silence() async throws {
    let result = try await ask(.silence, timeout: .milliseconds(50))
    guard case .failure(.timeout(_, .milliseconds(50))) = result else {
      Issue.record("\(result)")
      return
    }
  }

  @Test("the supervisor's own error arrives with its status") func refusal() async throws {
    let error = ErrorAnswer(code: "not_found", message: "no such process")
    let json = String(decoding: try Coding.encoder().encode(error), as: UTF8.self)
    let result = try await ask(.pieces([ScriptedServer.response(json, status: "404 Not Found")]))
    #expect(result == .failure(.answered(status: 404, error)))
  }

  @Test("requests are as the API wants them, on one connection") func requests() async throws {
    let events = "{\"schema\":\"mlos.events/1\",\"events\":[],\"next\":9,\"lost\":0}"
    let server = try await ScriptedServer([
      .pieces([ScriptedServer.response(events)]), .pieces([ScriptedServer.response(events)]),
      .pieces([ScriptedServer.response(events, headers: "connection: close\r\n")]), .pieces([ScriptedServer.response("{}")]),
    ])
    let client = ControlClient(socketPath: server.path)
    _ = try await client.events()
    _ = try await client.events(after: 9, limit: 5, wait: .seconds(5), pid: 7)
    _ = try await client.get(["a b", "ü/?"], query: [("q", "&=+ %"), ("none", nil)], as: EventsAnswer.self)
    await #expect(throws: ClientError.self) { _ = try await client.adopt(12) }
    #expect(
      server.requests == [
        "GET /api/v1/events HTTP/1.1", "GET /api/v1/events?after=9&limit=5&wait=5&pid=7 HTTP/1.1",
        "GET /api/v1/a%20b/%C3%BC%2F%3F?q=%26%3D%2B%20%25 HTTP/1.1", "POST /api/v1/adopt HTTP/1.1 {\"pid\":12}",
      ])
    #expect(server.connections == 2)
    await client.close()
    try await server.stop()
  }

  @Test("a kept connection that the supervisor closed is replaced") func staleConnection() async throws {
    let server = try await ScriptedServer([
      .pieces([ScriptedServer.response(Self.body)]), .last(""), .pieces([ScriptedServer.response(Self.body)]),
    ])
    let client = ControlClient(socketPath: server.path)
    _ = try await client.configuration()
    _ = try await client.configuration()
    #expect(server.requests.count == 3)
    #expect(server.connections == 2)
    await client.close()
    try await server.stop()
  }

  @Test("a path without a socket says why") func unreachable() async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "mlos-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    func reason(_ name: String) async -> ClientError? {
      let path = directory.appending(path: name).path(percentEncoded: false)
      do throws(ClientError) {
        _ = try await ControlClient(socketPath: path).configuration()
        return nil
      } catch {
        #expect(SocketCheck.probe(path: path) == error)
        return error
      }
    }
    func path(_ name: String) -> String { directory.appending(path: name).path(percentEncoded: false) }
    #expect(await reason("none") == .notReachable(socket: path("none"), reason: .noSocket))
    try Data().write(to: directory.appending(path: "file"))
    #expect(await reason("file") == .notReachable(socket: path("file"), reason: .notASocket))
    let long = String(repeating: "a", count: 108)
    #expect(await reason(long) == .notReachable(socket: path(long), reason: .pathTooLong))
    bindWithoutListening(path("dead"))
    #expect(await reason("dead") == .notReachable(socket: path("dead"), reason: .refused))
  }

  private func bindWithoutListening(_ path: String) {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    _ = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    close(descriptor)
  }

  @Test(
    "only a socket of root or of the caller is trusted",
    arguments: [
      (0, 1000, nil), (1000, 1000, nil), (1001, 1000, ClientError.untrusted(socket: "s", owner: 1001)),
      (1000, 0, .untrusted(socket: "s", owner: 1000)),
    ]
      as [(UInt32, UInt32, ClientError?)])
  func trust(owner: UInt32, caller: UInt32, expected: ClientError?) {
    #expect(SocketCheck.judge(SocketCheck.Facts(isSocket: true, owner: owner), path: "s", caller: caller) == expected)
  }
}
