/// Every error of the API, with a fitting HTTP status.
public struct ErrorAnswer: Codable, Sendable, Hashable, Error {
  public var error: Body
  public struct Body: Codable, Sendable, Hashable {
    /// Stable word: `not_found`, `invalid_request`, `not_permitted`, `too_large`, `unavailable`, `internal`, ...
    public var code: String
    public var message: String
    /// Key, value pairs in words; may be empty.
    public var details: [String: String]
  }
  public init(code: String, message: String, details: [String: String] = [:]) {
    error = Body(code: code, message: message, details: details)
  }
}
