import Hummingbird
import Model
import Wire

/// The user's rules, as far as the control API shows and changes them.
public protocol RuleKeeping: Sendable {
  func rules() async -> RulesAnswer
  /// Adds the rules of a text, or puts them in the place of those that were added under their names; all or none.
  ///
  /// - Parameters:
  ///   - file: What mistakes call the text.
  ///   - name: The one rule that the text is to have; nil for any.
  /// - Returns: Those rules, as they stand afterwards.
  func addRules(
    _ text: String, from file: String, only name: String?, by requester: Requester
  ) async throws(RuleRefusal) -> RulesAnswer
  func turnRule(_ name: String, on isEnabled: Bool, by requester: Requester) async throws(RuleRefusal) -> RulesAnswer
  /// - Returns: No rule, or the one of a file that holds again.
  func removeRule(_ name: String, by requester: Requester) async throws(RuleRefusal) -> RulesAnswer
}

/// Why rules were not changed.
public enum RuleRefusal: Error, Sendable {
  /// The text is wrong: everything that is, a line each, and of the first where it is.
  case wrong(String, RulePlace?)
  /// There is no such rule; the nearest name.
  case unknown(String, nearest: String?)
  /// It does not go with the other rules. Where, when the text is to blame.
  case conflict(String, RulePlace?)
  case limitReached(String)
  /// It cannot be kept.
  case unavailable(String)
}

/// Where in a text something is wrong.
public struct RulePlace: Sendable, Hashable {
  public var line: Int
  public var column: Int
  /// The rule's key it is about; nil for the rule, or the document.
  public var field: String?
  /// A stable word for the kind of mistake.
  public var mistake: String

  public init(line: Int, column: Int, field: String?, mistake: String) {
    self.line = line
    self.column = column
    self.field = field
    self.mistake = mistake
  }

  fileprivate var details: [String: String] {
    ["line": "\(line)", "column": "\(column)", "mistake": mistake].merging(field.map { ["field": $0] } ?? [:]) { $1 }
  }
}

extension APIError {
  init(_ refusal: RuleRefusal) {
    switch refusal {
    case .wrong(let why, let place): self.init(.unprocessableContent, "invalid_request", why, place?.details ?? [:])
    case .unknown(let name, let near):
      self.init(
        .notFound, "not_found",
        "there is no rule '\(printable(name.utf8.prefix(200)))'" + (near.map { "; did you mean '\($0)'?" } ?? ""),
        near.map { ["nearest": $0] } ?? [:])
    case .conflict(let why, let place): self.init(.conflict, "conflict", why, place?.details ?? [:])
    case .limitReached(let why): self.init(.conflict, "limit_reached", why)
    case .unavailable(let why): self.init(.conflict, "unavailable", why)
    }
  }
}

extension ControlAPI {
  var ruleEndpoints: [Endpoint] {
    [
      Endpoint(
        path: "api/v1/rules", query: [],
        handlers: [
          .get: { _, _ in try JSON.response(await rules.rules()) },
          .head: { _, _ in try JSON.response(await rules.rules()) },
          .post: { request, context in
            let asked = try await JSON.decode(RulesRequest.self, from: request, limit: bodyLimit())
            guard let text = asked.text, asked.enabled == nil else { throw Self.asksForText }
            return try await add(text, asked.file, nil, context)
          },
        ]),
      Endpoint(
        path: "api/v1/rules/:name", query: [],
        handlers: [
          .get: { _, context in try JSON.response(try await rule(Self.name(context))) },
          .head: { _, context in try JSON.response(try await rule(Self.name(context))) },
          .put: { request, context in
            let asked = try await JSON.decode(RulesRequest.self, from: request, limit: bodyLimit())
            let name = Self.name(context)
            switch (asked.text, asked.enabled) {
            case (let text?, nil): return try await add(text, asked.file, name, context)
            case (nil, let isEnabled?):
              return try JSON.response(try await rules.turnRule(name, on: isEnabled, by: await context.requester()))
            case (nil, nil), (_?, _?): throw Self.asksForText
            }
          },
          .delete: { _, context in
            try JSON.response(try await rules.removeRule(Self.name(context), by: await context.requester()))
          },
        ]),
    ]
  }

  private static let asksForText = APIError(
    .unprocessableContent, "invalid_request", "give 'text', a YAML document with rules, or of one rule 'enabled', and not both")

  private static func name(_ context: ControlContext) -> String { percentDecoded(context.parameters.get("name") ?? "") }

  private func add(_ text: String, _ file: String?, _ name: String?, _ context: ControlContext) async throws -> Response {
    let label = file.map { printable($0.utf8.prefix(200)) } ?? "rules"
    return try JSON.response(try await rules.addRules(text, from: label, only: name, by: await context.requester()))
  }

  private func rule(_ name: String) async throws(RuleRefusal) -> RulesAnswer {
    var answer = await rules.rules()
    let names = answer.rules.map(\.name)
    answer.rules.removeAll { $0.name != name }
    guard !answer.rules.isEmpty else { throw .unknown(name, nearest: nearestName(to: name, among: names)) }
    return answer
  }
}
