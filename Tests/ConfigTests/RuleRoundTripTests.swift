import Model
import Testing

@testable import Config

/// Numbers that look random, the same ones in each run: SplitMix64.
struct Seeded {
  var state: UInt64

  mutating func below(_ bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
  }

  mutating func element<Element>(of elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// Rules made at random.
private struct RuleMaker {
  var random: Seeded

  private static let letters = Array("abcXYZ019-_ .\"\\'é😀:#{}[]%&*!|>,?@`\u{A0}").map(String.init)

  mutating func unitName() -> String {
    while true {
      let name = (0...random.below(12)).map { _ in random.element(of: Self.letters) }.joined()
      if UnitName.fault(name) == nil { return name }
    }
  }

  mutating func number() -> Double {
    switch random.below(6) {
    case 0: 0
    case 1: Double(random.below(1000))
    case 2: Double(random.below(1 << 40))
    case 3: Double(random.below(100)) / 100
    case 4: Double(random.below(1 << 53)) / 0x1p53 * 1e18
    default: max(Double(random.below(1 << 53)) / 0x1p53 * 1e-9, 1e-12)
    }
  }

  mutating func metric() -> RuleMetric {
    switch random.below(3) {
    case 0: .machine(random.element(of: MachineMetric.allCases))
    case 1: .package(unitName(), random.element(of: PackageMetric.allCases))
    default: .process(unitName(), random.element(of: ProcessMetric.allCases))
    }
  }

  mutating func condition(_ depth: Int) -> RuleCondition {
    switch depth > 5 ? 0 : random.below(5) {
    case 1: return .not(condition(depth + 1))
    case 2: return .all((0..<(2 + random.below(2))).map { _ in condition(depth + 1) })
    case 3: return .any((0..<(2 + random.below(2))).map { _ in condition(depth + 1) })
    default:
      let metric = metric()
      let value = min(number(), metric.largest ?? .infinity)
      return .comparison(RuleComparison(metric, random.element(of: RuleRelation.allCases), value))
    }
  }

  mutating func action() -> RuleAction {
    switch random.below(9) {
    case 0: .unload(unitName())
    case 1: .setStrategy(random.element(of: ["aggressive", "on", "null", "night"]), of: unitName())
    case 2: .setStrategy("balanced", of: nil)
    case 3: .allow(unitName())
    case 4: .deny(unitName())
    case 5: .useProfile(random.element(of: [nil, .inference, .training, .analysis]))
    case 6: .collect
    case 7: .merge(unitName())
    default: .log(unitName() + random.element(of: ["\n", "\u{85}\u{2028}", "\u{FEFF}x", "\u{1B}[0m", "\u{10FFFF}"]) + unitName())
    }
  }

  mutating func rule(_ index: Int) -> Rule {
    while true {
      let rule = Rule(
        name: random.element(of: ["r", "Rule-", "a_b"]) + "\(index)", isEnabled: random.below(4) > 0, condition: condition(0),
        holdSeconds: random.element(of: [0, 1, 30, 0.5, 1.001, 2_592_000]),
        cooldownSeconds: random.element(of: [60, 1, 61.5, 3600]),
        after: (0..<random.below(3)).map { "r\($0)" }, actions: (0...random.below(4)).map { _ in action() })
      if rule.fault == nil { return rule }
    }
  }
}

@Suite struct RuleRoundTripTests {
  @Test("two thousand rules are written and read back as they were", arguments: 0..<20) func roundTrip(seed: Int) throws {
    var maker = RuleMaker(random: Seeded(state: UInt64(seed)))
    let rules = (0..<100).map { maker.rule($0) }
    let text = RuleFile.text(rules)
    let again = try RuleFile.read(Array(text.utf8), path: "f")
    for (rule, read) in zip(rules, again) where rule != read { Issue.record("\(rule) became \(read)") }
    #expect(again.count == rules.count)
    // One line each, as JSON has it.
    let lines = "rules: [\n" + rules.map { RuleFile.json($0) + ",\n" }.joined() + "]"
    #expect(try RuleFile.read(Array(lines.utf8), path: "f") == rules)
  }
}
