/// A figure that may not be known. Always present in JSON: the value, or `null` for "not known"; never 0 in its place.
public struct Known<Value: Codable & Sendable & Hashable>: Codable, Sendable, Hashable {
  public var value: Value?

  public init(_ value: Value?) { self.value = value }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    value = container.decodeNil() ? nil : try container.decode(Value.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let value { try container.encode(value) } else { try container.encodeNil() }
  }
}
