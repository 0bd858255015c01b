import Testing
import Wire

@testable import mlos

@Suite struct HistoryViewTests {
  private func clock(_ seconds: Double) -> String { "2027-01-15 08:00:\(Int(seconds) % 60 + 10).500" }

  private func view(_ ending: String = "", limit: Int = 50) throws -> HistoryView {
    let decisions: DecisionsAnswer = try ViewTests.fixture("decisions\(ending)")
    let changes: ChangesAnswer = try ViewTests.fixture("changes\(ending)")
    return HistoryView(decisions: decisions.decisions, changes: changes.changes, limit: limit)
  }

  @Test("decisions and changes, newest last") func lines() throws {
    #expect(
      try view().lines(wide, clock: clock) == [
        "2027-01-15 08:00:22  numpy (4711)  went  20.0 MiB expected, 19.0 MiB measured  Usage pattern unloading (balanced)",
        "2027-01-15 08:00:24  unloading.strategy  changed  balanced to aggressive  by user 1000",
      ])
    #expect(
      try view("-unknown").lines(wide, clock: clock) == [
        "2027-01-15 08:00:22  numpy  could not go  expected bytes not known, not measured  Usage pattern unloading (balanced)",
        "2027-01-15 08:00:24  unloading.strategy  changed  not set to not set  by user 1000",
      ])
  }

  @Test("the limit counts decisions and changes together") func limit() throws {
    let listing = try view(limit: 1).listing
    #expect(listing.decisions.isEmpty && listing.changes.count == 1)
    #expect(HistoryView(decisions: [], changes: [], limit: 5).lines(wide, clock: clock).count == 1)
    let full = JournalStatus(
      path: "/j", condition: "waiting", problem: Known("full"), bytes: Known(nil), queuedRows: 150, lostRows: 3)
    let view = HistoryView(decisions: [], changes: [], limit: 5, unwritten: full.unwritten)
    #expect(
      view.lines(wide, clock: clock)
        == ["nothing of that time is in the journal; the journal is waiting: full; 150 rows wait, 3 are lost"])
  }

  @Test("what became of a decision", arguments: [("freed", "went"), ("kept", "could not go"), ("dry-run", "would go")])
  func outcome(result: String, verb: String) throws {
    var view = try view()
    view.decisions[0].outcomes[0].result = result
    #expect(view.lines(wide, clock: clock)[0].contains("  \(verb)  "))
    view.decisions[0].outcomes = []
    #expect(view.lines(wide, clock: clock)[0].contains("  is to go  20.0 MiB expected, not measured  "))
    view.decisions[0].verdict = "keep"
    #expect(view.lines(wide, clock: clock)[0].contains("numpy (4711)  stays  Usage"))
  }

  @Test("why nothing came back stands at the end of the line") func obstacle() throws {
    var view = try view()
    view.decisions[0].outcomes[0].result = "kept"
    view.decisions[0].outcomes[0].obstacle = Known("nodelete")
    #expect(view.lines(wide, clock: clock)[0].hasSuffix("(balanced)  \(ReclaimWords.reason("nodelete"))"))
    view.decisions[0].outcomes[0].obstacle = Known(nil)
    #expect(view.lines(wide, clock: clock)[0].hasSuffix("(balanced)"))
  }

  @Test("what a rule set has ended, and what rules may not turn yet, is said so") func ruleSettings() throws {
    var view = try view()
    view.changes[0].origin = "what rule 'full' set has ended"
    #expect(
      view.lines(wide, clock: clock)[1]
        == "2027-01-15 08:00:24  unloading.strategy  changed  balanced to aggressive  by user 1000  what rule 'full' set has ended"
    )
    view.changes[0].origin = "rules 'full' and 'free' turn it to and fro"
    view.changes[0].old = view.changes[0].new
    #expect(
      view.lines(wide, clock: clock)[1]
        == "2027-01-15 08:00:24  unloading.strategy  stays for a while  aggressive  rules 'full' and 'free' turn it to and fro")
  }

  @Test("no line is wider than the terminal") func width() throws {
    for columns in [20, 40, 80] {
      for line in try view().lines(terminal(columns), clock: clock) { #expect(DisplayWidth.of(line) <= columns) }
    }
  }

  @Test("the course of a figure") func metric() throws {
    let known = MetricView(answer: try ViewTests.fixture("history")).lines(wide)
    #expect(known.count == 3 && known[1].hasSuffix("1.00 KiB        6"))
    #expect(known[2] == "memory.used, avg of every 1 min")
    #expect(
      MetricView(answer: try ViewTests.fixture("history-unknown")).lines(wide)
        == ["memory.used: nothing was measured in that time"])
  }

  @Test("the status tells how the journal is") func status() throws {
    let waiting = StatusView(answer: try ViewTests.fixture("status")).lines(wide)
    #expect(waiting.contains { $0.hasSuffix("/var/lib/mlos/journal.db, waiting: no room; 2 rows wait; 1 row lost") })
    #expect(StatusView(answer: try ViewTests.fixture("status-unknown")).lines(wide).contains { $0.hasSuffix("  none") })
  }

  @Test("how long ago", arguments: [("90s", 90.0), ("30m", 1800), ("1h", 3600), ("7d", 604_800), ("0.5", 0.5)])
  func ago(text: String, seconds: Double) {
    #expect(AgoArgument(argument: text)?.seconds == seconds)
  }

  @Test("what is no time is refused", arguments: ["", "-1h", "soon", "1y"]) func noTime(text: String) {
    #expect(AgoArgument(argument: text) == nil)
  }
}
