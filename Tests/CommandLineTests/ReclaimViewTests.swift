import Model
import Testing
import Wire

@testable import mlos

@Suite struct ReclaimViewTests {
  private let terminal = Terminal(isTerminal: true, measured: 200, environment: [:], noColour: true)

  @Test("what came back, rung by rung, and what stayed") func freed() throws {
    var answer: ReclaimAnswer = try ViewTests.fixture("reclaim")
    answer.processes[0].obstacle = Known(nil)
    answer.processes[0].rungs[0].refusal = Known(nil)
    let text = ReclaimView(answer: answer).lines(terminal).joined(separator: "\n")
    #expect(text.contains("numpy in python3 (4711) gave back 20.0 MiB in 0.25 s; 21.0 MiB of clean pages were expected"))
    #expect(text.contains("pages of files   20.0 MiB  44.0 MiB"))
    #expect(text.contains("stayed: /usr/lib/libz.so.1, 4.00 KiB: in use a moment ago"))
    #expect(text.contains("20.0 MiB came back over all, shared pages counted once; in use 5.00 GiB before"))
  }

  @Test("nothing known is never zero") func unknown() throws {
    let answer: ReclaimAnswer = try ViewTests.fixture("reclaim-unknown")
    let text = ReclaimView(answer: answer).lines(terminal).joined(separator: "\n")
    #expect(text.contains("would give back up to - of clean pages"))
    #expect(text.contains("a dry run: nothing was touched"))
    #expect(!text.contains("0 B"))
  }

  @Test(
    "a refusal is a sentence",
    arguments: [
      ("too-soon:900ms", "asked again too soon; allowed in 900ms"), ("thread-inside:812", "thread 812 is inside it"),
      ("needed-by:libz.so.1", "libz.so.1 needs it"), ("no-swap", "there is no swap to hold it"),
      ("something-new", "something-new"),
    ])
  func words(word: String, sentence: String) { #expect(ReclaimWords.reason(word) == sentence) }
}
