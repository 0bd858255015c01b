/// What was pressed.
enum TopKey: Hashable, Sendable {
  case character(Character)
  case up, down, left, right, pageUp, pageDown, home, end
  case enter, escape, tab, backspace
  /// Ctrl-U.
  case eraseLine
  /// Ctrl-L.
  case redraw
}

/// Bytes from a terminal to keys: UTF-8, and the sequences xterm, VT220, the Linux console and tmux send for the others. What
/// it does not know it takes out of the stream whole and passes over.
struct KeyParser {
  private enum Step {
    case key(TopKey?, length: Int)
    case unfinished
  }

  /// Longer than any sequence a key sends; what is longer is none.
  private static let longest = 32
  private var pending: [UInt8] = []

  /// An escape sequence or a character is not complete: call `flush` when nothing follows in `patience`.
  var isWaiting: Bool { !pending.isEmpty }

  /// 50 ms: a sequence comes in one piece, over ssh too; a lone Esc is one byte.
  static let patience = 0.05

  mutating func feed(_ bytes: some Sequence<UInt8>) -> [TopKey] {
    pending += bytes
    var keys: [TopKey] = []
    var rest = pending[...]
    while !rest.isEmpty, case .key(let key, let length) = Self.step(rest) {
      if let key { keys.append(key) }
      rest = rest.dropFirst(length)
    }
    pending = Array(rest)
    return keys
  }

  /// Nothing followed: an Esc by itself is the key; the start of anything else was noise.
  mutating func flush() -> [TopKey] {
    defer { pending = [] }
    return pending == [0x1B] ? [.escape] : []
  }

  private static func step(_ bytes: ArraySlice<UInt8>) -> Step {
    guard let first = bytes.first else { return .unfinished }
    switch first {
    case 0x1B: return escape(bytes)
    case 0x08, 0x7F: return .key(.backspace, length: 1)
    case 0x09: return .key(.tab, length: 1)
    case 0x0A, 0x0D: return .key(.enter, length: 1)
    case 0x02: return .key(.pageUp, length: 1)
    case 0x06: return .key(.pageDown, length: 1)
    case 0x0C: return .key(.redraw, length: 1)
    case 0x0E: return .key(.down, length: 1)
    case 0x10: return .key(.up, length: 1)
    case 0x15: return .key(.eraseLine, length: 1)
    case ..<0x20: return .key(nil, length: 1)
    case ..<0x80: return .key(.character(Character(Unicode.Scalar(first))), length: 1)
    default: return character(bytes, first)
    }
  }

  private static func character(_ bytes: ArraySlice<UInt8>, _ first: UInt8) -> Step {
    let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
    let piece = bytes.prefix(length)
    guard first >= 0xC2, first <= 0xF4, piece.dropFirst().allSatisfy({ $0 & 0xC0 == 0x80 }) else {
      return .key(nil, length: 1)
    }
    guard piece.count == length else { return .unfinished }
    let text = String(decoding: piece, as: UTF8.self)
    let isOne = text.count == 1 && text != "\u{FFFD}"
    return .key(isOne ? text.first.map { .character($0) } : nil, length: length)
  }

  private static func escape(_ bytes: ArraySlice<UInt8>) -> Step {
    let rest = bytes.dropFirst()
    guard let second = rest.first else { return .unfinished }
    switch second {
    case UInt8(ascii: "O"):
      guard let final = rest.dropFirst().first else { return .unfinished }
      // M: Enter of the number pad.
      return .key(final == UInt8(ascii: "M") ? .enter : cursorKey(final), length: 3)
    case UInt8(ascii: "["):
      let body = rest.dropFirst()
      // Function keys of the Linux console: ESC [ [ A.
      if body.first == UInt8(ascii: "[") { return body.count > 1 ? .key(nil, length: 4) : .unfinished }
      guard let end = body.firstIndex(where: { !(0x20...0x3F).contains($0) }) else {
        return bytes.count > longest ? .key(nil, length: bytes.count) : .unfinished
      }
      let length = end - bytes.startIndex + 1
      guard (0x40...0x7E).contains(body[end]) else { return .key(nil, length: length - 1) }
      return .key(sequence(body[body.startIndex..<end], final: body[end]), length: length)
    default:
      // Esc, and then something else that came in the same piece.
      return .key(.escape, length: 1)
    }
  }

  private static func sequence(_ parameters: ArraySlice<UInt8>, final: UInt8) -> TopKey? {
    guard final == UInt8(ascii: "~") else { return cursorKey(final) }
    // The number before a modifier, if there is one.
    return switch String(decoding: parameters.prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self) {
    case "1", "7": .home
    case "4", "8": .end
    case "5": .pageUp
    case "6": .pageDown
    default: nil
    }
  }

  private static func cursorKey(_ final: UInt8) -> TopKey? {
    switch final {
    case UInt8(ascii: "A"): .up
    case UInt8(ascii: "B"): .down
    case UInt8(ascii: "C"): .right
    case UInt8(ascii: "D"): .left
    case UInt8(ascii: "H"): .home
    case UInt8(ascii: "F"): .end
    case UInt8(ascii: "Z"): .tab
    default: nil
    }
  }
}
