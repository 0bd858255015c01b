import HTTPTypes
import Hummingbird
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
    }
  }

  func response(from request: Request, context: some RequestContext) throws -> Response {
    var response = try JSON.response(answer, status: status)
    response.headers.append(contentsOf: headers)
    return response
  }
}

/// Tells the client the id under which the log speaks of its request.
struct RequestIdentity<Context: RequestContext>: RouterMiddleware {
  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    var response = try await next(request, context)
    if let name = HTTPField.Name("X-Request-Id") { response.headers[name] = context.id }
    return response
  }
}

/// Turns what handlers and the router throw into the API's error shape.
struct ErrorMiddleware<Context: RequestContext>: RouterMiddleware {
  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as APIError {
      throw error
    } catch let error as CommandError {
      throw APIError(error)
    } catch let error as HTTPError {
      throw APIError(error.status, Self.code(error.status), error.body ?? "\(error.status) \(request.uri.path)")
    } catch let error as any HTTPResponseError {
      throw APIError(error.status, Self.code(error.status), "\(error.status)")
    } catch {
      context.logger.error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
      throw APIError(.internalServerError, "internal", "unexpected error; the supervisor's log has the cause")
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
