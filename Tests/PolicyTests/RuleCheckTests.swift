import Model
import Testing

@Suite struct RuleCheckTests {
  private static let level = RuleCondition.comparison(RuleComparison(.machine(.memoryLevel), .above, 0.6))

  private static let used = RuleCondition.comparison(RuleComparison(.machine(.swapUsed), .above, 1))

  private static func rule(_ name: String, _ condition: RuleCondition = level, after: [String] = []) -> Rule {
    Rule(name: name, condition: condition, after: after, actions: [.collect])
  }

  private static func nested(_ depth: Int) -> RuleCondition { (1..<depth).reduce(level) { inner, _ in .not(inner) } }

  private static func changed(_ change: (inout Rule) -> Void) -> Rule {
    var result = rule("a")
    change(&result)
    return result
  }

  @Test(
    "a rule that no text could say is refused, with what is wrong",
    arguments: [
      (rule(""), "rule '' has a bad name: it must not be empty"),
      (rule("1"), "rule '1' has a bad name: it must begin with a letter"),
      (rule("a b"), "rule 'a b' has a bad name: it must be of letters, digits, '-' and '_'"),
      (rule("a", nested(33)), "rule 'a' has conditions nested deeper than 32 levels"),
      (rule("a", nested(1000)), "rule 'a' has conditions nested deeper than 32 levels"),
      (rule("a", .all([level])), "rule 'a' combines fewer than two conditions"),
      (rule("a", .any([])), "rule 'a' combines fewer than two conditions"),
      (rule("a", .any(Array(repeating: level, count: 410))), "rule 'a' has too many conditions"),
      (
        rule("a", .comparison(RuleComparison(.machine(.memoryLevel), .above, .nan))),
        "rule 'a' compares memory.level with nan, which is no number it can have"
      ),
      (
        rule("a", .comparison(RuleComparison(.machine(.memoryLevel), .above, -1))),
        "rule 'a' compares memory.level with -1.0, which is no number it can have"
      ),
      (
        rule("a", .comparison(RuleComparison(.package("x\n", .idle), .above, 1))),
        "rule 'a' asks for a metric whose name must not hold control characters"
      ),
      (changed { $0.holdSeconds = -1 }, "rule 'a' must hold for 0 to 30 days, not -1.0 s"),
      (changed { $0.holdSeconds = .nan }, "rule 'a' must hold for 0 to 30 days, not nan s"),
      (changed { $0.cooldownSeconds = 0 }, "rule 'a' must fire at most once in 1 s to 30 days, not 0.0 s"),
      (changed { $0.cooldownSeconds = .infinity }, "rule 'a' must fire at most once in 1 s to 30 days, not inf s"),
      (changed { $0.actions = [] }, "rule 'a' does nothing"),
      (changed { $0.actions = Array(repeating: .collect, count: 17) }, "rule 'a' has more than 16 actions"),
      (changed { $0.actions = [.allow("x"), .deny("x")] }, "rule 'a' contradicts itself: allow x and deny x"),
      (changed { $0.actions = [.unload("")] }, "rule 'a' names a package that must not be empty"),
      (
        changed { $0.actions = [.setStrategy("x y", of: nil)] },
        "rule 'a' names a strategy that must be of letters, digits, '-' and '_'"
      ),
      (changed { $0.actions = [.log("")] }, "rule 'a' logs nothing"),
      (changed { $0.after = Array(repeating: "b", count: 17) }, "rule 'a' comes after more than 16 others"),
    ])
  func faults(rule: Rule, complaint: String) {
    #expect(rule.fault?.description == complaint)
    #expect(throws: RuleFault.self) { try Rule.ordered([rule]) }
  }

  @Test("a rule at the limits is taken") func limits() {
    #expect(Self.rule("a", Self.nested(32)).fault == nil)
    #expect(Self.rule("a", .any(Array(repeating: Self.used, count: 240))).fault == nil)
    #expect(Self.changed { $0.cooldownSeconds = 1 }.fault == nil)
  }

  @Test(
    "rules that do not go together are refused",
    arguments: [
      ([rule("a"), rule("a")], "there are two rules 'a'"),
      ([rule("a", after: ["b"])], "rule 'a' comes after 'b', and there is no such rule"),
      ([rule("a", after: ["a"])], "rule 'a' comes after itself"),
      (
        [rule("x", after: ["b"]), rule("a", after: ["c"]), rule("b", after: ["a"]), rule("c", after: ["b"])],
        "rules come after each other in a circle: b after a after c after b"
      ),
      ((0...1000).map { rule("r\($0)") }, "1001 rules are more than the 1000 there may be"),
    ])
  func sets(rules: [Rule], complaint: String) {
    do throws(RuleFault) {
      _ = try Rule.ordered(rules)
      Issue.record("taken")
    } catch {
      #expect(error.description == complaint)
    }
  }

  @Test("a thousand rules in one chain are put in order") func chain() throws {
    let rules = (0..<1000).map { rule in Self.rule("r\(rule)", after: rule < 999 ? ["r\(rule + 1)"] : []) }
    #expect(try Rule.ordered(rules).map(\.name) == (0..<1000).reversed().map { "r\($0)" })
  }

  @Test(
    "numbers are written so that they read back",
    arguments: [
      (.share, 0.6, "0.6"), (.count, 3, "3"), (.seconds, 120, "120s"), (.seconds, 0.5, "0.5s"), (.bytes, 524_288_000, "500MiB"),
      (.bytes, 1000, "1000"), (.bytes, 0, "0"), (.bytes, 0x1p40, "1TiB"), (.count, 1e18, "1000000000000000000"),
      (.count, 1.25e-7, "0.000000125"), (.share, .nan, "nan"), (.count, -1e20, "-100000000000000000000"),
    ] as [(MetricUnit, Double, String)])
  func numbers(unit: MetricUnit, value: Double, text: String) { #expect(unit.text(value) == text) }

  @Test(
    "metrics are written as rules write them",
    arguments: [
      (.machine(.swapUsed), "swap.used"), (.package("scikit-learn", .idle), "package.scikit-learn.idle"),
      (.package("zope.interface", .bytes), "package.\"zope.interface\".bytes"),
      (.process("my \"app\" \\", .heap), "process.\"my \\\"app\\\" \\\\\".heap"), (.process("é", .cpu), "process.\"é\".cpu"),
    ] as [(RuleMetric, String)])
  func metrics(metric: RuleMetric, text: String) { #expect(metric.description == text) }
}
