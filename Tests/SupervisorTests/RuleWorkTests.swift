import Model
import Testing

@testable import Supervisor

@Suite struct RuleWorkTests {
  let meter = FakeMeter()
  let history = FakeHistory()
  let stage: Stage

  init() {
    stage = Stage(meter: meter, history: history)
    stage.proc.add(10)
    var big = mapping(0x1000, 8 << 20, .file(file("/lib/big/libbig.so", inode: 5)), resident: 8 << 20, [.read, .execute])
    big.usage.privateClean = .mebibytes(8)
    big.usage.referenced = .mebibytes(1)
    stage.proc.state.withLock { $0.mappings[10] = [big] }
  }

  private func use(_ rules: [Rule]) async {
    var settings = UnloadingSettings()
    settings.isDryRun = true
    await stage.supervisor.reload(observeInterval: 60, processLimit: 100, unloading: settings, rules: rules)
  }

  private func rule(_ name: String, _ metric: RuleMetric, above value: Double, _ actions: RuleAction..., hold: Double = 0) -> Rule
  {
    Rule(name: name, condition: .comparison(RuleComparison(metric, .above, value)), holdSeconds: hold, actions: actions)
  }

  private func run(seconds: Double) async {
    stage.proc.state.withLock { $0.facts[10]?.processorTicks += 50 }
    stage.clock.advance(seconds: seconds)
    await stage.supervisor.tick()
  }

  @Test func aRuleUnloadsBetweenTwoRegularLooks() async {
    _ = stage.attach(10, session: 1)
    await run(seconds: 60)
    await run(seconds: 60)
    meter.set(0.65)
    await use([rule("full", .machine(.memoryLevel), above: 0.6, .unload("big"))])
    await run(seconds: 1)
    #expect(history.decisions.map(\.reason) == ["rule"])
    #expect(history.decisions.map(\.rule) == ["full"])
    // It stands, and is not recorded at every look.
    for _ in 0..<5 { await run(seconds: 1) }
    #expect(history.decisions.count == 1)
  }

  @Test func aRuleDeniesAndNothingOverrulesIt() async {
    _ = stage.attach(10, session: 1)
    await use([rule("keep", .package("big", .loaded), above: 0, .deny("big"))])
    await run(seconds: 60)
    await run(seconds: 60)
    meter.set(0.99)
    await run(seconds: 60)
    #expect(history.decisions.isEmpty)
    #expect(await stage.supervisor.plan(name: "big").rows.first?.judgement.verdict == .keep(.userPreference))
    // It lasts until the configuration is read again.
    await use([])
    #expect(await stage.supervisor.plan(name: "big").rows.first?.judgement.verdict != .keep(.userPreference))
  }

  @Test func figuresOfProcessesAreMeasuredWhenAskedFor() async {
    _ = stage.attach(10, session: 1, segment: FakeSegment(live: 5 << 20))
    await use([
      rule("heap", .process("server", .heap), above: Double(4 << 20), .setStrategy("aggressive", of: nil)),
      rule("busy", .process("server", .cpu), above: 0.4, .useProfile(.training)),
      rule("others", .process("nobody", .heap), above: 0, .deny("big")),
    ])
    await run(seconds: 1)
    #expect(await stage.supervisor.plan(name: nil).settings.strategy == "aggressive")
    // 50 ticks of a hundred in a second: half a processor.
    await run(seconds: 1)
    let settings = await stage.supervisor.plan(name: nil).settings
    #expect(settings.memoryPressureThreshold == TaskProfile.training.applied(to: UnloadingSettings()).memoryPressureThreshold)
    #expect(settings.preferences.isEmpty)
  }

  @Test func aRuleSaysHowItStands() async {
    meter.set(0.9)
    let full = rule("full", .machine(.memoryLevel), above: 0.6, .log("full"), hold: 5)
    await use([full, rule("big", .package("big", .idle), above: 5, .log("big"))])
    var rules = await stage.supervisor.rules().rules
    #expect(rules.map(\.state) == ["unseen", "unseen"] && rules[0].holdsSince == nil)
    await run(seconds: 1)
    await run(seconds: 3)
    rules = await stage.supervisor.rules().rules
    #expect(rules.map(\.state) == ["holding", "unknown"])
    #expect(rules[1].explanation == "metric package.big.idle is not known" && rules[1].holdsSince == nil)
    let taken = await stage.supervisor.rules().takenAt
    #expect(rules[0].holdsSince == taken - 3 && rules[0].lastFiredAt == nil && rules[0].firings == 0)
    await run(seconds: 2)
    await run(seconds: 10)
    rules = await stage.supervisor.rules().rules
    #expect(rules[0].state == "cooling-down" && rules[0].firings == 1)
    #expect(rules[0].lastFiredAt == taken + 2 && rules[0].holdsSince == taken - 3)
  }

  private func strategy(_ name: String, _ relation: RuleRelation, _ strategy: String) -> Rule {
    Rule(
      name: name, condition: .comparison(RuleComparison(.machine(.memoryLevel), relation, 0.6)), cooldownSeconds: 1,
      actions: [.setStrategy(strategy, of: nil)])
  }

  @Test("a setting that rules turn to and fro is held, and told once") func heldBack() async {
    await use([strategy("full", .above, "aggressive"), strategy("free", .atMost, "conservative")])
    for second in 0..<40 {
      meter.set(second % 2 == 0 ? 0.7 : 0.5)
      await run(seconds: 1)
    }
    #expect(
      history.changes.map { "\($0.old ?? "-") \($0.new ?? "-") \($0.origin)" } == [
        "balanced aggressive rule full", "aggressive conservative rule free", "conservative aggressive rule full",
        "aggressive conservative rule free", "conservative conservative rules 'free' and 'full' turn it to and fro",
      ])
    #expect(Set(history.changes.map(\.key)) == ["unloading.strategy"])
    let rules = await stage.supervisor.rules().rules
    #expect(rules.map(\.heldBack.count) == [1, 0])
    #expect(rules[0].heldBack[0].hasPrefix("strategy aggressive waits 24 s: strategy conservative of rule 'free' stays"))
  }

  @Test("what a rule has set is shown as the rule's, and its end is recorded") func shownAndEnded() async {
    meter.set(0.9)
    await use([
      rule("full", .machine(.memoryLevel), above: 0.6, .setStrategy("aggressive", of: "zope.interface"), .deny("big")),
      rule("work", .machine(.memoryLevel), above: 0.6, .useProfile(.training)),
      rule("own", .machine(.memoryLevel), above: 0.6, .setStrategy("balanced", of: nil)),
    ])
    await run(seconds: 1)
    #expect(
      await stage.supervisor.ruleSettings().map { "\($0.key) \($0.value) \($0.rule)" } == [
        "unloading.max_unloads_per_cycle 2 work", "unloading.memory_pressure_critical 0.95 work",
        "unloading.memory_pressure_target 0.85 work", "unloading.memory_pressure_threshold 0.9 work",
        "unloading.packages.\"zope.interface\".strategy aggressive full", "unloading.packages.big.allow_unload false full",
        "unloading.profile training work", "unloading.strategy balanced own",
      ])
    let before = history.changes.count
    await use([])
    #expect(await stage.supervisor.ruleSettings().isEmpty)
    let ended = history.changes.dropFirst(before)
    #expect(
      ended.map { "\($0.key) \($0.old ?? "-") \($0.new ?? "-")" } == [
        "unloading.max_unloads_per_cycle 2 5", "unloading.memory_pressure_critical 0.95 0.85",
        "unloading.memory_pressure_target 0.85 0.7", "unloading.memory_pressure_threshold 0.9 0.8",
        "unloading.packages.\"zope.interface\".strategy aggressive -", "unloading.packages.big.allow_unload false -",
        "unloading.profile training -",
      ])
    #expect(ended.allSatisfy { $0.origin.hasSuffix(" set has ended") })
    await use([])
    #expect(history.changes.count == before + ended.count, "once")
  }

  @Test("a strategy that a rule sets wins over the profile of another, whichever was first", arguments: [false, true])
  func strategyAndProfile(isProfileFirst: Bool) async {
    meter.set(0.9)
    let rules = [
      rule("own", .machine(.memoryLevel), above: 0.6, .setStrategy("aggressive", of: nil)),
      rule("work", .machine(.memoryLevel), above: 0.6, .useProfile(.training)),
    ]
    await use(isProfileFirst ? rules.reversed() : rules)
    await run(seconds: 1)
    let settings = await stage.supervisor.plan(name: nil).settings
    #expect(settings.strategy == "aggressive" && settings.memoryPressureThreshold == 0.9)
  }

  @Test("collect has every idle process's collector and allocator give back, and nothing else") func collects() async {
    let agent = FakeAgent(stage, pid: 10, session: 1)
    _ = stage.attach(10, session: 1, commands: agent)
    await stage.supervisor.reload(
      observeInterval: 60, processLimit: 100, unloading: UnloadingSettings(),
      rules: [rule("full", .machine(.memoryLevel), above: 0.6, .collect)])
    for _ in 0..<2 { await run(seconds: 60) }
    meter.set(0.65)
    // It has just computed: not now.
    await run(seconds: 1)
    #expect(agent.asked.isEmpty)
    stage.clock.advance(seconds: 60)
    await stage.supervisor.tick()
    await stage.supervisor.reload(
      observeInterval: 60, processLimit: 100, unloading: UnloadingSettings(),
      rules: [rule("again", .machine(.memoryLevel), above: 0.6, .collect)])
    stage.clock.advance(seconds: 10)
    await stage.supervisor.tick()
    let outcome = await history.outcomes(1)[0]
    #expect(agent.asked.contains(.trim) && agent.drops == 0)
    #expect(agent.asked.contains { if case .collect = $0 { true } else { false } })
    #expect(outcome.rungs.map(\.rung) == ["callbacks", "collect", "trim"])
    #expect(history.decisions.map(\.rule) == ["again"])
    #expect(history.decisions.map(\.requester.name) == ["rule again"])
  }

  @Test("collect only says so in a dry run") func collectInADryRun() async {
    let agent = FakeAgent(stage, pid: 10, session: 1)
    _ = stage.attach(10, session: 1, commands: agent)
    await use([rule("full", .machine(.memoryLevel), above: 0.6, .collect)])
    meter.set(0.65)
    await run(seconds: 1)
    #expect(await stage.supervisor.rules().rules.map(\.firings) == [1])
    #expect(agent.asked.isEmpty && history.decisions.isEmpty)
  }

  @Test("what a rule denies is refused in its name") func deniedByARule() async {
    _ = stage.attach(10, session: 1)
    await use([rule("keep", .package("big", .loaded), above: 0, .deny("big"))])
    await run(seconds: 60)
    await run(seconds: 60)
    #expect(await stage.supervisor.plan(name: "big").deniedByRule == ["big": "keep"])
    await #expect(throws: CommandError.self) {
      try await stage.supervisor.reclaim(
        ReclaimRequest(target: .package("big", pids: nil), rungs: [.modulePages], requester: Requester("user 0")))
    }
  }

  @Test func rulesRunAtMostOnceASecond() async {
    _ = stage.attach(10, session: 1)
    meter.set(0.9)
    await use([rule("log", .machine(.memoryLevel), above: 0.6, .unload("big"), hold: 5)])
    for _ in 0..<49 { await run(seconds: 0.1) }
    #expect(!history.decisions.contains { $0.reason == "rule" })
  }
}
