import Testing
import Wire

@testable import mlos

@Suite struct RulesViewTests {
  private func answer(_ ending: String = "") throws -> RulesAnswer { try ViewTests.fixture("rules\(ending)") }

  @Test("what a rule may not set yet stands below the list, and in the rule's own page") func heldBack() throws {
    let waits = "allow torch waits 44 s: deny torch of rule 'night' stays that long, since rules turn it to and fro"
    let known = try answer()
    #expect(RulesView(answer: known).lines(wide).contains("torch-when-idle: \(waits)"))
    #expect(RuleView(rule: known.rules[0], takenAt: known.takenAt).lines(wide).contains("  held back  \(waits)"))
    let unknown = try answer("-unknown")
    #expect(!RulesView(answer: unknown).lines(wide).contains { $0.contains("waits") })
    #expect(!RuleView(rule: unknown.rules[0], takenAt: unknown.takenAt).lines(wide).contains { $0.contains("held back") })
  }

  @Test("on a terminal nothing of a rule is lost, and no line is wider than it", arguments: [40, 80, 132])
  func width(columns: Int) throws {
    var answer = try answer()
    answer.rules[0].text =
      "rules:\n  - name: \"a\"\n    when: \"memory.level > 0.6 and package.torch.idle > 120s and swap.used > 1GiB\"\n"
    let list = RulesView(answer: answer).lines(terminal(columns))
    let page = RuleView(rule: answer.rules[0], takenAt: answer.takenAt).lines(terminal(columns))
    for line in list + page { #expect(DisplayWidth.of(line) <= columns) }
    #expect(page.joined(separator: " ").split(separator: " ").contains("120s"))
    // YAML goes on in a line that is indented further.
    if columns < 80 { #expect(page.contains { $0.hasPrefix("        ") }) }
    if columns >= 80 { #expect(list.joined().contains("unload torch") && list.joined().contains("120s")) }
  }
}
