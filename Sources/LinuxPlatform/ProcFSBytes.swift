/// Walks over the bytes of a text file of /proc. Bounds-checked; numbers that do not fit are refused, never wrapped.
struct ByteReader {
  let bytes: [UInt8]
  var position: Int
  let end: Int

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    position = 0
    end = bytes.count
  }

  init(_ bytes: [UInt8], from position: Int, to end: Int) {
    self.bytes = bytes
    self.position = position
    self.end = end
  }

  var isAtEnd: Bool { position >= end }
  var current: UInt8? { position < end ? bytes[position] : nil }

  mutating func skip(_ byte: UInt8) -> Bool {
    guard position < end, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  mutating func skipBlanks() {
    while position < end, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
  }

  /// True, and past it, when the bytes here are `text`.
  mutating func skip(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard end - position >= count else { return false }
    for index in 0..<count where bytes[position + index] != text.utf8Start[index] { return false }
    position += count
    return true
  }

  /// Digits to a number; nil without a digit or beyond 64 bits.
  mutating func decimal() -> UInt64? {
    let start = position
    var value: UInt64 = 0
    while position < end, case let digit = bytes[position] &- 0x30, digit < 10 {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      if overflow || carry { return nil }
      value = sum
      position += 1
    }
    return position > start ? value : nil
  }

  /// Lower-case hexadecimal digits to a number; nil without a digit or beyond 64 bits.
  mutating func hexadecimal() -> UInt64? {
    let start = position
    var value: UInt64 = 0
    while position < end {
      let byte = bytes[position]
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte &- 0x30
      case 0x61...0x66: digit = byte &- 0x57
      default: return position > start ? value : nil
      }
      if value >> 60 != 0 { return nil }
      value = value << 4 | UInt64(digit)
      position += 1
    }
    return position > start ? value : nil
  }

  /// The position of the next line feed, nil when there is none.
  func lineEnd() -> Int? {
    var index = position
    while index < end {
      if bytes[index] == 0x0A { return index }
      index += 1
    }
    return nil
  }

  mutating func skipWord() {
    while position < end, bytes[position] != 0x20 { position += 1 }
  }
}
