import Wire

extension ControlClient {
  /// 45 s over the profile's own time: until an idle agent begins, and until the names are read.
  private static let heapPatience = Duration.seconds(45)

  /// Samples the allocations of a process; answers when the time is over, or `stopHeapProfile` was called.
  public func heapProfile(of pid: Int32, _ request: HeapProfileRequest) async throws(ClientError) -> Answer<HeapAnswer> {
    let answer: Answer<HeapAnswer> = try await post(
      ["processes", "\(pid)", "heap"], body: request, wait: .seconds(request.seconds.rounded(.up)) + Self.heapPatience)
    guard answer.body.isConsistent() else { throw .protocolError("it names frames or packages that are not in it") }
    return answer
  }

  /// How far the profile under way is.
  public func heapProgress(of pid: Int32) async throws(ClientError) -> Answer<HeapProgressAnswer> {
    try await get(["processes", "\(pid)", "heap"])
  }

  /// Ends the profile under way: who asked for it gets what there is.
  public func stopHeapProfile(of pid: Int32) async throws(ClientError) -> Answer<HeapProgressAnswer> {
    try await post(["processes", "\(pid)", "heap", "stop"], body: [String: String]())
  }
}
