import Hummingbird
import HummingbirdCore
import Logging
import Model
import NIOCore
import Supervisor
import Wire

/// What the transport knows of the process it runs in.
public struct ServiceFacts: Sendable {
  public var version: String
  public var pid: Int32
  public var user: UInt32
  public var agentSocket: String
  public var controlSocket: String
  public var ticksPerSecond: Double

  public init(version: String, pid: Int32, user: UInt32, agentSocket: String, controlSocket: String, ticksPerSecond: Double) {
    self.version = version
    self.pid = pid
    self.user = user
    self.agentSocket = agentSocket
    self.controlSocket = controlSocket
    self.ticksPerSecond = ticksPerSecond
  }
}

/// The control API: thin, every answer comes from `SupervisorCommands`.
public struct ControlAPI: Sendable {
  /// 60 s: longer waits look like a hang to proxies and people.
  static let longestWait = 60.0
  static let eventLimit = 10_000
  /// More wait in the socket's backlog.
  static let connectionLimit = 512
  /// 30 s: how long a connection may send nothing while the server waits for a request, or for the rest of one.
  static let idleTimeout = TimeAmount.seconds(30)

  let commands: any SupervisorCommands
  let facts: ServiceFacts
  let bodyLimit: @Sendable () -> Int
  let configuration: any ConfigurationKeeping
  let rules: any RuleKeeping
  /// Nil when none is kept.
  let history: (any HistoryAnswering)?
  /// Seconds since 1970.
  let now: @Sendable () -> Double

  public init(
    commands: any SupervisorCommands, facts: ServiceFacts, bodyLimit: @escaping @Sendable () -> Int,
    configuration: any ConfigurationKeeping, rules: any RuleKeeping, history: (any HistoryAnswering)?,
    now: @escaping @Sendable () -> Double
  ) {
    self.commands = commands
    self.facts = facts
    self.bodyLimit = bodyLimit
    self.configuration = configuration
    self.rules = rules
    self.history = history
    self.now = now
  }

  /// A server on a Unix socket. The caller has checked the path and set the umask that gives the socket its rights.
  ///
  /// - Parameter onListening: Called once, when the socket takes connections.
  public func server(
    socketPath: String, logger: Logger, onListening: @escaping @Sendable () -> Void
  ) -> some ApplicationProtocol {
    Application(
      router: router(),
      server: .http1(
        configuration: .init(additionalChannelHandlers: [ParserFaultInstaller(), ClientWatch()], idleTimeout: Self.idleTimeout)),
      configuration: .init(
        address: .unixDomainSocket(path: socketPath), serverName: "mlosd",
        availableConnectionsDelegate: MaximumAvailableConnections(Self.connectionLimit)),
      onServerRunning: { _ in onListening() }, logger: logger)
  }

  func router() -> Router<ControlContext> {
    let router = Router(context: ControlContext.self)
    router.add(middleware: RequestIdentity())
    router.add(middleware: ErrorMiddleware())
    router.add(middleware: LogRequestsMiddleware(.debug))
    let all =
      endpoints + configurationEndpoints + ruleEndpoints + heapEndpoints + historyEndpoints + reclaimEndpoints
    for endpoint in all { endpoint.add(to: router) }
    return router
  }

  private var endpoints: [Endpoint] {
    [
      .get("healthz") { _, _ in try JSON.response(["status": "ok"]) },
      .get("api/v1/status") { _, _ in try JSON.response(StatusAnswer(await commands.status(), facts, journal: history?.status()))
      },
      .get("api/v1/processes") { _, _ in
        let snapshot = await commands.processes()
        return try JSON.response(ProcessesAnswer(takenAt: snapshot.takenAt, processes: snapshot.processes.map { ProcessRow($0) }))
      },
      .get("api/v1/processes/:pid/modules") { _, context in
        let pid = try Self.pid(context.parameters.get("pid") ?? "", of: "pid")
        return try JSON.response(ModulesAnswer(try await commands.modules(of: pid)))
      },
      .get("api/v1/packages", query: ["pid"]) { request, _ in
        let pid = try request.uri.queryParameters["pid"].map { try Self.pid(String($0), of: "pid") }
        return try JSON.response(PackagesAnswer(try await commands.packages(of: pid)))
      },
      .get("api/v1/plan", query: ["name"]) { request, _ in try await plan(request) },
      .get("api/v1/recommendations", query: ["pid"]) { request, _ in try await recommendations(request) },
      .get("api/v1/events", query: ["after", "limit", "wait", "pid"]) { request, _ in try await events(request) },
      .post("api/v1/adopt") { request, _ in try await adopt(request) },
    ]
  }

  private func plan(_ request: Request) async throws -> Response {
    let name = request.uri.queryParameters["name"].map { String($0) }
    let plan = await commands.plan(name: name)
    if let name, plan.rows.isEmpty {
      let near = nearestName(to: name, among: plan.names)
      throw APIError(
        .notFound, "not_found",
        "nothing in memory is called '\(printable(name.utf8.prefix(200)))'" + (near.map { "; did you mean '\($0)'?" } ?? ""),
        near.map { ["nearest": $0] } ?? [:])
    }
    return try JSON.response(PlanAnswer(plan))
  }

  private func adopt(_ request: Request) async throws -> Response {
    let asked = try await JSON.decode(AdoptRequest.self, from: request, limit: bodyLimit())
    guard asked.pid > 0 else { throw APIError(.unprocessableContent, "invalid_request", "field 'pid' is not a process id") }
    let (process, isNew) = try await commands.adopt(asked.pid)
    return try JSON.response(AdoptAnswer(process: ProcessRow(process), isNew: isNew), status: isNew ? .created : .ok)
  }

  private func events(_ request: Request) async throws -> Response {
    let query = request.uri.queryParameters
    let after: UInt64? = try query["after"].map { try Self.number(String($0), of: "after", in: 0...UInt64.max) }
    let limit: UInt64 =
      try query["limit"].map { try Self.number(String($0), of: "limit", in: 1...UInt64(Self.eventLimit)) } ?? 1_000
    let wait: Double = try query["wait"].map { try Self.number(String($0), of: "wait", in: 0...Self.longestWait) } ?? 0
    let pid = try query["pid"].map { try Self.pid(String($0), of: "pid") }
    return try JSON.response(EventsAnswer(await commands.events(after: after, limit: Int(limit), wait: wait, pid: pid)))
  }

  static func pid(_ text: String, of field: String) throws -> Int32 {
    try number(text, of: field, in: 1...Int32.max)
  }

  static func number<Value: LosslessStringConvertible & Comparable>(
    _ text: String, of field: String, in range: ClosedRange<Value>
  ) throws -> Value {
    guard let value = Value(text), range.contains(value) else {
      throw APIError(
        .unprocessableContent, "invalid_request", "'\(field)' must be a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }
}
