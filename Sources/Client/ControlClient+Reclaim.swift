import Wire

extension ControlClient {
  /// 90 s over the collector's own time: a hundred processes whose agents answer slowly.
  private static let reclaimPatience = Duration.seconds(90)

  /// Gives memory back and measures what came of it. Answers when it is done.
  public func reclaim(_ asked: ReclaimAsked) async throws(ClientError) -> Answer<ReclaimAnswer> {
    try await post(
      ["reclaim"], body: asked, wait: .milliseconds(Int64(clamping: asked.collectMilliseconds ?? 1_000)) + Self.reclaimPatience)
  }
}
