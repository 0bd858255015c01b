/// Writes JSON as it meets the values: no tree in between, keys in the order of declaration and in snake_case. What
/// `Coding.encoder` writes, in a quarter of the time (tools/bench.d/scale.py); a listing of a thousand processes has 30,000
/// values.
///
/// Not for floating-point values that are no numbers, which JSON does not have: an `EncodingError`.
public enum StreamingEncoder {
  public static func encode(_ value: some Encodable) throws -> [UInt8] {
    let output = Output()
    try output.write(value, at: [])
    return output.bytes
  }
}

/// One document under way. Confined to one call of `encode`.
private final class Output {
  var bytes: [UInt8] = []
  /// What closes each object and array that is open.
  var closers: [UInt8] = []
  /// The next key or element is not the first of its container.
  var needsComma = false
  /// Property names to `"snake_case":`.
  private var keys: [String: [UInt8]] = [:]

  func open(_ opener: UInt8, _ closer: UInt8) {
    bytes.append(opener)
    closers.append(closer)
    needsComma = false
  }

  func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    needsComma = true
  }

  func key(_ name: String) {
    separate()
    if let known = keys[name] {
      bytes += known
      return
    }
    let start = bytes.count
    string(snakeCase(name))
    bytes.append(UInt8(ascii: ":"))
    keys[name] = Array(bytes[start...])
  }

  /// As Foundation's convertToSnakeCase for the names there are: letters and digits, no two capitals in a row.
  private func snakeCase(_ name: String) -> String {
    var result = ""
    for scalar in name.unicodeScalars {
      if ("A"..."Z").contains(scalar), !result.isEmpty { result.append("_") }
      result.unicodeScalars.append(("A"..."Z").contains(scalar) ? UnicodeScalar(scalar.value + 32)! : scalar)
    }
    return result
  }

  func write(_ value: some Encodable, at path: [any CodingKey]) throws {
    switch value {
    case let text as String: string(text)
    case let number as UInt64: integer(number)
    case let number as Double: try double(number, at: path)
    case let number as Int: integer(number)
    case let words as [String: String]: dictionary(words)
    default:
      let depth = closers.count
      let start = bytes.count
      try value.encode(to: ValueEncoder(output: self, codingPath: path))
      // A value that asked for no container is an object without fields.
      if bytes.count == start { open(UInt8(ascii: "{"), UInt8(ascii: "}")) }
      close(downTo: depth)
    }
  }

  /// Its keys are data, not names: they stay as they are.
  private func dictionary(_ words: [String: String]) {
    open(UInt8(ascii: "{"), UInt8(ascii: "}"))
    for (key, value) in words.sorted(by: { $0.key < $1.key }) {
      separate()
      string(key)
      bytes.append(UInt8(ascii: ":"))
      string(value)
    }
    close(downTo: closers.count - 1)
  }

  func close(downTo depth: Int) {
    while closers.count > depth { bytes.append(closers.removeLast()) }
    needsComma = true
  }

  func integer(_ number: some BinaryInteger) { bytes += String(number).utf8 }

  func double(_ number: Double, at path: [any CodingKey]) throws {
    guard number.isFinite else {
      throw EncodingError.invalidValue(number, .init(codingPath: path, debugDescription: "JSON has no \(number)"))
    }
    // 2^53: up to there every whole number is exact.
    if number == number.rounded(), abs(number) <= 9_007_199_254_740_992 {
      integer(Int64(number))
    } else {
      bytes += number.description.utf8
    }
  }

  func literal(_ text: StaticString) { bytes += UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) }

  func string(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    var text = text
    text.withUTF8 { utf8 in
      var clean = utf8.startIndex
      for index in utf8.indices where utf8[index] < 0x20 || utf8[index] == 0x22 || utf8[index] == 0x5C {
        bytes += utf8[clean..<index]
        clean = index + 1
        escape(utf8[index])
      }
      bytes += utf8[clean...]
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private func escape(_ byte: UInt8) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case 0x22, 0x5C: bytes.append(byte)
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0C: bytes.append(UInt8(ascii: "f"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    default:
      let digits = Array("0123456789abcdef".utf8)
      bytes += Array("u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
}

private struct ValueEncoder: Encoder {
  let output: Output
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    output.open(UInt8(ascii: "{"), UInt8(ascii: "}"))
    return KeyedEncodingContainer(Fields<Key>(output: output, codingPath: codingPath))
  }
  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    output.open(UInt8(ascii: "["), UInt8(ascii: "]"))
    return Elements(output: output, codingPath: codingPath)
  }
  func singleValueContainer() -> any SingleValueEncodingContainer { Single(output: output, codingPath: codingPath) }
}

private struct Fields<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let output: Output
  let codingPath: [any CodingKey]

  func encodeNil(forKey key: Key) {
    output.key(key.stringValue)
    output.literal("null")
  }
  func encode(_ value: Bool, forKey key: Key) {
    output.key(key.stringValue)
    output.literal(value ? "true" : "false")
  }
  func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
    output.key(key.stringValue)
    try output.write(value, at: codingPath)
    output.needsComma = true
  }
  func nestedContainer<Inner: CodingKey>(keyedBy type: Inner.Type, forKey key: Key) -> KeyedEncodingContainer<Inner> {
    fatalError("no shape of the API nests by hand")
  }
  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    fatalError("no shape of the API nests by hand")
  }
  func superEncoder() -> any Encoder { fatalError("no shape of the API is a class") }
  func superEncoder(forKey key: Key) -> any Encoder { fatalError("no shape of the API is a class") }
}

private struct Elements: UnkeyedEncodingContainer {
  let output: Output
  let codingPath: [any CodingKey]
  private(set) var count = 0

  init(output: Output, codingPath: [any CodingKey]) {
    self.output = output
    self.codingPath = codingPath
  }

  mutating func encodeNil() {
    output.separate()
    output.literal("null")
    count += 1
  }
  mutating func encode(_ value: Bool) {
    output.separate()
    output.literal(value ? "true" : "false")
    count += 1
  }
  mutating func encode<Value: Encodable>(_ value: Value) throws {
    output.separate()
    try output.write(value, at: codingPath)
    output.needsComma = true
    count += 1
  }
  mutating func nestedContainer<Inner: CodingKey>(keyedBy type: Inner.Type) -> KeyedEncodingContainer<Inner> {
    fatalError("no shape of the API nests by hand")
  }
  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { fatalError("no shape of the API nests by hand") }
  mutating func superEncoder() -> any Encoder { fatalError("no shape of the API is a class") }
}

private struct Single: SingleValueEncodingContainer {
  let output: Output
  let codingPath: [any CodingKey]

  func encodeNil() { output.literal("null") }
  func encode(_ value: Bool) { output.literal(value ? "true" : "false") }
  func encode(_ value: Float) throws { try output.double(Double(value), at: codingPath) }
  func encode(_ value: Int8) { output.integer(value) }
  func encode(_ value: Int16) { output.integer(value) }
  func encode(_ value: Int32) { output.integer(value) }
  func encode(_ value: Int64) { output.integer(value) }
  func encode(_ value: UInt) { output.integer(value) }
  func encode(_ value: UInt8) { output.integer(value) }
  func encode(_ value: UInt16) { output.integer(value) }
  func encode(_ value: UInt32) { output.integer(value) }
  func encode<Value: Encodable>(_ value: Value) throws { try output.write(value, at: codingPath) }
}
