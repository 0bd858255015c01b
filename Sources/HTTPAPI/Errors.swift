import HTTPTypes
import Hummingbird
import Model
import Supervisor
import Wire

/// An `ErrorAnswer` with its HTTP status.
struct APIError: HTTPResponseError {
  var status: HTTPResponse.Status
  var answer: ErrorAnswer
  var headers: HTTPFields

  init(
    _ status: HTTPResponse.Status, _ code: String, _ message: String, _ details: [String: String] = [:],
    headers: HTTPFields = [:]
  ) {
    self.status = status
    self.headers = headers
    answer = ErrorAnswer(code: code, message: message, details: details)
  }

  init(_ error: CommandError) {
    switch error {
    case .notWatched(let pid, let watched):
      let nearest = watched.sorted { abs(Int($0) - Int(pid)) < abs(Int($1) - Int(pid)) }.prefix(5).map(String.init).joined(
        separator: ", ")
      self.init(
        .notFound, "not_found", "process \(pid) is not watched; start it with mlos run, or: mlos adopt \(pid)",
        nearest.isEmpty ? [:] : ["watched": nearest])
    case .noSuchProcess(let pid): self.init(.notFound, "not_found", "there is no process \(pid)")
    case .notPermitted(let why): self.init(.forbidden, "not_permitted", why)
    case .limitReached(let why): self.init(.conflict, "limit_reached", why)
    case .unavailable(let why): self.init(.conflict, "unavailable", why)
    case .unreadable(let why): self.init(.unprocessableContent, "unreadable", why)
    case .busy(let why): self.init(.conflict, "busy", why, headers: [.retryAfter: "1"])
    case .denied(let why): self.init(.forbidden, "denied", why)
    case .noSuchUnit(let name, let nearest):
      self.init(
        .notFound, "not_found",
        "nothing in memory is called '\(printable(name.utf8.prefix(200)))'" + (nearest.map { "; did you mean '\($0)'?" } ?? ""),
        nearest.map { ["nearest": $0] } ?? [:])
    }
  }

  func response(from request: Request, context: some RequestContext) throws -> Response {
    var response = try JSON.response(answer, status: status)
    response.headers.append(contentsOf: headers)
    return response
  }
}

/// The last word on every answer, errors too: tells the client the id under which the log speaks of its request, and leaves the
/// body out where only the head was asked for.
struct RequestIdentity<Context: RequestContext>: RouterMiddleware {
  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    var response = try await next(request, context)
    if let name = HTTPField.Name("X-Request-Id") { response.headers[name] = context.id }
    return request.method == .head ? response.createHeadResponse() : response
  }
}

/// Turns what handlers and the router throw into the API's error shape.
struct ErrorMiddleware<Context: RequestContext>: RouterMiddleware {
  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch {
      return try apiError(error, request, context).response(from: request, context: context)
    }
  }

  private func apiError(_ error: any Error, _ request: Request, _ context: Context) -> APIError {
    switch error {
    case let error as APIError: return error
    case let error as CommandError: return APIError(error)
    case let error as HistoryError: return APIError(error)
    case let error as ConfigurationRefusal: return APIError(error)
    case let error as RuleRefusal: return APIError(error)
    case let error as HTTPError:
      return APIError(error.status, Self.code(error.status), error.body ?? Self.sentence(error.status, request))
    case let error as any HTTPResponseError:
      return APIError(error.status, Self.code(error.status), Self.sentence(error.status, request))
    default:
      context.logger.error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
      return APIError(.internalServerError, "internal", "unexpected error; the supervisor's log has the cause")
    }
  }

  /// For what the router refuses without a word of its own.
  private static func sentence(_ status: HTTPResponse.Status, _ request: Request) -> String {
    let path = printable(request.uri.path.utf8.prefix(200))
    return switch status {
    case .notFound: "there is nothing at \(path)"
    case .contentTooLarge: "the body is too large for \(path)"
    default: "\(request.method.rawValue) of \(path) was refused: \(status.reasonPhrase)"
    }
  }

  private static func code(_ status: HTTPResponse.Status) -> String {
    switch status {
    case .notFound: "not_found"
    case .contentTooLarge: "too_large"
    case .methodNotAllowed: "method_not_allowed"
    default: "invalid_request"
    }
  }
}
