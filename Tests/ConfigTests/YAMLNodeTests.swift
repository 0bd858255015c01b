import Testing

@testable import Config

@Suite struct YAMLNodeTests {
  private static let limits = YAMLLimits(depth: 8, nodes: 100)

  /// The document on one line: `{key@line:column: ...}`, plain scalars bare, others in quotes.
  private static func shown(_ text: String, limits: YAMLLimits = limits) -> String {
    do throws(YAMLFault) {
      return try YAMLNode.compose(Array(text.utf8), limits: limits).map(shown) ?? "nothing"
    } catch {
      return "\(error.reason) \(error.place.line):\(error.place.column) \(error.message)"
    }
  }

  private static func shown(_ node: YAMLNode) -> String {
    let properties = node.properties
    let before = (properties.anchor.map { "&\($0) " } ?? "") + (properties.tag.map { "!<\($0)> " } ?? "")
    let place = "@\(properties.place.line):\(properties.place.column)"
    switch node {
    case .scalar(let scalar, _): return before + (scalar.isPlain ? scalar.text : scalar.text.debugDescription) + place
    case .sequence(let items, _): return before + "[\(items.map(shown).joined(separator: ", "))]" + place
    case .mapping(let pairs, _):
      let members = pairs.map { pair in
        shown(pair.key) + (pair.first.map { " again after \($0.line):\($0.column)" } ?? "") + ": " + shown(pair.value)
      }
      return before + "{\(members.joined(separator: ", "))}" + place
    }
  }

  @Test(
    "every node knows where it begins",
    arguments: [
      ("", "nothing"), ("# x", "nothing"), ("\u{FEFF}", "nothing"), ("---\n", "@2:1"),
      ("a", "a@1:1"), ("\u{FEFF}a", "a@1:1"), ("~", "~@1:1"),
      ("a: b", "{a@1:1: b@1:4}@1:1"),
      ("a:\n  - 'b'\n  - \"\\t\"\n", "{a@1:1: [\"b\"@2:5, \"\\t\"@3:5]@2:3}@1:1"),
      ("é😀: [x, {y: z}]", "{é😀@1:1: [x@1:6, {y@1:10: z@1:13}@1:9]@1:5}@1:1"),
      ("a:\r\n  b:\r\n    c", "{a@1:1: {b@2:3: c@3:5}@2:3}@1:1"),
      ("a: |\n  x\n  y\nb: >-\n  x\n  y", "{a@1:1: \"x\\ny\\n\"@1:4, b@4:1: \"x y\"@4:4}@1:1"),
      ("a:\tb\t# c", "{a@1:1: b@1:4}@1:1"),
      ("? {a: b}\n: c", "{{a@1:4: b@1:7}@1:3: c@2:3}@1:1"),
      (
        "&r !t {a: &x !!str b, c: !!map {}, d: &e [!!int 1], f: ! g}",
        "&r !<!t> {a@1:8: &x b@1:11, c@1:23: {}@1:26, d@1:36: &e [!<tag:yaml.org,2002:int> 1@1:43]@1:39, f@1:53: !<!> g@1:56}@1:1"
      ),
    ])
  func places(text: String, expected: String) { #expect(Self.shown(text) == expected) }

  @Test(
    "a key given again knows where it stands first, however it is written",
    arguments: [
      (
        "{a: 1, b: {a: 2}, 'a': 3, \"\\x61\": 4}",
        "{a@1:2: 1@1:5, b@1:8: {a@1:12: 2@1:15}@1:11, "
          + "\"a\"@1:19 again after 1:2: 3@1:24, \"a\"@1:27 again after 1:2: 4@1:35}@1:1"
      ),
      ("? a\n: 1\n? |-\n  a\n: 2", "{a@1:3: 1@2:3, \"a\"@3:3 again after 1:3: 2@5:3}@1:1"),
      ("{{}: 1, {}: 2}", "{{}@1:2: 1@1:6, {}@1:9: 2@1:13}@1:1"),
    ])
  func repeated(text: String, expected: String) { #expect(Self.shown(text) == expected) }

  @Test(
    "what is no YAML is named with its place, in libyaml's words",
    arguments: [
      ("a: [1", "syntax 2:1 not YAML: did not find expected ',' or ']' (while parsing a flow sequence, line 1)"),
      ("a: b: c", "syntax 1:5 not YAML: mapping values are not allowed in this context"),
      ("a: 'b", "syntax 1:6 not YAML: found unexpected end of stream (while scanning a quoted scalar, line 1)"),
      (
        "a: \"\\ud800\"",
        "syntax 1:7 not YAML: found invalid Unicode character escape code (while parsing a quoted scalar, line 1)"
      ),
      ("a: *b", "alias 1:4 anchors and aliases are not accepted; write the value out"),
      ("'&a' : '*a'", "{\"&a\"@1:1: \"*a\"@1:8}@1:1"),
      ("a\n---\nb", "syntax 2:1 one YAML document is expected: but found another document"),
      ("a\n---\n", "syntax 2:1 one YAML document is expected: but found another document"),
      ("é: \0", "encoding 1:4 NUL character"),
      ("a\n# \u{1}", "encoding 2:3 not YAML: control characters are not allowed"),
      ("a\r\u{85}\u{2028}\r\n \u{FFFE}", "encoding 5:2 not YAML: control characters are not allowed"),
      ("%YAML 3.0\n--- a", "syntax 1:1 not YAML: found incompatible YAML document"),
    ])
  func faults(text: String, expected: String) { #expect(Self.shown(text) == expected) }

  @Test(
    "bytes that are no UTF-8 are refused with their place",
    arguments: [
      [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0x80], [0xFF, 0xFE, 0x61, 0x00], [0xC0, 0x80], [0xED, 0xA0, 0x80],
      [0xF4, 0x90, 0x80, 0x80], [0xC3, 0x28],
    ] as [[UInt8]])
  func encoding(bytes: [UInt8]) {
    #expect(throws: YAMLFault(reason: .encoding, place: YAMLPlace(line: 2, column: 2), message: "byte that is no UTF-8")) {
      try YAMLNode.compose(Array("a\né".utf8) + bytes, limits: Self.limits)
    }
  }

  @Test("nesting and the number of values are bounded, at the place where they are exceeded") func bounds() {
    let limits = YAMLLimits(depth: 3, nodes: 5)
    #expect(Self.shown("[[[x]]]", limits: limits) == "[[[x@1:4]@1:3]@1:2]@1:1")
    #expect(Self.shown("[[[[", limits: limits) == "limit 1:4 nested deeper than 3 levels")
    #expect(Self.shown("a: {b: {c: {}}}", limits: YAMLLimits(depth: 3, nodes: 50)) == "limit 1:12 nested deeper than 3 levels")
    let directives = (0..<17).map { "%TAG !\($0)! x\n" }
    #expect(Self.shown(directives[1...].joined() + "--- a") == "a@17:5")
    #expect(Self.shown(directives.joined() + "--- a") == "limit 17:1 more than 16 directives")
    #expect(Self.shown("- a\n- b\n- c\n- d\n- e", limits: limits) == "limit 5:3 more than 5 values")
  }

  struct Hostile: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var text: String
    init(_ name: String, _ text: String) {
      testDescription = name
      self.text = text
    }
  }

  /// As large as a configuration file may be.
  static let hostile: [Hostile] = {
    func filled(_ piece: String) -> String { String(repeating: piece, count: ConfigurationFile.sizeLimit / piece.utf8.count) }
    let ladder = (0..<700).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    let pieces = [
      "[", "{", "]", "- ", "? ", ": ", "a", "a ", " ", "\t", "\n", "\r", "'", "\"", "\"a\":", "|\n", "a:\n", "a,", "[],",
      "{a: b},",
      "&a ", "*a ", "!a ", "#", "# \n", "---\n", "...\n", "%\n", "%YAML 1.1\n", "%TAG ! !\n", "é", "😀", "\u{2028}", "\\", "a\n\n",
      "[a: b, ",
    ]
    return pieces.map { Hostile("many \($0.debugDescription)", filled($0)) }
      + ["a: ", "a: '", "a: \"", "a: |\n ", "- >\n ", "a: [", "--- ", "# ", "&", "!<", "%TAG !a! "].map {
        Hostile("long after \($0.debugDescription)", $0 + filled("x"))
      }
      + [
        Hostile("ladder", ladder), Hostile("wide mapping", (0..<90_000).map { "k\($0): 1\n" }.joined()),
        Hostile("escapes", "a: \"" + filled("\\u00e9") + "\""), Hostile("quoted lines", "a: \"" + filled("x\n\n") + "\""),
        Hostile("block lines", "a: |\n" + filled("  x\n\n")),
        Hostile("tag handles", (0..<60_000).map { "%TAG !\($0)! x\n" }.joined() + "--- a"), Hostile("same key", filled("a: 1\n")),
        Hostile("near names", (0..<60_000).map { "log.levle\($0): 1\n" }.joined()),
      ]
  }()

  @Test("a mebibyte of anything takes bounded time, with or without a limit on values", arguments: hostile)
  func bounded(hostile: Hostile) {
    let bytes = Array(hostile.text.utf8)
    let clock = ContinuousClock()
    let unlimited = clock.measure { _ = try? YAMLNode.compose(bytes, limits: YAMLLimits(depth: 64, nodes: .max)) }
    let reading = clock.measure { _ = ConfigurationFile.read(bytes, path: "f") }
    // Generous: in an unoptimized build on a busy machine. What grows with the square takes minutes.
    #expect(unlimited < .seconds(20), "\(unlimited)")
    #expect(reading < .seconds(20), "\(reading)")
  }
}
