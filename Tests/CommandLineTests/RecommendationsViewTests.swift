import Foundation
import Testing
import Wire

@testable import mlos

@Suite struct RecommendationsViewTests {
  @Test("what is recommended, and what was looked at") func lines() throws {
    #expect(
      RecommendationsView(answer: try ViewTests.fixture("recommendations")).lines(wide) == [
        "high: 8 threads of python3 (4711) want to run on 1 processor and wait 88 % of that time",
        "  Start fewer threads in it: OpenMP: OMP_NUM_THREADS=N", "",
        "3 unloads in the last 1 d; nothing is said about fewer than 20", "threads of 2 processes watched for 1.0 s, 1 not known",
        "heaps of 1 process with glibc's malloc and an agent that counts, 2 not known",
        "memory of 2 of 2 processes compared, 64.0 MiB read, up to a limit: there may be more",
      ])
  }

  @Test("nothing is said to be nothing") func nothing() throws {
    var answer: RecommendationsAnswer = try ViewTests.fixture("recommendations-unknown")
    answer.recommendations = []
    #expect(
      RecommendationsView(answer: answer).lines(wide).prefix(3) == ["nothing to recommend", "", "unloads: no journal"])
    let ofOne = RecommendationsView(answer: answer, isOfOne: true).lines(wide)
    #expect(!ofOne.contains { $0.contains("unloads") } && ofOne.last?.hasSuffix("0 B read, 2 could not be read") == true)
  }

  @Test("no line is wider than the terminal") func width() throws {
    let answer: RecommendationsAnswer = try ViewTests.fixture("recommendations")
    for columns in [20, 40, 80] {
      for line in RecommendationsView(answer: answer).lines(terminal(columns)) { #expect(DisplayWidth.of(line) <= columns) }
    }
  }
}

@Suite struct WhyListingTests {
  @Test("the plan's fields, units of one process, and decisions oldest first") func listing() throws {
    let plan: PlanAnswer = try ViewTests.fixture("plan")
    let decisions: DecisionsAnswer = try ViewTests.fixture("decisions")
    var older = decisions.decisions[0]
    older.id = 1
    let listing = WhyListing(plan, decisions: [decisions.decisions[0], older], pid: 4711)
    #expect(listing.units == plan.units && listing.decisions.value?.map(\.id) == [1, 7])
    #expect(WhyListing(plan, decisions: [], pid: 1).units.isEmpty && WhyListing(plan, decisions: [], pid: nil).units.count == 1)
    let json = try Coding.encoder().encode(listing)
    let fields = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
    let known = try #require(try JSONSerialization.jsonObject(with: Coding.encoder().encode(plan)) as? [String: Any])
    // Nothing of the plan is missing.
    #expect(
      Set(fields.keys) == Set(known.keys).union(["decisions", "decisions_problem"]) && fields["schema"] as? String == "mlos.why/1"
    )
    let without = try Coding.encoder().encode(WhyListing(plan, decisions: nil, pid: nil))
    #expect(String(decoding: without, as: UTF8.self).contains("\"decisions\":null"))
  }

  @Test("a journal that cannot be read is said to be, and not shown as no past") func problem() throws {
    let plan: PlanAnswer = try ViewTests.fixture("plan")
    let words = "the journal cannot be read: /j: written by a later version"
    #expect(WhyListing(plan, decisions: nil, problem: words, pid: nil).decisionsProblem.value == words)
    #expect(WhyView.lines(problem: words, wide) == ["", "what was decided before is not known: \(words)"])
    #expect(WhyView.lines(problem: nil, wide) == [])
  }
}
