import Wire

/// One function a resource of the API.
extension ControlClient {
  /// The supervisor itself.
  public func status() async throws(ClientError) -> Answer<StatusAnswer> { try await get(["status"]) }

  /// Every watched process.
  public func processes() async throws(ClientError) -> Answer<ProcessesAnswer> { try await get(["processes"]) }

  /// The shared objects of one process.
  public func modules(of pid: Int32) async throws(ClientError) -> Answer<ModulesAnswer> {
    try await get(["processes", "\(pid)", "modules"])
  }

  /// - Parameter pid: Nil for every watched process.
  public func packages(of pid: Int32? = nil) async throws(ClientError) -> Answer<PackagesAnswer> {
    try await get(["packages"], query: [("pid", pid.map { "\($0)" })])
  }

  /// - Parameters:
  ///   - after: Sequence number of the last event seen; nil for the start of the history.
  ///   - limit: Most events in the answer; nil for as many as the supervisor gives.
  ///   - wait: How long the supervisor may wait for something new, whole seconds.
  ///   - pid: Nil for every process.
  public func events(
    after: UInt64? = nil, limit: Int? = nil, wait: Duration = .zero, pid: Int32? = nil
  ) async throws(ClientError) -> Answer<EventsAnswer> {
    let seconds = wait.components.seconds
    return try await get(
      ["events"],
      query: [
        ("after", after.map { "\($0)" }), ("limit", limit.map { "\($0)" }), ("wait", seconds > 0 ? "\(seconds)" : nil),
        ("pid", pid.map { "\($0)" }),
      ], wait: wait)
  }

  /// What would be given back now, and why the rest stays.
  ///
  /// - Parameter name: Units of this name only; nil for all.
  public func plan(name: String? = nil) async throws(ClientError) -> Answer<PlanAnswer> {
    try await get(["plan"], query: [("name", name)])
  }

  /// What a person could change; measured meanwhile, which takes some seconds.
  ///
  /// - Parameter pid: About this process only; nil for all.
  public func recommendations(pid: Int32? = nil) async throws(ClientError) -> Answer<RecommendationsAnswer> {
    try await get(["recommendations"], query: [("pid", pid.map { "\($0)" })], wait: .seconds(5))
  }

  /// The settings in force.
  public func configuration() async throws(ClientError) -> Answer<ConfigAnswer> { try await get(["config"]) }

  /// Watches a process that has no agent.
  public func adopt(_ pid: Int32) async throws(ClientError) -> Answer<AdoptAnswer> {
    try await post(["adopt"], body: AdoptRequest(pid: pid))
  }
}
