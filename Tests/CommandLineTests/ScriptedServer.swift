import Foundation
import NIOCore
import NIOPosix

/// A server on a Unix socket that answers each request with the next bytes of its script, whatever was asked.
final class ScriptedServer: Sendable {
  enum Reply: Sendable {
    /// Written one after another, each flushed by itself.
    case pieces([String])
    /// Written, then the connection is closed.
    case last(String)
    case silence
  }

  let path: String
  private let channel: any Channel
  private let state: Script

  init(_ replies: [Reply]) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "mlos-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    path = directory.appending(path: "control.sock").path(percentEncoded: false)
    let state = Script(replies)
    self.state = state
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Answering(state)) }
      }
      .bind(unixDomainSocketPath: path).get()
  }

  /// First lines and bodies of the requests so far.
  var requests: [String] { state.requests }
  /// How many connections were accepted.
  var connections: Int { state.connections }

  func stop() async throws {
    try await channel.close()
    try? FileManager.default.removeItem(at: URL(filePath: path).deletingLastPathComponent())
  }

  /// A whole response with a JSON body.
  static func response(_ body: String, status: String = "200 OK", headers: String = "") -> String {
    "HTTP/1.1 \(status)\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
  }
}

/// Guarded by its lock.
private final class Script: @unchecked Sendable {
  private let lock = NSLock()
  private var replies: [ScriptedServer.Reply]
  private var seen: [String] = []
  private var accepted = 0

  init(_ replies: [ScriptedServer.Reply]) { self.replies = replies }
  var requests: [String] { lock.withLock { seen } }
  var connections: Int { lock.withLock { accepted } }
  func accept() { lock.withLock { accepted += 1 } }
  func next(_ request: String) -> ScriptedServer.Reply {
    lock.withLock {
      seen.append(request)
      return replies.isEmpty ? .silence : replies.removeFirst()
    }
  }
}

private final class Answering: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  private let script: Script
  private var received = ""

  init(_ script: Script) { self.script = script }

  func channelActive(context: ChannelHandlerContext) { script.accept() }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    received += String(buffer: unwrapInboundIn(data))
    guard let end = received.range(of: "\r\n\r\n") else { return }
    let head = received[..<end.lowerBound]
    let body = received[end.upperBound...]
    let length =
      head.lowercased().split(separator: "\r\n").first { $0.hasPrefix("content-length: ") }
      .flatMap { Int($0.dropFirst(16)) } ?? 0
    guard body.utf8.count >= length else { return }
    let line = head.prefix { $0 != "\r\n" && $0 != "\r" }
    received = ""
    switch script.next(line + (body.isEmpty ? "" : " \(body)")) {
    case .silence: break
    case .last(let text):
      let context = NIOLoopBound(context, eventLoop: context.eventLoop)
      context.value.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text))).whenComplete { _ in context.value.close(promise: nil)
      }
    case .pieces(let pieces): write(pieces[...], NIOLoopBound(context, eventLoop: context.eventLoop))
    }
  }

  private func write(_ pieces: ArraySlice<String>, _ context: NIOLoopBound<ChannelHandlerContext>) {
    guard let piece = pieces.first else { return }
    let rest = pieces.dropFirst()
    let handler = NIOLoopBound(self, eventLoop: context.value.eventLoop)
    context.value.writeAndFlush(wrapOutboundOut(ByteBuffer(string: piece))).whenSuccess {
      context.value.eventLoop.execute { handler.value.write(rest, context) }
    }
  }
}
