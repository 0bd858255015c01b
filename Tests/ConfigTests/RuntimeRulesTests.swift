import Foundation
import Model
import Testing

@testable import Config

@Suite struct RuntimeRulesTests {
  private static func loaded(_ rules: RuntimeRules, _ text: String = "") throws(ConfigErrors) -> Settings {
    try Settings.load(file: ("f", Array(text.utf8)), environment: [:], overrides: [], rules: rules, paths: testPaths)
  }

  private static func complaint(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "nothing"
  }

  private static func rule(_ name: String, after: [String] = [], enabled: Bool = true, _ action: RuleAction = .collect) -> Rule {
    let condition = RuleCondition.comparison(RuleComparison(.machine(.memoryLevel), .above, 0.5))
    return Rule(name: name, isEnabled: enabled, condition: condition, after: after, actions: [action])
  }

  private static let files = """
    rules:
      - {name: a, when: swap.used > 1, then: collect}
      - {name: b, when: swap.used > 1, then: collect, enabled: false}
    """

  @Test("a rule added at run time comes behind those of the files, and goes with them or is refused") func added() throws {
    var rules = RuntimeRules()
    let new = Self.rule("null", after: ["a"], .unload("x"))
    try rules.set(new, by: "user 1", at: 1_770_091_506)
    let settings = try Self.loaded(rules, Self.files)
    #expect(settings.rules.map(\.name) == ["a", "b", "null"] && settings.rules[2] == new)
    #expect(
      settings.ruleOrigins.mapValues(\.description) == [
        "a": "f:2", "b": "f:3", "null": "run time, by user 1 at 2026-02-03T04:05:06Z",
      ])
    #expect(settings.ruleOrigins.mapValues(\.isRuntime) == ["a": false, "b": false, "null": true])
    #expect(Self.complaint { _ = try Self.loaded(rules) } == "change by user 1: there is no rule 'a'")
    try rules.set(Self.rule("a", after: ["null"], .setStrategy("night", of: nil)), by: "user 2", at: 5)
    #expect(
      Self.complaint { _ = try Self.loaded(rules) }
        == "change by user 2: there is no strategy 'night'; there are aggressive, balanced, conservative\n"
        + "change by user 1: rules come after each other in a circle: null after a after null")
    try rules.set(Self.rule("a", after: ["null"]), by: "user 2", at: 5)
    #expect(
      Self.complaint { _ = try Self.loaded(rules) }
        == "change by user 1: rules come after each other in a circle: null after a after null")
    #expect(
      Self.complaint { try rules.set(Self.rule("1"), by: "user 2", at: 5) }
        == "change by user 2: rule '1' has a bad name: it must begin with a letter")
    #expect(rules.remove("a") && !rules.remove("a"))
  }

  @Test("what is wrong with a text that is added is said with its place in it, and nothing of it is added") func text() throws {
    func fault(_ text: String, _ kept: RuntimeRules = RuntimeRules()) -> ConfigError? {
      var rules = kept
      do throws(ConfigErrors) {
        _ = try rules.add(Array(text.utf8), from: "t", by: "u", at: 1)
        _ = try Self.loaded(rules, Self.files)
        return nil
      } catch { return error.errors.first }
    }
    let cases: [(String, String, String?)] = [
      (
        "rules: [{name: x, when: memory.levl > 1, then: collect}]",
        "t:1:25: there is no metric 'memory.levl'; did you mean 'memory.level'?", "when"
      ),
      (
        "rules: [{name: x, when: memory.level > nan, then: collect}]",
        "t:1:40: a share such as 60% or 0.6 is expected here, not 'nan'", "when"
      ),
      (
        "rules: [{name: x, when: memory.level > 1, then: unlod}]",
        "t:1:49: there is no action 'unlod'; did you mean 'unload: ...'?", "then"
      ),
      (
        "rules: [{name: x, when: memory.level > 1, after: c, then: collect}]", "t:1:50: there is no rule 'c'; did you mean 'a'?",
        "after"
      ),
      (
        "rules: [{name: x, when: memory.level > 1, then: collect}, {name: x, when: memory.level > 1, then: collect}]",
        "t:1:66: rule 'x' is given more than once; first in line 1", "name"
      ),
      ("rules: []", "t:1:1: there is no rule in it; a file of rules begins with 'rules:'", nil),
      ("", "t:1:1: there is no rule in it; a file of rules begins with 'rules:'", nil),
      ("log.level: debug", "t:1:1: a file of rules holds nothing but 'rules'; settings are in mlos.yaml", nil),
      (
        "rules: [{name: x, when: memory.level > 1, then: {strategy: fast}}]",
        "t:1:60: there is no strategy 'fast'; there are aggressive, balanced, conservative", "then"
      ),
    ]
    for (text, words, field) in cases {
      let found = fault(text)
      #expect(found?.description == words)
      #expect(found?.field == field, "\(text)")
    }
    var kept = RuntimeRules()
    let names = try kept.add(
      Array(
        "rules: [{name: c, when: memory.level > 1, after: d, then: collect}, {name: d, when: swap.used > 1, then: collect}]".utf8),
      from: "t", by: "u", at: 1)
    #expect(names == ["c", "d"])
    kept = kept.stored()
    let circle = fault("rules: [{name: d, when: memory.level > 1, after: c, then: collect}]", kept)
    #expect(circle?.code == .circle && circle?.column == 50)
    #expect(circle?.message == "rules come after each other in a circle: c after d after c")
    // Half a text that is right is not added.
    let before = kept
    #expect(throws: ConfigErrors.self) {
      try kept.add(Array("rules: [{name: e, when: swap.used > 1, then: collect}, {name: f}]".utf8), from: "t", by: "u", at: 1)
    }
    #expect(kept == before)
  }

  @Test("a rule of a file is turned off and on again without being written") func turned() throws {
    var rules = RuntimeRules()
    rules.turn("a", on: false, written: true, by: "user 1", at: 1_770_091_506)
    rules.turn("b", on: true, written: false, by: "user 1", at: 1_770_091_506)
    let settings = try Self.loaded(rules, Self.files)
    #expect(settings.rules.map(\.isEnabled) == [false, true])
    #expect(settings.ruleOrigins["a"]?.description == "f:2, disabled by user 1 at 2026-02-03T04:05:06Z")
    #expect(settings.ruleOrigins["b"]?.description == "f:3, enabled by user 1 at 2026-02-03T04:05:06Z")
    // One that the file no longer has waits.
    #expect(try Self.loaded(rules).rules.isEmpty)
    rules.turn("a", on: true, written: true, by: "user 1", at: 2)
    #expect(rules.switches.map(\.name) == ["b"])
    try rules.set(Self.rule("c"), by: "user 1", at: 1)
    rules.turn("c", on: false, written: nil, by: "user 2", at: 2)
    #expect(rules.added.map(\.rule.isEnabled) == [false] && rules.added[0].who == "user 2" && rules.switches.count == 1)
    #expect(try RuntimeRulesFile.decode(RuntimeRulesFile.encode(rules), path: "s") == rules)
  }

  @Test("a file that took the name of a rule that was added gives way to it") func replaced() throws {
    var rules = RuntimeRules()
    try rules.set(Self.rule("a", enabled: false), by: "user 1", at: 5)
    let settings = try Self.loaded(rules, Self.files)
    #expect(settings.rules.map(\.name) == ["a", "b"] && settings.rules[0] == Self.rule("a", enabled: false))
  }

  @Test("wherever a write was cut off, the file is refused") func torn() throws {
    var rules = RuntimeRules()
    try rules.set(Self.rule("a", after: ["b"], .log("é\"")), by: "u", at: 1)
    rules.turn("b", on: false, written: true, by: "u", at: 1)
    let whole = RuntimeRulesFile.encode(rules)
    #expect(try RuntimeRulesFile.decode(whole, path: "s") == rules)
    for length in 0..<(whole.count - 1) {
      let message = Self.complaint { _ = try RuntimeRulesFile.decode(Array(whole[..<length]), path: "s") }
      #expect(message.hasPrefix("s") && message.hasSuffix("; the file is left as it is"), "\(length): \(message)")
    }
  }

  @Test("a file that cannot be written, or would not be read again, leaves the old one") func unwritable() throws {
    let folder = URL(filePath: NSTemporaryDirectory()).appending(path: "state-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = RuntimeRulesFile(stateDirectory: folder.path)
    var old = RuntimeRules()
    try old.set(Self.rule("a"), by: "u", at: 1)
    try file.write(old)
    try FileManager.default.createDirectory(at: folder.appending(path: ".rules.json.new"), withIntermediateDirectories: true)
    #expect(Self.complaint { try file.write(RuntimeRules()) }.hasPrefix("\(file.path): cannot be written: "))
    #expect(try file.read() == old)
    var large = RuntimeRules()
    for number in 0..<1000 {
      var rule = Self.rule("r\(number)")
      rule.actions = [.log(String(repeating: "x", count: 1024))]
      try large.set(rule, by: "u", at: 1)
    }
    #expect(Self.complaint { try file.write(large) }.contains("more than 1048576 are not read"))
    #expect(
      Self.complaint { try large.set(Self.rule("one-more"), by: "u", at: 1) }
        == "change by u: 1000 rules are added at run time already")
    #expect(try file.read() == old)
    try Data("{".utf8).write(to: URL(filePath: file.path))
    #expect(throws: ConfigErrors.self) { try file.write(old) }
  }

  @Test("a thousand rules of the files and of run time are taken, and no more") func many() throws {
    let files = "rules:\n" + (0..<999).map { "- {name: r\($0), when: swap.used > 1, then: collect}\n" }.joined()
    var rules = RuntimeRules()
    try rules.set(Self.rule("a"), by: "u", at: 1)
    #expect(try Self.loaded(rules, files).rules.count == 1000)
    try rules.set(Self.rule("b"), by: "u", at: 1)
    #expect(Self.complaint { _ = try Self.loaded(rules, files) } == "change by u: more than 1000 rules")
  }

  @Test("a file is checked beside a configuration, whose rules and strategies it may name") func checked() throws {
    let settings = try Self.loaded(RuntimeRules(), "unloading.strategies.night: 8h\n" + Self.files)
    func check(_ text: String) throws -> Int { try RuleFile.check(Array(text.utf8), path: "t", beside: settings) }
    #expect(try check("rules: [{name: x, when: swap.used > 1, after: a, then: {strategy: night}}]") == 1)
    // The same file again, as it lies beside the configuration.
    #expect(try check(Self.files) == 2)
    #expect(
      Self.complaint { _ = try check("rules: [{name: x, when: swap.used > 1, after: bb, then: collect}]") }
        == "t:1:47: there is no rule 'bb'; did you mean 'b'?")
    #expect(
      Self.complaint { _ = try check("rules: [{name: x, when: swap.used > 1, after: x, then: collect}]") }
        == "t:1:47: rule 'x' comes after itself")
    // Beside other mistakes too, so that one look finds all.
    let text = """
      rules:
      - {name: x, when: memory.level > 500%, then: collect}
      - {name: y, when: swap.used > 1, after: z, then: collect}
      - {name: z, when: swap.used > 1, after: y, then: {strategy: nigt}}
      """
    let complaints = Self.complaint { _ = try check(text) }
    #expect(
      complaints.split(separator: "\n").map(String.init) == [
        "t:2:34: memory.level is 0% to 100%, not '500%'",
        "t:3:41: rules come after each other in a circle: y after z after y",
      ])
    #expect(
      Self.complaint { _ = try check(text.replacingOccurrences(of: "500%", with: "50%")) }.split(separator: "\n").count
        == 2, "the strategy and the circle")
  }
}
