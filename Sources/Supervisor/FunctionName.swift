import Model

/// Makes names of C++ functions readable: `_ZN5boost4math5gammaIdEEdT_` becomes `boost::math::gamma<...>`.
///
/// Only the name, without template arguments and parameters. A demangler for the whole grammar (__cxa_demangle) expands
/// references to earlier parts, and a hostile name of a kilobyte to gigabytes; this one walks the name once and gives up, with
/// the name as it is, on what it does not know.
enum FunctionName {
  /// Longest name shown, in bytes.
  static let limit = 512

  static func readable(_ mangled: [UInt8]) -> String {
    if let readable = RustName.readable(mangled) { return printable(readable.utf8.prefix(limit)) }
    let name = mangled.prefix(limit)
    if mangled.count <= limit, name.starts(with: Array("_Z".utf8)) {
      var parser = Parser(bytes: Array(name))
      if let readable = parser.function() { return printable(readable.utf8) }
    }
    return printable(name)
  }

  private struct Parser {
    let bytes: [UInt8]
    var position = 2

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }
    private mutating func take(_ text: String) -> Bool {
      let wanted = Array(text.utf8)
      guard bytes[min(position, bytes.count)...].starts(with: wanted) else { return false }
      position += wanted.count
      return true
    }

    mutating func function() -> String? {
      // Local entities: the enclosing function stands for them.
      if take("Z") { return function().map { $0 + "::(local)" } }
      if take("N") {
        while let byte = current, [0x72, 0x56, 0x4B, 0x52, 0x4F].contains(byte) { position += 1 }  // r V K R O
        return nested()
      }
      return unscoped()
    }

    private mutating func unscoped() -> String? {
      let prefix = take("St") ? "std::" : ""
      guard let part = component(after: nil) else { return nil }
      return prefix + part + (arguments() ?? "")
    }

    private mutating func nested() -> String? {
      var parts: [String] = []
      while let byte = current {
        if byte == UInt8(ascii: "E") {
          position += 1
          return parts.isEmpty ? nil : joined(parts)
        }
        if byte == UInt8(ascii: "I") {
          guard let text = arguments(), let last = parts.popLast() else { return nil }
          parts.append(last + text)
        } else if byte == UInt8(ascii: "B") {
          // An ABI tag: B, then a name.
          position += 1
          guard sourceName() != nil else { return nil }
        } else if byte == UInt8(ascii: "S") {
          guard let text = substitution() else { return nil }
          parts.append(text)
        } else {
          guard let part = component(after: parts.last) else { return nil }
          parts.append(part)
        }
      }
      return nil
    }

    /// Rust's old names end in a hash of their own.
    private func joined(_ parts: [String]) -> String {
      if let last = parts.last, parts.count > 1, last.count == 17, last.hasPrefix("h"), last.dropFirst().allSatisfy(\.isHexDigit)
      {
        return parts.dropLast().joined(separator: "::")
      }
      return parts.joined(separator: "::")
    }

    private mutating func component(after previous: String?) -> String? {
      guard let byte = current else { return nil }
      if byte == UInt8(ascii: "L") { position += 1 }  // internal linkage
      if let first = current, (0x30...0x39).contains(first) { return sourceName() }
      if take("C1") || take("C2") || take("C3") { return bare(previous) }
      if take("D0") || take("D1") || take("D2") { return bare(previous).map { "~" + $0 } }
      if take("Ul") { return closure() }
      if take("Ut") {
        while let byte = current, byte != UInt8(ascii: "_") { position += 1 }
        return take("_") ? "(unnamed)" : nil
      }
      return operatorName()
    }

    /// A class's name without its arguments, for constructors.
    private func bare(_ name: String?) -> String? {
      name.map { $0.hasSuffix("<...>") ? String($0.dropLast(5)) : $0 }
    }

    private mutating func sourceName() -> String? {
      var length = 0
      while let byte = current, (0x30...0x39).contains(byte), length < 4096 {
        length = length * 10 + Int(byte - 0x30)
        position += 1
      }
      guard length > 0, length <= bytes.count - position else { return nil }
      defer { position += length }
      let text = String(decoding: bytes[position..<(position + length)], as: UTF8.self)
      return text.hasPrefix("_GLOBAL__N") ? "(anonymous)" : text
    }

    private mutating func closure() -> String? {
      guard skip(until: 1) else { return nil }
      while let byte = current, (0x30...0x39).contains(byte) { position += 1 }
      return take("_") ? "(lambda)" : nil
    }

    private mutating func substitution() -> String? {
      for (code, text) in [
        ("St", "std"), ("Sa", "std::allocator"), ("Sb", "std::basic_string"), ("Ss", "std::string"), ("Si", "std::istream"),
        ("So", "std::ostream"), ("Sd", "std::iostream"),
      ] where take(code) { return text }
      return nil
    }

    private static let operators: [String: String] = [
      "nw": "new", "na": "new[]", "dl": "delete", "da": "delete[]", "cl": "()", "ix": "[]", "pl": "+", "mi": "-", "ml": "*",
      "dv": "/", "rm": "%", "aS": "=", "pL": "+=", "mI": "-=", "mL": "*=", "eq": "==", "ne": "!=", "lt": "<", "gt": ">",
      "le": "<=",
      "ge": ">=", "ls": "<<", "rs": ">>", "pp": "++", "mm": "--", "pt": "->", "aa": "&&", "oo": "||", "nt": "!", "an": "&",
      "or": "|",
    ]
    private mutating func operatorName() -> String? {
      guard position + 2 <= bytes.count else { return nil }
      guard let text = Self.operators[String(decoding: bytes[position..<(position + 2)], as: UTF8.self)] else { return nil }
      position += 2
      return "operator" + (text.first!.isLetter ? " " : "") + text
    }

    /// Passes over template arguments.
    private mutating func arguments() -> String? {
      guard take("I") else { return nil }
      return skip(until: 1) ? "<...>" : nil
    }

    /// Walks to the end of what is open, by counting what opens and what ends; names are passed over whole.
    private mutating func skip(until depth: Int) -> Bool {
      var depth = depth
      while let byte = current {
        switch byte {
        case 0x30...0x39: guard sourceName() != nil else { return false }
        case UInt8(ascii: "E"):
          position += 1
          depth -= 1
          if depth == 0 { return true }
        case UInt8(ascii: "N"), UInt8(ascii: "I"), UInt8(ascii: "F"), UInt8(ascii: "J"), UInt8(ascii: "X"):
          position += 1
          depth += 1
        case UInt8(ascii: "L"):
          // A literal: type, digits, E.
          position += 1
          depth += 1
          guard literal() else { return false }
        case UInt8(ascii: "S"), UInt8(ascii: "T"):
          position += 1
          guard reference(byte) else { return false }
        case UInt8(ascii: "D"):
          position += 1
          if let next = current, next == UInt8(ascii: "t") || next == UInt8(ascii: "T") { depth += 1 }
          position += 1
        case UInt8(ascii: "A"):
          position += 1
          while let digit = current, (0x30...0x39).contains(digit) { position += 1 }
          guard take("_") else { return false }
        default: position += 1
        }
      }
      return false
    }

    private mutating func literal() -> Bool {
      guard let byte = current else { return false }
      if (0x61...0x7A).contains(byte) {
        position += 1
        while let digit = current, (0x30...0x39).contains(digit) || digit == UInt8(ascii: "n") { position += 1 }
      }
      return true
    }

    /// S_, S0_, St, T_, T0_ ...
    private mutating func reference(_ letter: UInt8) -> Bool {
      if letter == UInt8(ascii: "S"), let byte = current, (0x61...0x7A).contains(byte) {
        position += 1
        return true
      }
      while let byte = current, byte != UInt8(ascii: "_") {
        guard (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) else { return false }
        position += 1
      }
      return take("_")
    }
  }
}
