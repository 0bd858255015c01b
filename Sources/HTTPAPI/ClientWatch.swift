import Hummingbird
import NIOCore

/// What a handler knows beside the request.
struct ControlContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }
}

/// Notices that a client has closed its end of the connection. Not Hummingbird's `consumeWithCancellationOnInboundClose`: that
/// ends the program when the body has been read before, or is not read to its end.
final class ClientWatch: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = NIOAny

  private var promise: EventLoopPromise<Void>?
  private var isGone = false

  /// Cancels the work when the client goes away.
  static func whileThere<Value: Sendable>(
    _ channel: any Channel, _ work: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    let watch = channel.eventLoop.flatSubmit {
      channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.handler(type: ClientWatch.self).gone(channel) }
    }
    // A connection that is closed already has no handlers any more.
    let gone = (try? await watch.get()) ?? channel.eventLoop.makeSucceededVoidFuture()
    let task = Task(operation: work)
    gone.whenComplete { _ in task.cancel() }
    return try await withTaskCancellationHandler {
      try await task.value
    } onCancel: {
      task.cancel()
    }
  }

  private func gone(_ channel: any Channel) -> EventLoopFuture<Void> {
    if isGone { return channel.eventLoop.makeSucceededVoidFuture() }
    let promise = promise ?? channel.eventLoop.makePromise()
    self.promise = promise
    return promise.futureResult
  }

  private func end() {
    isGone = true
    promise?.succeed()
    promise = nil
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case ChannelEvent.inputClosed? = event as? ChannelEvent { end() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    end()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { end() }
}
