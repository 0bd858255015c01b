import Model
import Policy
import Testing

private let level = RuleMetric.machine(.memoryLevel)
private let idle = RuleMetric.package("torch", .idle)

private func above(_ metric: RuleMetric, _ value: Double) -> RuleCondition { .comparison(RuleComparison(metric, .above, value)) }

private func rule(
  _ name: String, when condition: RuleCondition = above(level, 0.6), hold: Double = 0, every: Double = 60, after: [String] = [],
  enabled: Bool = true, _ actions: RuleAction...
) -> Rule {
  Rule(
    name: name, isEnabled: enabled, condition: condition, holdSeconds: hold, cooldownSeconds: every, after: after,
    actions: actions.isEmpty ? [.collect] : actions)
}

private func metrics(_ values: [RuleMetric: Double]) -> RuleMetrics {
  var metrics = RuleMetrics()
  for (metric, value) in values { metrics[metric] = value }
  return metrics
}

extension RuleEngine {
  /// Names of those that fire.
  fileprivate mutating func look(_ value: Double?, at seconds: Double) -> [String] {
    evaluate(metrics(value.map { [level: $0] } ?? [:]), at: Instant(seconds: seconds)).map(\.rule)
  }
}

@Suite struct RuleEngineTests {
  @Test("a rule fires when its condition becomes true, and not at every tick after that") func edges() throws {
    var engine = try RuleEngine([rule("a")])
    let fired = (0..<200).filter { second in engine.look(second < 10 ? 0.5 : 0.7, at: Double(second)) == ["a"] }
    #expect(fired == [10, 70, 130, 190])
  }

  @Test("a condition that comes and goes does not make its rule fire more often than it may") func flapping() throws {
    var engine = try RuleEngine([rule("a")])
    let fired = (0..<200).filter { second in engine.look(second % 2 == 0 ? 0.5 : 0.7, at: Double(second)) == ["a"] }
    #expect(fired == [1, 61, 121, 181])
  }

  @Test("a rule waits until its condition has been true for long enough without a break") func hold() throws {
    var engine = try RuleEngine([rule("a", hold: 5)])
    for second in 0..<5 { #expect(engine.look(0.7, at: Double(second)) == []) }
    #expect(engine.state(of: "a")?.description == "holds for 4 s of 5 s")
    #expect(engine.look(0.5, at: 5) == [])
    #expect(engine.look(0.7, at: 6) == [])
    // What is not known is no proof that it held.
    #expect(engine.look(nil, at: 8) == [])
    #expect(engine.look(0.7, at: 10) == [])
    #expect(engine.look(0.7, at: 14.9) == [])
    #expect(engine.look(0.7, at: 15) == ["a"])
    #expect(engine.state(of: "a")?.description == "fired")
    #expect(engine.look(0.7, at: 16) == [])
    #expect(engine.state(of: "a")?.description == "fired a short time ago; may fire again in 59 s")
    #expect(engine.state(of: "a")?.firings == 1 && engine.state(of: "a")?.secondsSinceFired == 1)
  }

  @Test(
    "a metric that is missing or no number makes the comparison unknown, and the rule says so",
    arguments: [nil, .nan, .infinity, -.infinity] as [Double?])
  func unknown(value: Double?) throws {
    var engine = try RuleEngine([rule("a", when: above(idle, 120))])
    var known = RuleMetrics()
    known[idle] = value
    #expect(engine.evaluate(known, at: Instant(seconds: 1)) == [])
    #expect(engine.state(of: "a")?.standing == .unknown([idle]))
    #expect(engine.state(of: "a")?.description == "metric package.torch.idle is not known")
  }

  @Test(
    "what is not known decides nothing that the rest has not decided",
    arguments: [
      (.all([above(idle, 1), above(level, 0.6)]), 0.5, false, false),
      (.all([above(idle, 1), above(level, 0.6)]), 0.7, false, true),
      (.any([above(idle, 1), above(level, 0.6)]), 0.7, true, false),
      (.any([above(idle, 1), above(level, 0.6)]), 0.5, false, true),
      (.not(above(idle, 1)), 0.5, false, true), (.not(above(level, 0.6)), 0.5, true, false),
      (.not(above(level, 0.6)), 0.7, false, false),
      (.not(.all([above(idle, 1), above(level, 0.6)])), 0.5, true, false),
      (.all([above(level, 0.6), .not(.any([above(idle, 1), above(idle, 2)]))]), 0.7, false, true),
    ] as [(RuleCondition, Double, Bool, Bool)])
  func threeValued(condition: RuleCondition, value: Double, fires: Bool, isUnknown: Bool) throws {
    var engine = try RuleEngine([rule("a", when: condition)])
    #expect(engine.look(value, at: 0) == (fires ? ["a"] : []))
    #expect((engine.state(of: "a")?.standing == .unknown([idle])) == isUnknown)
  }

  @Test(
    "every relation compares as it is written",
    arguments: zip(
      RuleRelation.allCases,
      [
        [false, false, true], [false, true, true], [true, false, false], [true, true, false], [false, true, false],
        [true, false, true],
      ]))
  func relations(relation: RuleRelation, expected: [Bool]) throws {
    for (value, fires) in zip([0.5, 0.6, 0.7], expected) {
      var engine = try RuleEngine([rule("a", when: .comparison(RuleComparison(level, relation, 0.6)))])
      #expect(engine.look(value, at: 0) == (fires ? ["a"] : []))
    }
  }

  @Test("a clock that is set back neither fires a rule nor stops it") func clockSetBack() throws {
    var engine = try RuleEngine([rule("a", hold: 10, every: 60)])
    #expect(engine.look(0.7, at: 100_000) == [])
    #expect(engine.look(0.7, at: 5) == [])
    #expect(engine.look(0.7, at: 14) == [])
    #expect(engine.look(0.7, at: 15) == ["a"])
    #expect(engine.look(0.7, at: 0) == [])
    #expect(engine.look(0.7, at: 59) == [])
    #expect(engine.look(0.7, at: 60) == ["a"])
    // As far ahead as it goes, and back: nothing overflows.
    #expect(engine.look(0.7, at: .greatestFiniteMagnitude) == ["a"])
    #expect(engine.look(0.7, at: 0) == [])
    _ = engine.evaluate(RuleMetrics(), at: Instant(nanoseconds: .max))
    _ = engine.evaluate(RuleMetrics(), at: Instant(nanoseconds: .max))
  }

  @Test("a rule that is not enabled never fires, and says so") func disabled() throws {
    var engine = try RuleEngine([rule("a", enabled: false)])
    #expect(engine.state(of: "a")?.description == "not looked at yet")
    #expect(engine.look(0.9, at: 0) == [])
    #expect(engine.state(of: "a")?.description == "is not enabled")
    #expect(engine.state(of: "b") == nil)
  }

  @Test("rules are looked at behind those they come after, else as they were given") func order() throws {
    var engine = try RuleEngine([rule("d", after: ["b"]), rule("a"), rule("c", after: ["d", "a"]), rule("b")])
    #expect(engine.look(0.7, at: 0) == ["b", "d", "a", "c"])
    #expect(engine.states.map(\.rule.name) == ["b", "d", "a", "c"])
    #expect(engine.rules.map(\.name) == ["d", "a", "c", "b"])
  }

  @Test(
    "of two opposite actions the first in order is done and the other reported",
    arguments: [
      (.deny("torch"), .unload("torch")), (.unload("torch"), .deny("torch")), (.allow("torch"), .deny("torch")),
      (.setStrategy("aggressive", of: nil), .setStrategy("balanced", of: nil)),
      (.setStrategy("aggressive", of: "torch"), .setStrategy("balanced", of: "torch")),
      (.useProfile(.training), .useProfile(nil)),
    ] as [(RuleAction, RuleAction)])
  func contradictions(first: RuleAction, second: RuleAction) throws {
    var engine = try RuleEngine([rule("b", second, .collect), rule("a", first)])
    try engine.replace(with: [rule("b", after: ["a"], second, .collect), rule("a", first)])
    let fired = engine.evaluate(metrics([level: 0.7]), at: Instant(seconds: 0))
    #expect(fired.map(\.rule) == ["a", "b"])
    #expect(fired[0].actions == [first] && fired[0].contradicted == [])
    #expect(fired[1].actions == [.collect])
    #expect(fired[1].contradicted == [FiredRule.Contradiction(action: second, winner: "a", winning: first)])
  }

  @Test("actions that go together are all done") func together() throws {
    let actions: [RuleAction] = [
      .unload("torch"), .allow("torch"), .unload("torch"), .deny("jax"), .setStrategy("aggressive", of: "torch"),
      .setStrategy("balanced", of: "jax"), .useProfile(.training), .useProfile(.training), .log("x"), .log("y"), .collect,
    ]
    var engine = try RuleEngine(actions.enumerated().map { rule("r\($0.offset)", $0.element) })
    let fired = engine.evaluate(metrics([level: 0.7]), at: Instant(seconds: 0))
    #expect(fired.flatMap(\.actions) == actions)
  }

  @Test("rules change at run time, and one that stays as it was goes on where it was") func changes() throws {
    var engine = try RuleEngine([rule("a"), rule("b")])
    #expect(engine.look(0.7, at: 0) == ["a", "b"])
    try engine.set(rule("c"))
    try engine.set(rule("b", every: 30))
    #expect(engine.look(0.7, at: 1) == ["b", "c"])
    #expect(try engine.remove("c"))
    #expect(try !engine.remove("c"))
    #expect(engine.state(of: "c") == nil)
    #expect(engine.look(0.7, at: 60) == ["a", "b"])
    #expect(engine.state(of: "a")?.firings == 2)
  }

  @Test(
    "a setting that two rules turn to and fro stays longer and longer, said once",
    arguments: [
      (.setStrategy("aggressive", of: nil), .setStrategy("balanced", of: nil)),
      (.setStrategy("aggressive", of: "torch"), .setStrategy("balanced", of: "torch")),
      (.allow("torch"), .deny("torch")), (.useProfile(.training), .useProfile(nil)),
    ] as [(RuleAction, RuleAction)])
  func takingTurns(one: RuleAction, other: RuleAction) throws {
    var engine = try RuleEngine([
      rule("full", when: above(level, 0.6), every: 1, one, .collect),
      rule("free", when: .not(above(level, 0.6)), every: 1, other),
    ])
    var turned: [Int] = []
    var told: [Int] = []
    for second in 0..<3000 {
      let fired = engine.evaluate(metrics([level: second % 2 == 0 ? 0.7 : 0.5]), at: Instant(seconds: Double(second)))
      #expect(fired.map(\.rule) == [second % 2 == 0 ? "full" : "free"])
      if fired[0].actions.contains(where: { [one, other].contains($0) }) {
        // What stands is set again, which changes nothing.
        if turned.isEmpty || (turned.count % 2 == 0) == (second % 2 == 0) { turned.append(second) }
      }
      // What is no setting is done whatever it sets.
      #expect(fired[0].actions.contains(.collect) == (second % 2 == 0))
      if fired[0].heldBack.contains(where: \.isNew) { told.append(second) }
    }
    #expect(turned == [0, 1, 2, 3, 64, 185, 426, 907, 1868, 2829])
    #expect(told == [4])
  }

  @Test("how a rule stands says what it may not set yet; a calm of ten minutes ends it") func heldBackIsShown() throws {
    var engine = try RuleEngine([
      rule("full", when: above(level, 0.6), every: 1, .deny("torch")),
      rule("free", when: .not(above(level, 0.6)), every: 1, .allow("torch")),
    ])
    for second in 0..<5 { _ = engine.look(second % 2 == 0 ? 0.7 : 0.5, at: Double(second)) }
    _ = engine.look(0.5, at: 19)
    #expect(engine.state(of: "free")?.heldBack == [])
    #expect(
      engine.state(of: "full")?.heldBack.map(\.description) == [
        "deny torch waits 44 s: allow torch of rule 'free' stays that long, since rules turn it to and fro"
      ])
    _ = engine.look(0.5, at: 63)
    #expect(engine.state(of: "full")?.heldBack == [])
    // The last wish was at 4 s.
    #expect(engine.evaluate(metrics([level: 0.7]), at: Instant(seconds: 605)).map(\.actions) == [[.deny("torch")]])
    #expect(engine.evaluate(metrics([level: 0.5]), at: Instant(seconds: 606)).map(\.actions) == [[.allow("torch")]])
    // Other rules end what was set, and begin anew.
    for second in 607..<620 { _ = engine.look(second % 2 == 0 ? 0.7 : 0.5, at: Double(second)) }
    #expect(engine.states.contains { !$0.heldBack.isEmpty })
    try engine.set(rule("new", .collect))
    #expect(engine.states.allSatisfy { $0.heldBack.isEmpty })
  }

  @Test("a change that is refused changes nothing") func refused() throws {
    var engine = try RuleEngine([rule("a"), rule("b", after: ["a"])])
    #expect(throws: RuleFault.unknownAfter(rule: "b", name: "a")) { try engine.remove("a") }
    #expect(throws: RuleFault.cycle(["a", "b"])) { try engine.set(rule("a", after: ["b"])) }
    #expect(engine.rules.map(\.name) == ["a", "b"])
  }

  @Test("looked at again over the same history, the same rules fire") func deterministic() throws {
    func run() throws -> [[FiredRule]] {
      var engine = try RuleEngine(
        (0..<100).map {
          rule(
            "r\($0)", when: above(level, Double($0) / 100), hold: Double($0 % 7), every: Double(1 + $0 % 11),
            .unload("u\($0 % 5)"), .deny("u\(($0 + 1) % 5)"))
        })
      return (0..<300).map { engine.evaluate(metrics([level: Double($0 * 37 % 100) / 100]), at: Instant(seconds: Double($0))) }
    }
    #expect(try run() == run())
  }
}

@Suite struct RuleMetricsTests {
  private func observed(_ name: String, in pid: UInt32, loaded: Bool = true, used: Double?, bytes: UInt64?) -> UnitObservation {
    UnitObservation(
      ReclaimUnit(.package, name, in: ProcessIdentity(pid: Int32(pid), startTicks: 1)), isLoaded: loaded,
      lastUsed: used.map { Instant(seconds: $0) }, bytes: bytes.map { Bytes($0) })
  }

  @Test("packages of one name are added up; what is not known of one is not known of all") func snapshot() {
    let metrics = RuleMetrics(
      Snapshot(
        memory: MemoryPressure(used: Bytes(75), limit: Bytes(100), stall: 0.25),
        units: [
          observed("torch", in: 1, used: 10, bytes: 100), observed("torch", in: 2, used: 40, bytes: 50),
          observed("torch", in: 3, loaded: false, used: 99, bytes: 7),
          observed("jax", in: 1, used: nil, bytes: 5), observed("jax", in: 2, used: 3, bytes: nil),
          observed("gone", in: 1, loaded: false, used: 3, bytes: 9),
          UnitObservation(ReclaimUnit(.closedModule, "libx.so"), bytes: Bytes(1)),
        ]), at: Instant(seconds: 100))
    let expected: [(RuleMetric, Double?)] = [
      (.machine(.memoryLevel), 0.75), (.machine(.memoryUsed), 75), (.machine(.memoryAvailable), 25),
      (.machine(.memoryStall), 0.25),
      (.machine(.swapUsed), nil), (.package("torch", .loaded), 2), (.package("torch", .bytes), 150),
      (.package("torch", .idle), 60),
      (.package("jax", .loaded), 2), (.package("jax", .bytes), nil), (.package("jax", .idle), nil),
      (.package("gone", .loaded), 0), (.package("gone", .bytes), 0), (.package("gone", .idle), nil),
      (.package("libx.so", .loaded), nil), (.package("torch", .uses), nil),
    ]
    for (metric, value) in expected { #expect(metrics[metric] == value, "\(metric)") }
  }

  @Test("memory that could not be read is not known") func nothing() {
    #expect(RuleMetrics(Snapshot(memory: nil, units: []), at: Instant(seconds: 0))[level] == nil)
    let unlimited = Snapshot(memory: MemoryPressure(used: Bytes(1), limit: .zero), units: [])
    #expect(RuleMetrics(unlimited, at: Instant(seconds: 0))[level] == nil)
  }
}
