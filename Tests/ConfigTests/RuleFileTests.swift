import Foundation
import Model
import Testing

@testable import Config

@Suite struct RuleFileTests {
  private static func rules(_ text: String) throws -> [Rule] { try RuleFile.read(Array(text.utf8), path: "f") }
  struct Hostile: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var text: String
    init(_ name: String, _ text: String) { (testDescription, self.text) = (name, text) }
  }

  private static let when = "when: swap.used > 1"

  @Test("every key and every action is read") func everything() throws {
    let rules = try Self.rules(
      """
      rules:
        - name: b
          when: memory.level > 60%
          for: 30s
          every: 5m
          after: a
          enabled: no
          then:
            - unload: [torch, zope.interface]
            - strategy: Aggressive
            - strategy: {torch: night, jax: balanced}
            - allow: x
            - {deny: y, profile: training}
            - collect
            - collect:
            - merge: [worker, my app]
            - log: "what: is"
        - {name: a, when: 'swap.used > 1', then: collect, after: [c, d]}
        - name: c
          then: {profile: none}
          when: "swap.used > 1"
      """)
    let swap = RuleCondition.comparison(RuleComparison(.machine(.swapUsed), .above, 1))
    #expect(
      rules == [
        Rule(
          name: "b", isEnabled: false, condition: .comparison(RuleComparison(.machine(.memoryLevel), .above, 0.6)),
          holdSeconds: 30,
          cooldownSeconds: 300, after: ["a"],
          actions: [
            .unload("torch"), .unload("zope.interface"), .setStrategy("aggressive", of: nil), .setStrategy("night", of: "torch"),
            .setStrategy("balanced", of: "jax"), .allow("x"), .deny("y"), .useProfile(.training), .collect, .collect,
            .merge("worker"), .merge("my app"), .log("what: is"),
          ]),
        Rule(name: "a", condition: swap, after: ["c", "d"], actions: [.collect]),
        Rule(name: "c", condition: swap, actions: [.useProfile(nil)]),
      ])
    #expect(try Self.rules("rules: []") == [] && Self.rules("rules:") == [] && Self.rules("") == [])
  }

  @Test(
    "a mistake is named with its line and column",
    arguments: [
      ("rules: x", "1:8: 'rules' must be a list of rules, each with name, when and then"),
      ("rules: {a: 1}", "1:8: 'rules' must be a list of rules, each with name, when and then"),
      ("rules: &x []", "1:8: anchors, aliases and tags are not accepted"),
      ("rules: [a]", "1:9: a rule must be a mapping with name, when and then"),
      ("rules: [{}]", "1:9: a rule needs 'name'|1:9: a rule needs 'then'|1:9: a rule needs 'when'"),
      ("rules: [{name: a, wen: 1, \(when), then: collect}]", "1:19: a rule has no key 'wen'; did you mean 'when'?"),
      (
        "rules: [{name: a, xyzxyz: 1, \(when), then: collect}]",
        "1:19: a rule has no key 'xyzxyz'; it has name, when, for, every, after, then, enabled"
      ),
      (
        "rules: [{name: a, name: b, \(when), then: collect}]",
        "1:19: key 'name' is given more than once in this rule; first in line 1"
      ),
      ("rules: [{name: 1a, \(when), then: collect}]", "1:16: the name of a rule, '1a', must begin with a letter"),
      ("rules: [{name: ~, \(when), then: collect}]", "1:10: 'name' must be a name of letters, digits, '-' and '_', not nothing"),
      ("rules: [{name: [a], \(when), then: collect}]", "1:16: 'name' must be a name of letters, digits, '-' and '_', not a list"),
      (
        "rules: [{name: a, when: {a: 1}, then: collect}]",
        "1:25: 'when' must be a condition such as memory.level > 60%, not a mapping"
      ),
      ("rules: [{name: a, when: !x a, then: collect}]", "1:25: anchors, aliases and tags are not accepted"),
      (
        "rules: [{name: a, \(when), for: -3s, then: collect}]",
        "1:45: 'for' must be a duration such as 60, 500ms or 5m, 0s to 2592000s, not '-3s'"
      ),
      ("rules: [{name: a, \(when), for: 31d, then: collect}]", "1:45: 'for' must be 0s to 2592000s, not 2678400s"),
      ("rules: [{name: a, \(when), every: 0, then: collect}]", "1:47: 'every' must be 1s to 2592000s, not 0s"),
      ("rules: [{name: a, \(when), enabled: 2, then: collect}]", "1:49: 'enabled' must be true or false, not '2'"),
      (
        "rules: [{name: a, \(when), after: {}, then: collect}]",
        "1:47: 'after' must be the name of a rule, or a list of them, not a mapping"
      ),
      ("rules: [{name: a, \(when), then: unlod}]", "1:46: there is no action 'unlod'; did you mean 'unload: ...'?"),
      ("rules: [{name: a, \(when), then: unload torch}]", "1:46: there is no action 'unload torch'; did you mean 'unload: ...'?"),
      (
        "rules: [{name: a, \(when), then: {zzz: 1}}]",
        "1:47: there is no action 'zzz'; there are unload, strategy, allow, deny, profile, collect, merge, log"
      ),
      ("rules: [{name: a, \(when), then: unload}]", "1:46: 'unload' must say what: unload: ..."),
      ("rules: [{name: a, \(when), then: [[collect]]}]", "1:47: an action must be a mapping such as unload: torch, not a list"),
      (
        "rules: [{name: a, \(when), then: ~}]",
        "1:40: an action is missing: one of unload, strategy, allow, deny, profile, collect, merge, log"
      ),
      ("rules: [{name: a, \(when), then: []}]", "1:16: rule 'a' does nothing"),
      (
        "rules: [{name: a, \(when), then: {unload: }}]",
        "1:47: 'unload' must be the name of a package, or a list of them, not nothing"
      ),
      (
        "rules: [{name: a, \(when), then: {unload: \" \"}}]",
        "1:55: the name of a package, ' ', must not begin or end with a blank"
      ),
      (
        "rules: [{name: a, \(when), then: {profile: fun}}]",
        "1:56: 'profile' must be one of none, inference, training or analysis, not 'fun'"
      ),
      (
        "rules: [{name: a, \(when), then: {strategy: a b}}]",
        "1:57: the name of a strategy, 'a b', must be of letters, digits, '-' and '_'"
      ),
      ("rules: [{name: a, \(when), then: merge}]", "1:46: 'merge' must say what: merge: ..."),
      (
        "rules: [{name: a, \(when), then: {merge: {}}}]",
        "1:54: 'merge' must be the name of a program, or a list of them, not a mapping"
      ),
      ("rules: [{name: a, \(when), then: {collect: now}}]", "1:56: 'collect' stands alone"),
      ("rules: [{name: a, \(when), then: [{allow: x}, {deny: x}]}]", "1:16: rule 'a' contradicts itself: allow x and deny x"),
      ("log: {level: info}", "1:7: a file of rules holds nothing but 'rules'; settings are in mlos.yaml"),
      ("rule: []", "1:1: unknown key 'rule'; did you mean 'rules'?"),
    ])
  func mistakes(text: String, expected: String) {
    do throws(ConfigErrors) {
      _ = try RuleFile.read(Array(text.utf8), path: "f")
      Issue.record("read")
    } catch {
      #expect(error.errors.map(\.description) == expected.split(separator: "|").map { "f:\($0)" })
    }
  }

  @Test(
    "a mistake in a condition is named where it stands in the file, however the condition is written",
    arguments: [
      ("when: memory.level > 2m", "1:22"), ("when:   memory.level\n   > 2m", "2:6"), ("when: \"memory.level > 2m\"", "1:23"),
      ("when: 'memory.level > 2m'", "1:23"), ("when: |\n   memory.level\n     > 2m\n", "3:8"),
      ("when: >-  # folded\n\n   swap.used > 1 and\n\n   memory.level > 2m", "5:19"), ("when: |2\n   memory.level > 2m", "2:19"),
      ("when: \"memory.\\x6cevel \\\n   \\u003e 2m\"", "2:11"), ("when: \"\\tmemory.level\\n > \\\n   2m\"", "2:4"),
      ("when: 'package.\"it''s\".idle > 2%'", "1:31"), ("when: \"package.\\\"é\\U0001F600\\\".idle > 2%\"", "1:39"),
      ("when: !!str memory.level > 2m", "1:28"), ("when: \"swap.used >\"", "1:19"), ("when: |\n  swap.used\n  >\n\n", "3:4"),
      ("when: swap.used > 1 or", "1:23"), ("when: 'swap.used > 1 or   '", "1:24"), ("when: ''", "1:7"), ("when: \"  \"", "1:7"),
      ("\u{FEFF}when: memory.level > 2m", "1:22"), ("é: 1\nwhen: \u{85}  memory.level > 2m", "3:18"),
    ])
  func places(text: String, expected: String) throws {
    let bytes = Array(text.utf8)
    let root = try #require(try YAMLNode.compose(bytes, limits: ConfigurationFile.limits))
    guard case .mapping(let pairs, _) = root, let node = pairs.last?.value, case .scalar(let scalar, _) = node else {
      Issue.record("no scalar")
      return
    }
    do throws(ExpressionFault) {
      _ = try RuleExpression.parse(scalar.text)
      Issue.record("read")
    } catch {
      var source = YAMLSource(bytes)
      let place = YAMLScalarPlaces(scalar, at: node.place, in: &source).place(ofOffset: error.offset, in: scalar.text)
      #expect("\(place.line):\(place.column)" == expected, "\(error.message)")
    }
  }

  @Test("each snippet of the page about rules is read, and its rules go together") func snippets() throws {
    let page = try String(contentsOf: ReferenceTests.root.appending(path: "docs/writing-a-rule.md"), encoding: .utf8)
    let snippets = Array(page.components(separatedBy: "```yaml\n").dropFirst()).map { $0.components(separatedBy: "```")[0] }
    #expect(snippets.count >= 5)
    let slip = load(snippets[0].replacing(".idle", with: ".idel")).complaints
    #expect(slip.count == 1 && slip.allSatisfy { page.contains("\n/etc/mlos/rules.d/torch.yaml\($0.dropFirst())\n") }, "\(slip)")
    for snippet in snippets {
      let settings = load(snippet)
      #expect(settings.complaints == [], "\(snippet)")
      let rules = try settings.get().rules
      #expect(!rules.isEmpty)
      #expect(try RuleFile.read(Array(RuleFile.text(rules).utf8), path: "again") == rules)
    }
  }

  @Test("rules of all files go together, or it is said where they do not") func directory() throws {
    let folder = URL(filePath: NSTemporaryDirectory()).appending(path: "rules-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder.appending(path: "rules.d"), withIntermediateDirectories: true)
    func put(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: folder.appending(path: name)) }
    let file = folder.appending(path: "mlos.yaml").path
    func loaded() -> Result<Settings, ConfigErrors> {
      Result { () throws(ConfigErrors) in try Settings.load(file: file, required: false, environment: [:], paths: testPaths) }
    }
    func rule(_ name: String, _ more: String = "then: collect") -> String { "rules: [{name: \(name), \(Self.when), \(more)}]" }
    try put("rules.d/b.yaml", rule("b"))
    try put("rules.d/a.yaml", rule("a", "after: b, then: collect"))
    try put("rules.d/a.yaml~", "not: read")
    try put("rules.d/.a.yaml", "not: read")
    #expect(try loaded().get().rules.map(\.name) == ["a", "b"])
    try put("mlos.yaml", "log: {level: debug}\n" + rule("z", "then: {strategy: night}") + "\nunloading.strategies: {night: 8h}")
    #expect(try loaded().get().rules.map(\.name) == ["z", "a", "b"])
    try put("rules.d/b.yaml", rule("b", "after: a, then: collect"))
    let shown = { loaded().complaints.map { $0.replacingOccurrences(of: folder.path + "/", with: "") } }
    #expect(shown() == ["rules.d/a.yaml:1:47: rules come after each other in a circle: a after b after a"])
    try put("rules.d/b.yaml", rule("z"))
    try put("rules.d/c.yaml", rule("c", "then: {strategy: {torch: nigt}}"))
    #expect(
      shown() == [
        "rules.d/b.yaml:1:16: rule 'z' is given more than once; first in mlos.yaml:2",
        "rules.d/a.yaml:1:47: there is no rule 'b'; did you mean 'a'?",
        "rules.d/c.yaml:1:65: there is no strategy 'nigt'; did you mean 'night'?",
      ])
    try put("rules.d/c.yaml", "rules: [")
    #expect(shown().count == 1)
  }

  @Test("a thousand rules are read, one more is refused") func many() throws {
    func text(_ count: Int) -> String {
      "rules:\n" + (0..<count).map { "- {name: r\($0), \(Self.when), then: {unload: torch}, for: 3, every: 60}\n" }.joined()
    }
    #expect(try load(text(1000)).get().rules.count == 1000)
    #expect(load(text(1001)).complaints == ["f:1002:10: more than 1000 rules"])
  }

  @Test(
    "hostile rules are refused, in bounded time",
    arguments: [
      Hostile("deep", "rules:\n- name: a\n  when: \"" + String(repeating: "(", count: 900_000) + "\""),
      Hostile("long condition", "rules:\n- name: a\n  when: " + String(repeating: "x", count: 1_000_000)),
      Hostile("long name", "rules:\n- name: " + String(repeating: "é", count: 500_000)),
      Hostile("lists", "rules: " + String(repeating: "[", count: 1_000_000)),
      Hostile("same key", "rules:\n- {" + String(repeating: "name: a, ", count: 5000) + "}"),
      Hostile("empty rules", "rules: [" + String(repeating: "{}, ", count: 9000) + "]"),
      Hostile("mistakes", "rules:\n" + String(repeating: "- {name: a, when: \"memory.levle > 1\", then: x}\n", count: 2000)),
      Hostile(
        "escapes", "rules:\n- name: a\n  then: collect\n  when: \"" + String(repeating: "\\n ", count: 300_000) + "swap.used >\""),
      Hostile("unicode", "rules:\n- name: a\n  then: collect\n  when: " + String(repeating: "😀\u{301}", count: 100_000)),
    ])
  func hostile(hostile: Hostile) {
    let text = hostile.text
    let clock = ContinuousClock()
    let start = clock.now
    let complaints = load(text).complaints
    #expect((1...100).contains(complaints.count))
    #expect(complaints.allSatisfy { $0.utf8.count < 1000 })
    #expect(clock.now - start < .seconds(30))
  }
}
