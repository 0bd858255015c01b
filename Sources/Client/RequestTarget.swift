/// Path and query of a request as they stand in its first line.
public enum RequestTarget {
  /// - Parameters:
  ///   - segments: Parts of the path, not encoded.
  ///   - query: Names and values in order, not encoded; a nil value leaves its name out.
  public static func compose(_ segments: [String], query: [(name: String, value: String?)] = []) -> String {
    let path = segments.map { "/" + encoded($0) }.joined()
    let fields = query.compactMap { field in field.value.map { "\(encoded(field.name))=\(encoded($0))" } }
    return fields.isEmpty ? path : path + "?" + fields.joined(separator: "&")
  }

  /// Everything but the unreserved characters of RFC 3986, section 2.3, as %XX of its UTF-8.
  public static func encoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF")
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
        result.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        result.append("%")
        result.append(digits[Int(byte >> 4)])
        result.append(digits[Int(byte & 15)])
      }
    }
    return result
  }
}
