import HTTPTypes
import Hummingbird
import Wire

/// What one path answers to. Whatever else is asked of the path is refused by name, so that a misspelt parameter is an error
/// rather than a silent answer to another question.
struct Endpoint: Sendable {
  typealias Handler = @Sendable (Request, ControlContext) async throws -> Response

  var path: RouterPath
  /// Query parameters it knows; each at most once.
  var query: Set<String>
  var handlers: [HTTPRequest.Method: Handler]

  static func get(_ path: RouterPath, query: Set<String> = [], use handler: @escaping Handler) -> Endpoint {
    Endpoint(path: path, query: query, handlers: [.get: handler, .head: handler])
  }
  static func post(_ path: RouterPath, use handler: @escaping Handler) -> Endpoint {
    Endpoint(path: path, query: [], handlers: [.post: handler])
  }

  private static let methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options, .trace, .connect]

  func add(to router: some RouterMethods<ControlContext>) {
    let allowed = handlers.keys.map(\.rawValue).sorted().joined(separator: ", ")
    for method in Self.methods {
      guard let handler = handlers[method] else {
        router.on(path, method: method) { request, _ -> Response in
          throw APIError(
            .methodNotAllowed, "method_not_allowed", "\(request.uri.path) takes \(allowed), not \(method.rawValue)",
            ["allowed": allowed], headers: [.allow: allowed])
        }
        continue
      }
      router.on(path, method: method) { request, context -> Response in
        try check(request)
        return try await handler(request, context)
      }
    }
  }

  private func check(_ request: Request) throws {
    var seen: Set<Substring> = []
    for (key, _) in request.uri.queryParameters {
      let known = query.sorted().joined(separator: ", ")
      guard query.contains(String(key)) else {
        throw APIError(
          .unprocessableContent, "invalid_request",
          "unknown parameter '\(key)'; " + (known.isEmpty ? "there is none here" : "known: \(known)"))
      }
      guard seen.insert(key).inserted else {
        throw APIError(.unprocessableContent, "invalid_request", "parameter '\(key)' is given more than once")
      }
    }
  }
}
