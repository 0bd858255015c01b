import Testing

@testable import Config

/// Texts near to YAML, the same ones in each run.
@Suite struct YAMLMutationTests {
  private struct Random {
    var state: UInt64
    /// Below `bound`, by SplitMix64.
    mutating func below(_ bound: Int) -> Int {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
    }
  }

  private static let originals = [
    "log:\n  level: debug\n  format: 'json'\nagents: {limit: 5}\ncheck.interval: 1.5s # often\n",
    "a: [1, \"x\\u00e9\", 'it''s', {b: c}]\nd: |+\n  text\n\n  more\ne: >-\n folded\n text\n? complex\n: value\n",
    "%YAML 1.1\n%TAG !e! tag:example.org,2000:\n--- &anchor !e!map\nk: &x !!str v\nl: *x\n...\n",
    "rules:\n- name: a\n  when: memory.level > 60% and (package.\"x.y\".idle > 2m or swap.used < 1)\n  for: 3s\n  then: "
      + "[{unload: [torch, 'b']}, collect, {log: \"x\\n\"}]\n- {name: b, when: \"swap.used > \\\n  1\", then: {strategy: night}}\n",
    "\u{FEFF}- é\r\n- 😀\t\u{85}- \u{2028}\n-\n  - - {}\n    - []\n",
  ].map { Array($0.utf8) }

  private static let pieces =
    [
      "\n", "\r\n", "\t", "  ", ": ", "- ", "? ", "[", "]", "{", "}", ", ", "#", "&a ", "*a ", "!!str ", "|", ">", "'", "\"",
      "\\",
      "%", "---\n", "...\n", "\0", "\u{FEFF}", "\u{2029}", "<<", "~",
    ].map { Array($0.utf8) } + [[0xC3], [0xF0, 0x9F], [0x80], [0xFF], [0xE2, 0x80]]

  private static func mutated(_ random: inout Random) -> [UInt8] {
    var bytes = originals[random.below(originals.count)]
    for _ in 0...random.below(6) {
      let start = random.below(bytes.count + 1)
      let end = min(bytes.count, start + random.below(8))
      switch random.below(6) {
      case 0: bytes.removeSubrange(start..<end)
      case 1: bytes.insert(contentsOf: bytes[start..<end], at: random.below(bytes.count + 1))
      case 2: if start < bytes.count { bytes[start] = UInt8(random.below(256)) }
      case 3: bytes.removeSubrange(start...)
      case 4:
        let piece = pieces[random.below(pieces.count)]
        bytes.insert(contentsOf: (0...random.below(20)).flatMap { _ in piece }, at: start)
      default: bytes.insert(contentsOf: pieces[random.below(pieces.count)], at: start)
      }
    }
    return bytes
  }

  private static func places(_ node: YAMLNode) -> [YAMLPlace] {
    switch node {
    case .scalar: [node.place]
    case .sequence(let items, _): [node.place] + items.flatMap(places)
    case .mapping(let pairs, _): [node.place] + pairs.flatMap { places($0.key) + places($0.value) }
    }
  }

  @Test("five thousand damaged texts are read or refused at a place inside them, in bounded time") func mutations() {
    var random = Random(state: 2026)
    var read = 0
    let clock = ContinuousClock()
    let start = clock.now
    for _ in 0..<5000 {
      let bytes = Self.mutated(&random)
      // A carriage return, NEL, LS and PS end lines too: at most as many as there are bytes.
      let lines = 1...(bytes.count + 2)
      var found: [YAMLPlace]
      do throws(YAMLFault) {
        found = try YAMLNode.compose(bytes, limits: YAMLLimits(depth: 16, nodes: 500)).map(Self.places) ?? []
        read += 1
      } catch {
        found = [error.place]
        #expect(!error.message.isEmpty)
      }
      let reading = ConfigurationFile.read(bytes, path: "f")
      found += reading.errors.map { YAMLPlace(line: $0.line ?? 0, column: $0.column ?? 0) }
      let rules = reading.rules.map(\.rule)
      #expect((try? RuleFile.read(Array(RuleFile.text(rules).utf8), path: "again")) == rules, "\(bytes)")
      #expect(found.allSatisfy { lines.contains($0.line) && lines.contains($0.column) }, "\(bytes)")
    }
    // Both ways are gone often, or the texts are no test.
    #expect((500...4500).contains(read))
    #expect(clock.now - start < .seconds(60))
  }
}
