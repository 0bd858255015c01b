/// One line of JSON that is an object of strings, numbers and lists of strings: all that a trace holds.
/// Strict (RFC 8259): what the grammar does not allow is refused, so `NaN` and `1e999` never become numbers.
struct JSONLine {
  enum Value: Hashable {
    case string(String)
    case number(Double)
    case strings([String])
  }

  /// In the order of the line.
  private(set) var members: [(key: String, value: Value)] = []

  private var bytes: ArraySlice<UInt8>
  private var at: Int
  private let line: Int

  init(_ bytes: ArraySlice<UInt8>, line: Int) throws(TraceError) {
    self.bytes = bytes
    self.at = bytes.startIndex
    self.line = line
    try readObject()
  }

  private func fail(_ expected: String) -> TraceError {
    TraceError(line: line, .syntax(column: at - bytes.startIndex + 1, expected: expected))
  }

  private var next: UInt8? { at < bytes.endIndex ? bytes[at] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r") { at += 1 }
  }

  /// Skips space, then takes the byte if it is there.
  private mutating func take(_ wanted: Unicode.Scalar) -> Bool {
    skipSpace()
    guard next == UInt8(ascii: wanted) else { return false }
    at += 1
    return true
  }

  private mutating func readObject() throws(TraceError) {
    guard take("{") else { throw fail("'{'") }
    if !take("}") {
      repeat {
        skipSpace()
        let key = try readString()
        guard !members.contains(where: { $0.key == key }) else { throw TraceError(line: line, .repeatedKey(key)) }
        guard take(":") else { throw fail("':'") }
        members.append((key, try readValue()))
      } while take(",")
      guard take("}") else { throw fail("',' or '}'") }
    }
    skipSpace()
    guard next == nil else { throw fail("the end of the line") }
  }

  private mutating func readValue() throws(TraceError) -> Value {
    skipSpace()
    switch next {
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "["):
      at += 1
      var result: [String] = []
      if take("]") { return .strings(result) }
      repeat {
        skipSpace()
        guard result.count < Trace.Limit.needs else { throw TraceError(line: line, .tooMany("needs", limit: Trace.Limit.needs)) }
        result.append(try readString())
      } while take(",")
      guard take("]") else { throw fail("',' or ']'") }
      return .strings(result)
    default: return .number(try readNumber())
    }
  }

  private mutating func readNumber() throws(TraceError) -> Double {
    let start = at
    func isDigit(_ byte: UInt8?) -> Bool { byte.map { (0x30...0x39).contains($0) } ?? false }
    if next == UInt8(ascii: "-") { at += 1 }
    guard isDigit(next) else { throw fail("a string, a number or a list of strings") }
    if next == UInt8(ascii: "0") { at += 1 } else { while isDigit(next) { at += 1 } }
    if next == UInt8(ascii: ".") {
      at += 1
      guard isDigit(next) else { throw fail("a digit") }
      while isDigit(next) { at += 1 }
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      at += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
      guard isDigit(next) else { throw fail("a digit") }
      while isDigit(next) { at += 1 }
    }
    guard let value = Double(String(decoding: bytes[start..<at], as: UTF8.self)), value.isFinite else {
      throw fail("a number that fits 64 bits")
    }
    return value
  }

  private mutating func readString() throws(TraceError) -> String {
    guard next == UInt8(ascii: "\"") else { throw fail("a string") }
    at += 1
    var content: [UInt8] = []
    while true {
      guard let byte = next else { throw fail("'\"'") }
      guard byte >= 0x20 else { throw fail("no control character") }
      at += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: content, as: UTF8.self) else { throw TraceError(line: line, .notUTF8) }
        return text
      case UInt8(ascii: "\\"): content.append(contentsOf: String(try readEscape()).utf8)
      default: content.append(byte)
      }
    }
  }

  private mutating func readEscape() throws(TraceError) -> Unicode.Scalar {
    guard let byte = next else { throw fail("an escape") }
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let unit = try readHex()
      if let scalar = Unicode.Scalar(unit) { return scalar }
      // A pair of surrogates, high first.
      guard unit < 0xDC00, next == UInt8(ascii: "\\") else { throw fail("a surrogate pair") }
      at += 1
      guard next == UInt8(ascii: "u") else { throw fail("a surrogate pair") }
      at += 1
      let low = try readHex()
      guard (0xDC00..<0xE000).contains(low), let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
      else { throw fail("a surrogate pair") }
      return scalar
    default: throw fail("an escape")
    }
  }

  private mutating func readHex() throws(TraceError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw fail("a hexadecimal digit") }
      value = value << 4 | UInt32(digit)
      at += 1
    }
    return value
  }

  /// As a JSON string, quotes included.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
