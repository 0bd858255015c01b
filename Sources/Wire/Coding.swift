import FoundationEssentials

// The JSON of the control API. Keys are snake_case of the property names. Sizes are bytes, times are seconds since 1970 as a
// number. `schema` names shape and version; fields may be added within a version, never removed or renamed.
// docs/reference/http.md describes every one.

/// How the API's JSON is written and read: snake_case keys, sorted, slashes unescaped.
public enum Coding {
  public static func encoder(pretty: Bool = false) -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting =
      pretty ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes] : [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }

  public static func decoder() -> JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return decoder
  }
}
