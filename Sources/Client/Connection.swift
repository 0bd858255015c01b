import NIOCore
import NIOHTTP1
import NIOPosix

/// One connection that carries one request at a time. Confined to its event loop.
final class ExchangeHandler: ChannelInboundHandler {
  typealias InboundIn = NIOHTTPClientResponseFull

  private enum State {
    case idle
    case waiting(EventLoopPromise<NIOHTTPClientResponseFull>)
    case closed
  }
  private var state = State.idle

  /// The promise is kept whatever happens to the connection.
  func expect(_ promise: EventLoopPromise<NIOHTTPClientResponseFull>) {
    switch state {
    case .idle: state = .waiting(promise)
    case .waiting: promise.fail(ClientError.protocolError("a second request on a busy connection"))
    case .closed: promise.fail(ConnectionEnded())
    }
  }

  func fail(_ error: any Error) {
    if case .waiting(let promise) = state { promise.fail(error) }
    state = .closed
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let response = unwrapInboundIn(data)
    guard case .waiting(let promise) = state else { return context.close(promise: nil) }
    state = .idle
    promise.succeed(response)
    if !response.head.isKeepAlive { context.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    fail(error)
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    fail(ConnectionEnded())
    context.fireChannelInactive()
  }
}

/// The other side hung up before the answer was complete.
struct ConnectionEnded: Error {}

struct Connection: Sendable {
  let channel: any Channel
  private let handler: NIOLoopBound<ExchangeHandler>

  static func open(path: String, limit: Int, timeout: TimeAmount) async throws -> Connection {
    let handlerBox = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(timeout)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
          try channel.pipeline.syncOperations.addHandler(NIOHTTPClientResponseAggregator(maxContentLength: limit))
          try channel.pipeline.syncOperations.addHandler(ExchangeHandler())
        }
      }
      .connect(unixDomainSocketPath: path)
      .flatMapThrowing { channel in
        let handler = try channel.pipeline.syncOperations.handler(type: ExchangeHandler.self)
        return Connection(channel: channel, handler: NIOLoopBound(handler, eventLoop: channel.eventLoop))
      }.get()
    return handlerBox
  }

  /// User id of whoever called listen(2) on the other end, from the kernel.
  func peerUser() async throws -> UInt32 {
    guard let provider = channel as? any SocketOptionProvider else { return .max }
    let peer: PeerCredentials = try await provider.unsafeGetSocketOption(level: .socket, name: .init(rawValue: 17)).get()
    return peer.user
  }

  /// Sends the request and waits for the whole answer, no longer than `timeout`.
  func send(_ head: HTTPRequestHead, body: ByteBuffer?, timeout: TimeAmount) async throws -> NIOHTTPClientResponseFull {
    let loop = channel.eventLoop
    let answer: EventLoopFuture<NIOHTTPClientResponseFull> = loop.flatSubmit {
      let promise = loop.makePromise(of: NIOHTTPClientResponseFull.self)
      handler.value.expect(promise)
      let timer = loop.scheduleTask(in: timeout) {
        handler.value.fail(AnswerOverdue())
        channel.close(promise: nil)
      }
      channel.write(HTTPClientRequestPart.head(head), promise: nil)
      if let body { channel.write(HTTPClientRequestPart.body(.byteBuffer(body)), promise: nil) }
      channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
      return promise.futureResult.always { _ in timer.cancel() }
    }
    return try await answer.get()
  }

  func close() { channel.close(promise: nil) }
}

struct AnswerOverdue: Error {}

/// `struct ucred` of unix(7), SO_PEERCRED (17 on x86-64 and arm64).
private struct PeerCredentials: Sendable {
  var process: Int32 = 0
  var user: UInt32 = 0
  var group: UInt32 = 0
}
