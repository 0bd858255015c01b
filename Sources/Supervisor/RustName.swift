/// Makes names of Rust functions readable: `_RNvMs_NtCs1_5alloc3vecINtB4_3VechE4push` becomes `<alloc::vec::Vec<...>>::push`.
///
/// The "v0" mangling of RFC 2603. Generic arguments, lifetimes and the hashes of crates are left out. A name refers to its own
/// earlier parts, so that a short one can stand for one without end: steps and depth are counted, and what goes beyond is shown
/// as it is. Names in the old mangling look like C++'s.
struct RustName {
  /// Longest mangled name looked at. Generic arguments make names of some kilobytes.
  static let limit = 4096
  private static let stepLimit = 1_000
  private static let depthLimit = 64

  private let bytes: ArraySlice<UInt8>
  private var position: Int
  private var steps = 0
  private var depth = 0
  /// Bytes of identifiers that may still be shown.
  private var room = RustName.limit
  /// Inside what is left out: references are not followed.
  private var isSkipping = false

  /// Nil for what is no such name, or one that is not understood.
  static func readable(_ mangled: [UInt8]) -> String? {
    guard mangled.count <= limit, mangled.starts(with: Array("_R".utf8)) else { return nil }
    var parser = RustName(mangled[2...])
    return parser.path()
  }

  private init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  private func isNext(_ letter: Unicode.Scalar) -> Bool { position < bytes.endIndex && bytes[position] == UInt8(ascii: letter) }

  private mutating func take(_ letter: Unicode.Scalar) -> Bool {
    guard isNext(letter) else { return false }
    position += 1
    return true
  }

  private mutating func next() -> UInt8? {
    guard position < bytes.endIndex else { return nil }
    defer { position += 1 }
    return bytes[position]
  }

  private mutating func nested(_ parse: (inout RustName) -> String?) -> String? {
    steps += 1
    guard steps <= Self.stepLimit, depth < Self.depthLimit else { return nil }
    depth += 1
    defer { depth -= 1 }
    return parse(&self)
  }

  /// Digits of base 62 up to "_"; "_" alone is 0.
  private mutating func base62() -> Int? {
    var value: Int?
    while let byte = next() {
      let digit: Int
      switch byte {
      case UInt8(ascii: "_"): return value.map { $0 + 1 } ?? 0
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = Int(byte - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = Int(byte - UInt8(ascii: "a")) + 10
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = Int(byte - UInt8(ascii: "A")) + 36
      default: return nil
      }
      // A crate's hash has 64 bits; only references need their value, and those are small.
      value = ((value ?? 0) &* 62 &+ digit) & 0xFFFF_FFFF_FFFF
    }
    return nil
  }

  /// What `parse` makes of an earlier part. Where it is left out nothing is looked at.
  private mutating func reference(_ parse: (inout RustName) -> String?) -> String? {
    let here = position - 1
    guard let offset = base62(), offset < here - bytes.startIndex else { return nil }
    if isSkipping { return "" }
    let after = position
    position = bytes.startIndex + offset
    defer { position = after }
    return nested(parse)
  }

  private mutating func skipping(_ parse: (inout RustName) -> String?) -> Bool {
    let before = isSkipping
    isSkipping = true
    defer { isSkipping = before }
    return nested(parse) != nil
  }

  private mutating func identifier() -> String? {
    if take("s"), base62() == nil { return nil }
    return plainIdentifier()
  }

  private mutating func plainIdentifier() -> String? {
    _ = take("u")
    var length = 0
    while position < bytes.endIndex, case let digit = bytes[position], (0x30...0x39).contains(digit) {
      guard length < Self.limit else { return nil }
      length = length * 10 + Int(digit - 0x30)
      position += 1
      if length == 0 { break }
    }
    _ = take("_")
    guard length <= bytes.endIndex - position else { return nil }
    defer { position += length }
    if isSkipping { return "" }
    room -= length
    guard room >= 0 else { return nil }
    return String(decoding: bytes[position..<(position + length)], as: UTF8.self)
  }

  private mutating func path() -> String? {
    nested { $0.pathHere() }
  }

  private mutating func pathHere() -> String? {
    switch next() {
    case UInt8(ascii: "C"): return identifier()
    case UInt8(ascii: "M"):
      guard implementation(), let type = type() else { return nil }
      return "<\(type)>"
    case UInt8(ascii: "X"):
      guard implementation(), let type = type(), let trait = path() else { return nil }
      return "<\(type) as \(trait)>"
    case UInt8(ascii: "Y"):
      guard let type = type(), let trait = path() else { return nil }
      return "<\(type) as \(trait)>"
    case UInt8(ascii: "N"):
      guard let space = next(), let outer = path(), let name = identifier() else { return nil }
      switch space {
      case UInt8(ascii: "C"): return outer + "::{closure}"
      case UInt8(ascii: "S"): return outer + "::{shim}"
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"):
        return name.isEmpty ? outer : "\(outer)::\(name)"
      default: return nil
      }
    case UInt8(ascii: "I"):
      guard let generic = path() else { return nil }
      while !take("E") { guard argument() else { return nil } }
      return generic + "<...>"
    case UInt8(ascii: "B"): return reference { $0.pathHere() }
    default: return nil
    }
  }

  /// Where an implementation stands, which its type tells as well.
  private mutating func implementation() -> Bool {
    if take("s"), base62() == nil { return false }
    return skipping { $0.pathHere() }
  }

  private mutating func argument() -> Bool {
    if take("L") { return base62() != nil }
    if take("K") { return constant() }
    return skipping { $0.typeHere() }
  }

  private mutating func constant() -> Bool {
    if take("p") { return true }
    if take("B") { return base62() != nil }
    guard skipping({ $0.typeHere() }) else { return false }
    while let byte = next() { if byte == UInt8(ascii: "_") { return true } }
    return false
  }

  private static let basic: [UInt8: String] = Dictionary(
    uniqueKeysWithValues: zip(
      "abcdefhijlmnopstuvxyz".utf8,
      [
        "i8", "bool", "char", "f64", "str", "f32", "u8", "isize", "usize", "i32", "u32", "i128", "u128", "_", "i16", "u16", "()",
        "...", "i64", "u64", "!",
      ]))

  private mutating func type() -> String? { nested { $0.typeHere() } }

  private mutating func typeHere() -> String? {
    guard let letter = next() else { return nil }
    if let name = Self.basic[letter] { return name }
    switch letter {
    case UInt8(ascii: "A"):
      guard let element = type(), constant() else { return nil }
      return "[\(element); _]"
    case UInt8(ascii: "S"): return type().map { "[\($0)]" }
    case UInt8(ascii: "T"):
      var parts: [String] = []
      while !take("E") {
        guard let part = type() else { return nil }
        parts.append(part)
      }
      return "(\(parts.joined(separator: ", ")))"
    case UInt8(ascii: "R"), UInt8(ascii: "Q"):
      if take("L"), base62() == nil { return nil }
      return type().map { (letter == UInt8(ascii: "R") ? "&" : "&mut ") + $0 }
    case UInt8(ascii: "P"): return type().map { "*const \($0)" }
    case UInt8(ascii: "O"): return type().map { "*mut \($0)" }
    case UInt8(ascii: "F"): return function() ? "fn(...)" : nil
    case UInt8(ascii: "D"): return traitObject()
    case UInt8(ascii: "B"): return reference { $0.typeHere() }
    default:
      position -= 1
      return path()
    }
  }

  private mutating func function() -> Bool {
    if take("G"), base62() == nil { return false }
    _ = take("U")
    if take("K"), !take("C"), plainIdentifier() == nil { return false }
    while !take("E") { guard skipping({ $0.typeHere() }) else { return false } }
    return skipping { $0.typeHere() }
  }

  private mutating func traitObject() -> String? {
    if take("G"), base62() == nil { return nil }
    var traits: [String] = []
    while !take("E") {
      guard let trait = path() else { return nil }
      traits.append(trait)
      while take("p") { guard plainIdentifier() != nil, skipping({ $0.typeHere() }) else { return nil } }
    }
    guard take("L"), base62() != nil else { return nil }
    return "dyn " + traits.joined(separator: " + ")
  }
}
