import NIOCore
import NIOHTTP1
import Wire

/// Gives the answer to what is no HTTP a body as every other error has. The server behind us makes one without, and offers no place
/// to say what it should be: it is known by its status and by having no content, which no answer of ours has.
///
/// Two handlers, since the server takes handlers only where requests have been translated, and the answer is to be changed between
/// that and the encoder.
final class ParserFaultInstaller: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = NIOAny

  func handlerAdded(context: ChannelHandlerContext) {
    let pipeline = context.pipeline.syncOperations
    do {
      try pipeline.addHandler(ParserFault(), position: .after(pipeline.handler(type: HTTPResponseEncoder.self)))
    } catch {
      context.fireErrorCaught(error)
    }
  }
}

private final class ParserFault: ChannelOutboundHandler {
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private static let answer = ErrorAnswer(
    code: "invalid_request", message: "this is not a request of HTTP/1.1, or its head is too large")
  /// The head of such an answer has passed; its end has not.
  private var body: ByteBuffer?

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head) where head.status == .badRequest && head.headers["content-length"] == ["0"]:
      guard let bytes = try? StreamingEncoder.encode(Self.answer) else { break }
      let content = ByteBuffer(bytes: bytes + [UInt8(ascii: "\n")])
      head.headers.replaceOrAdd(name: "content-length", value: "\(content.readableBytes)")
      head.headers.replaceOrAdd(name: "content-type", value: "application/json; charset=utf-8")
      body = content
      context.write(wrapOutboundOut(.head(head)), promise: promise)
      return
    case .end:
      guard let content = body else { break }
      body = nil
      context.write(wrapOutboundOut(.body(.byteBuffer(content))), promise: nil)
    case .head, .body: break
    }
    context.write(data, promise: promise)
  }
}
