/// JSON laid out for reading, every token as it came: numbers keep their digits and nothing is decoded.
enum JSONText {
  static func indented(_ json: some Sequence<UInt8>) -> String {
    var result: [UInt8] = []
    var depth = 0
    var inString = false
    var isEscaped = false
    var afterOpening = false
    func newline() {
      result.append(UInt8(ascii: "\n"))
      result += repeatElement(UInt8(ascii: " "), count: depth * 2)
    }
    for byte in json {
      if inString {
        result.append(byte)
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): continue
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth = max(depth - 1, 0)
        if !afterOpening { newline() }
        result.append(byte)
        afterOpening = false
      default:
        if afterOpening { newline() }
        afterOpening = false
        result.append(byte)
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          depth += 1
          afterOpening = true
        case UInt8(ascii: ","): newline()
        case UInt8(ascii: ":"): result.append(UInt8(ascii: " "))
        case UInt8(ascii: "\""): inString = true
        default: break
        }
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
