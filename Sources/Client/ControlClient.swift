import FoundationEssentials
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Wire

/// Talks to a supervisor over its control socket: HTTP/1.1 with JSON. The connection is kept for the next request.
public actor ControlClient {
  /// 64 MiB: every module of a thousand processes is a tenth of it.
  public static let answerLimit = 64 << 20

  /// The control socket.
  public let socketPath: String
  private let timeout: Duration
  private let answerLimit: Int
  private var idle: Connection?

  /// - Parameters:
  ///   - socketPath: The control socket.
  ///   - timeout: For connecting and for every answer, on top of what a request asks the supervisor to wait.
  ///   - answerLimit: Largest answer read, in bytes.
  public init(socketPath: String, timeout: Duration = .seconds(10), answerLimit: Int = ControlClient.answerLimit) {
    self.socketPath = socketPath
    self.timeout = timeout
    self.answerLimit = answerLimit
  }

  /// An answer and the bytes it was read from.
  public struct Answer<Body: Sendable>: Sendable {
    /// Decoded.
    public var body: Body
    /// The JSON as the supervisor sent it.
    public var json: [UInt8]
  }

  /// Asks for a resource.
  ///
  /// - Parameters:
  ///   - path: Segments after `/api/v1`, not encoded.
  ///   - wait: How long the supervisor was asked to wait before it answers.
  public func get<Body: Decodable & Sendable>(
    _ path: [String], query: [(name: String, value: String?)] = [], wait: Duration = .zero, as type: Body.Type = Body.self
  ) async throws(ClientError) -> Answer<Body> {
    try decode(try await exchange(.GET, RequestTarget.compose(["api", "v1"] + path, query: query), body: nil, wait: wait))
  }

  /// Asks for a change; never repeated by itself.
  public func post<Body: Decodable & Sendable>(
    _ path: [String], body: some Encodable & Sendable, wait: Duration = .zero, as type: Body.Type = Body.self
  ) async throws(ClientError) -> Answer<Body> {
    try await send(.POST, path, body: body, wait: wait)
  }

  /// Puts something in the place of what is there; never repeated by itself.
  public func put<Body: Decodable & Sendable>(
    _ path: [String], body: some Encodable & Sendable, as type: Body.Type = Body.self
  ) async throws(ClientError) -> Answer<Body> { try await send(.PUT, path, body: body, wait: .zero) }

  /// Takes something away; never repeated by itself.
  public func delete<Body: Decodable & Sendable>(
    _ path: [String], as type: Body.Type = Body.self
  ) async throws(ClientError) -> Answer<Body> {
    try decode(try await exchange(.DELETE, RequestTarget.compose(["api", "v1"] + path), body: nil, wait: .zero))
  }

  private func send<Body: Decodable & Sendable>(
    _ method: HTTPMethod, _ path: [String], body: some Encodable & Sendable, wait: Duration
  ) async throws(ClientError) -> Answer<Body> {
    let json: Data
    do { json = try Coding.encoder().encode(body) } catch { throw .protocolError("the request cannot be encoded: \(error)") }
    return try decode(
      try await exchange(method, RequestTarget.compose(["api", "v1"] + path), body: ByteBuffer(bytes: json), wait: wait))
  }

  /// Closes the connection that is kept.
  public func close() {
    idle?.close()
    idle = nil
  }

  private func decode<Body: Decodable & Sendable>(_ response: NIOHTTPClientResponseFull) throws(ClientError) -> Answer<Body> {
    let bytes = response.body.map { Array($0.readableBytesView) } ?? []
    let status = Int(response.head.status.code)
    guard (200..<300).contains(status) else {
      guard let answer = try? Coding.decoder().decode(ErrorAnswer.self, from: Data(bytes)) else {
        throw .protocolError("status \(status) without an error in its body")
      }
      throw .answered(status: status, answer)
    }
    do {
      return Answer(body: try Coding.decoder().decode(Body.self, from: Data(bytes)), json: bytes)
    } catch let error as DecodingError {
      throw .protocolError(words(for: error))
    } catch {
      throw .protocolError("\(error)")
    }
  }

  private func exchange(
    _ method: HTTPMethod, _ target: String, body: ByteBuffer?, wait: Duration
  ) async throws(ClientError) -> NIOHTTPClientResponseFull {
    var head = HTTPRequestHead(version: .http1_1, method: method, uri: target)
    head.headers = ["host": "localhost", "accept": "application/json", "user-agent": "mlos/\(Release.version)"]
    if let body {
      head.headers.add(name: "content-type", value: "application/json")
      head.headers.add(name: "content-length", value: "\(body.readableBytes)")
    }
    let limit = timeout + wait
    // Taken, not borrowed: a second request meanwhile opens a connection of its own.
    if let kept = idle, kept.channel.isActive {
      idle = nil
      do {
        return try await send(head, body, on: kept, limit: limit)
      } catch is ConnectionEnded where method == .GET {
        // The supervisor closed the kept connection just then; a fresh one decides.
      } catch {
        throw translate(error, limit: limit)
      }
    }
    do {
      return try await send(head, body, on: try await connect(), limit: limit)
    } catch {
      throw translate(error, limit: limit)
    }
  }

  private func send(
    _ head: HTTPRequestHead, _ body: ByteBuffer?, on connection: Connection, limit: Duration
  ) async throws -> NIOHTTPClientResponseFull {
    let response = try await connection.send(head, body: body, timeout: TimeAmount(limit))
    if response.head.isKeepAlive, idle == nil { idle = connection } else { connection.close() }
    return response
  }

  private func connect() async throws -> Connection {
    if let error = SocketCheck.check(path: socketPath) { throw error }
    let connection = try await Connection.open(path: socketPath, limit: answerLimit, timeout: TimeAmount(timeout))
    // The path may have changed hands since it was looked at; the kernel knows who really listens.
    let user: UInt32
    do { user = try await connection.peerUser() } catch {
      connection.close()
      throw error
    }
    guard SocketCheck.isTrusted(user, caller: geteuid()) else {
      connection.close()
      throw ClientError.untrusted(socket: socketPath, owner: user)
    }
    return connection
  }

  private func translate(_ error: any Error, limit: Duration) -> ClientError {
    switch error {
    case let error as ClientError: error
    case is AnswerOverdue: .timeout(socket: socketPath, after: limit)
    case ChannelError.connectTimeout: .timeout(socket: socketPath, after: timeout)
    case is ConnectionEnded: .interrupted(socket: socketPath)
    case let error as HTTPParserError where error == .invalidEOFState: .interrupted(socket: socketPath)
    case let error as NIOHTTPObjectAggregatorError where error == .frameTooLong: .tooLarge(limit: answerLimit)
    case let error as HTTPParserError: .protocolError("no HTTP: \(error)")
    case let error as IOError: .notReachable(socket: socketPath, reason: SocketCheck.reason(errno: error.errnoCode))
    default: .protocolError("\(error)")
    }
  }

  private func words(for error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, let context): "'\(key.stringValue)' is missing in \(place(context))"
    case .typeMismatch(_, let context), .valueNotFound(_, let context): "a value of another type at \(place(context))"
    case .dataCorrupted(let context): "bad JSON at \(place(context))"
    @unknown default: "\(error)"
    }
  }

  private func place(_ context: DecodingError.Context) -> String {
    context.codingPath.isEmpty ? "the top" : context.codingPath.map(\.stringValue).joined(separator: ".")
  }
}
