extension YAMLNode {
  /// The one document in `bytes`, nil when there is none; a byte order mark before it is let through. Takes time and memory
  /// in proportion to the bytes, whatever they are.
  static func compose(_ bytes: [UInt8], limits: YAMLLimits) throws(YAMLFault) -> YAMLNode? {
    return try withoutMark(bytes)
      .withUnsafeBufferPointer { text throws(YAMLFault) -> YAMLNode? in
        if let fault = YAMLFault.inBytes(text) { throw fault }
        var composer = YAMLComposer(events: try YAMLEvents(text), limits: limits)
        return try composer.document()
      }
  }
}

/// Places are counted behind a byte order mark.
func withoutMark(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
  let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
  return bytes.starts(with: mark) ? bytes[mark.count...] : bytes[...]
}

/// Makes nodes of events.
private struct YAMLComposer: ~Copyable {
  var events: YAMLEvents
  let limits: YAMLLimits
  var nodes = 0

  init(events: consuming YAMLEvents, limits: YAMLLimits) {
    self.events = events
    self.limits = limits
  }

  mutating func document() throws(YAMLFault) -> YAMLNode? {
    var root: YAMLNode?
    while true {
      switch try events.next() {
      case .streamEnd: return root
      case .documentStart(let place):
        guard root == nil else {
          throw YAMLFault(reason: .syntax, place: place, message: "one YAML document is expected: but found another document")
        }
        root = try node(depth: 0)
      case .other, .scalar, .sequenceStart, .mappingStart, .end, .alias: continue
      }
    }
  }

  private mutating func node(depth: Int) throws(YAMLFault) -> YAMLNode? { try node(of: events.next(), depth: depth) }

  /// Nil at the end of what holds it.
  private mutating func node(of event: YAMLEvent, depth: Int) throws(YAMLFault) -> YAMLNode? {
    switch event {
    case .scalar(let scalar, let properties):
      try count(properties.place)
      return .scalar(scalar, properties)
    case .sequenceStart(let properties):
      try count(properties.place, depth: depth + 1)
      var items: [YAMLNode] = []
      while let item = try node(depth: depth + 1) { items.append(item) }
      return .sequence(items, properties)
    case .mappingStart(let properties):
      try count(properties.place, depth: depth + 1)
      return .mapping(try pairs(depth: depth + 1), properties)
    case .alias(let place):
      throw YAMLFault(
        reason: .alias, place: place, message: "anchors and aliases are not accepted; write the value out")
    case .end, .other, .documentStart, .streamEnd: return nil
    }
  }

  private mutating func pairs(depth: Int) throws(YAMLFault) -> [YAMLPair] {
    var pairs: [YAMLPair] = []
    var places: [String: YAMLPlace] = [:]
    while let key = try node(depth: depth), let value = try node(depth: depth) {
      var pair = YAMLPair(key: key, value: value)
      if case .scalar(let scalar, let properties) = key {
        pair.first = places[scalar.text]
        if pair.first == nil { places[scalar.text] = properties.place }
      }
      pairs.append(pair)
    }
    return pairs
  }

  private mutating func count(_ place: YAMLPlace, depth: Int = 0) throws(YAMLFault) {
    nodes += 1
    guard nodes <= limits.nodes else {
      throw YAMLFault(reason: .limit, place: place, message: "more than \(limits.nodes) values")
    }
    guard depth <= limits.depth else {
      throw YAMLFault(reason: .limit, place: place, message: "nested deeper than \(limits.depth) levels")
    }
  }
}

extension YAMLFault {
  private static let directiveLimit = 16

  /// What libyaml is not to see: bytes that are no UTF-8; NUL; and many lines that begin with `%`, for it compares each
  /// `%TAG` with all before it.
  fileprivate static func inBytes(_ bytes: UnsafeBufferPointer<UInt8>) -> YAMLFault? {
    var walk = YAMLPlaceWalk(bytes)
    var directives = 0
    while true {
      switch walk.next() {
      case .error: return YAMLFault(reason: .encoding, place: walk.place, message: "byte that is no UTF-8")
      case .scalarValue("\0"): return YAMLFault(reason: .encoding, place: walk.place, message: "NUL character")
      case .scalarValue("%") where walk.place.column == 1:
        directives += 1
        guard directives <= directiveLimit else {
          return YAMLFault(reason: .limit, place: walk.place, message: "more than \(directiveLimit) directives")
        }
      case .scalarValue: continue
      case .emptyInput: return nil
      }
    }
  }
}

extension YAMLPlace {
  /// Where the character with the byte at `offset` stands.
  init(ofByte offset: Int, in bytes: UnsafeBufferPointer<UInt8>) {
    var walk = YAMLPlaceWalk(UnsafeBufferPointer(rebasing: bytes.prefix(offset + 1)))
    while case .scalarValue = walk.next() {}
    self = walk.place
  }
}

/// Goes through text scalar by scalar and knows where each stands.
private struct YAMLPlaceWalk {
  private var decoder = UTF8()
  private var rest: UnsafeBufferPointer<UInt8>.Iterator
  private var last: Unicode.Scalar?
  /// Of what `next` gave last; at the end, of the last scalar.
  private(set) var place = YAMLPlace()

  init(_ bytes: UnsafeBufferPointer<UInt8>) { rest = bytes.makeIterator() }

  mutating func next() -> UnicodeDecodingResult {
    let result = decoder.decode(&rest)
    if result == .emptyInput { return result }
    let current: Unicode.Scalar? = if case .scalarValue(let scalar) = result { scalar } else { nil }
    switch last {
    case nil: break
    case "\r" where current == "\n": place.column += 1
    case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": place = YAMLPlace(line: place.line + 1)
    default: place.column += 1
    }
    last = current
    return result
  }
}
