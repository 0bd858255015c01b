import Logging
import Model
import Policy

/// The user's rules at work.
struct RuleWork {
  /// At most so often: between two looks nothing has changed that a rule could be about.
  static let pause: UInt64 = 1_000_000_000

  private(set) var engine: RuleEngine?
  /// Names that conditions speak of: only what is asked for is measured.
  private(set) var packages: Set<String> = []
  private(set) var processes: Set<String> = []
  private var nextLook: UInt64 = 0
  /// Processor time of a process at the look before.
  var processorTicks: [ProcessIdentity: (ticks: UInt64, at: UInt64)] = [:]

  /// Keeps what is known of rules that stay as they are. Those that need each other in a circle are refused by the configuration;
  /// here they change nothing.
  mutating func take(_ rules: [Rule]) {
    var changed = engine ?? (try? RuleEngine())
    guard (try? changed?.replace(with: rules)) != nil else { return }
    engine = rules.isEmpty ? nil : changed
    let metrics = rules.flatMap { $0.condition.metrics }
    packages = Set(metrics.compactMap { if case .package(let name, _) = $0 { name } else { nil } })
    processes = Set(metrics.compactMap { if case .process(let name, _) = $0 { name } else { nil } })
    nextLook = 0
  }

  func isDue(at now: UInt64) -> Bool { engine != nil && now >= nextLook }

  mutating func evaluate(_ metrics: RuleMetrics, at now: UInt64) -> [FiredRule] {
    nextLook = now &+ Self.pause
    return engine?.evaluate(metrics, at: Instant(nanoseconds: now)) ?? []
  }
}

extension RuleCondition {
  /// All that it compares.
  fileprivate var metrics: [RuleMetric] {
    switch self {
    case .all(let parts), .any(let parts): parts.flatMap(\.metrics)
    case .not(let part): part.metrics
    case .comparison(let comparison): [comparison.metric]
    }
  }
}

extension RuleAction {
  /// Nil for an action that sets nothing.
  fileprivate var settingKey: RuleSettingKey? {
    switch self {
    case .setStrategy(_, of: let name?): .packageStrategy(name)
    case .setStrategy(_, of: nil): .strategy
    case .allow(let name), .deny(let name): .packagePermission(name)
    case .useProfile: .profile
    case .unload, .collect, .merge, .log: nil
    }
  }
}

extension RuleState.Standing {
  fileprivate var word: String {
    switch self {
    case .unseen: "unseen"
    case .disabled: "disabled"
    case .quiet: "quiet"
    case .unknown: "unknown"
    case .holding: "holding"
    case .coolingDown: "cooling-down"
    case .fired: "fired"
    }
  }
}

extension Supervisor {
  /// Every rule in force, and how it stood at the last look.
  public func rules() -> RulesSnapshot {
    let wall = now().wall
    return RulesSnapshot(
      takenAt: wall,
      rules: (unloading.rules.engine?.states ?? []).map { state in
        RuleSnapshot(
          rule: state.rule, state: state.standing.word, explanation: state.description,
          holdsSince: state.secondsTrue.map { wall - $0 }, lastFiredAt: state.secondsSinceFired.map { wall - $0 },
          firings: state.firings, heldBack: state.heldBack.map(\.description))
      })
  }

  /// Carries out what the rules ask for; units they want unloaded go the way of all others.
  func fireRules(_ snapshot: Snapshot, at moment: Moment) -> [ReclaimUnit: UnloadReason] {
    guard unloading.rules.isDue(at: moment.monotonic) else { return [:] }
    let fired = unloading.rules.evaluate(ruleMetrics(snapshot, at: moment), at: moment.monotonic)
    var requests: [ReclaimUnit: UnloadReason] = [:]
    for rule in fired {
      for action in rule.actions { carryOut(action, of: rule.rule, snapshot, &requests, at: moment) }
      for heldBack in rule.heldBack where heldBack.isNew { tell(heldBack, of: rule.rule, at: moment) }
      for contradiction in rule.contradicted {
        logger.warning(
          "rules contradict each other, the first one counts",
          metadata: ["rule": "\(rule.rule)", "action": "\(contradiction.action)", "first": "\(contradiction.winner)"])
      }
    }
    return requests
  }

  private func carryOut(
    _ action: RuleAction, of rule: String, _ snapshot: Snapshot, _ requests: inout [ReclaimUnit: UnloadReason], at moment: Moment
  ) {
    switch action {
    case .unload(let name):
      // A heap bears the name of its process, of which the rule does not speak.
      for unit in snapshot.units where unit.unit.name == name && unit.unit.kind != .heap && unit.isLoaded {
        requests[unit.unit] = .rule(rule)
      }
    case .setStrategy(let strategy, of: let name?):
      set(.packageStrategy(name), strategy, rule, moment) {
        $0.preferences[name, default: UnitPreference()].strategy = strategy
      }
    case .setStrategy(let strategy, of: nil): set(.strategy, strategy, rule, moment) { $0.strategy = strategy }
    case .allow(let name), .deny(let name):
      let isAllowed = if case .allow = action { true } else { false }
      set(.packagePermission(name), "\(isAllowed)", rule, moment) {
        $0.preferences[name, default: UnitPreference()].allowUnload = isAllowed
      }
    case .useProfile(let profile): use(profile, rule, moment)
    case .collect: collect(for: rule)
    case .merge(let name): merge(programsNamed: name, for: rule)
    case .log(let message): logger.notice("rule", metadata: ["rule": "\(rule)", "message": "\(message)"])
    }
  }

  /// Changes a setting until the configuration is read again; recorded when it is another one.
  private func set(
    _ key: RuleSettingKey, _ new: String, _ rule: String, _ moment: Moment, _ change: (inout UnloadingSettings) -> Void
  ) {
    let before = unloading.policy.settings
    change(&unloading.policy.settings)
    unloading.setByRules.take(key, new, of: rule)
    guard unloading.policy.settings != before else { return }
    recordSetting(key.name, key.value(in: before), new, rule, moment)
  }

  /// A profile as a rule chooses it; what a rule set by itself stays.
  private func use(_ profile: TaskProfile?, _ rule: String, _ moment: Moment) {
    let before = unloading.policy.settings
    var settings = profile?.applied(to: unloading.configured) ?? unloading.configured
    settings.preferences = before.preferences
    if unloading.setByRules.isOwn(.strategy) { settings.strategy = before.strategy }
    let old = unloading.setByRules[.profile]
    unloading.policy.settings = settings
    unloading.setByRules.take(profile, of: rule, settings, configured: unloading.configured)
    guard settings != before else { return }
    recordSetting(RuleSettingKey.profile.name, old, profile?.rawValue ?? "none", rule, moment)
  }

  private func recordSetting(_ key: String, _ old: String?, _ new: String, _ rule: String, _ moment: Moment) {
    logger.notice("rule sets", metadata: ["rule": "\(rule)", "key": "\(key)", "value": "\(new)"])
    recorder?.record(
      ConfigurationChange(
        time: moment.wall, key: key, old: old, new: new, origin: "rule \(rule)", requester: Requester("rule \(rule)")))
  }

  /// Said once: at each look the rules want it again.
  private func tell(_ heldBack: HeldBack, of rule: String, at moment: Moment) {
    logger.warning(
      "rules turn a setting to and fro, it stays for a while",
      metadata: [
        "rule": "\(rule)", "action": "\(heldBack.action)", "stays": "\(heldBack.standing)", "first": "\(heldBack.winner)",
        "seconds": "\(Int(heldBack.secondsLeft.rounded(.up)))",
      ])
    guard let key = heldBack.standing.settingKey else { return }
    let stays = unloading.setByRules[key]
    recorder?.record(
      ConfigurationChange(
        time: moment.wall, key: key.name, old: stays, new: stays,
        origin: "rules '\(heldBack.winner)' and '\(rule)' turn it to and fro", requester: Requester("rule \(heldBack.winner)")))
  }

  /// What rules have set ends with the configuration that they were given with; recorded where that changes a value.
  func endRuleSettings(_ settings: UnloadingSettings, by requester: Requester) {
    let wall = now().wall
    for ended in unloading.setByRules.end(settings) {
      logger.notice(
        "what a rule set has ended",
        metadata: ["rule": "\(ended.rule)", "key": "\(ended.key)", "value": "\(ended.new ?? "not set")"])
      recorder?.record(
        ConfigurationChange(
          time: wall, key: ended.key, old: ended.old, new: ended.new, origin: "what rule '\(ended.rule)' set has ended",
          requester: requester))
    }
  }

  /// What rules have set and is in force, by key.
  public func ruleSettings() -> [RuleSetting] { unloading.setByRules.all }

  private func ruleMetrics(_ snapshot: Snapshot, at moment: Moment) -> RuleMetrics {
    let now = Instant(nanoseconds: moment.monotonic)
    var metrics = RuleMetrics(snapshot, at: now)
    metrics[.machine(.swapUsed)] = meter?.swapUsed().map { Double($0.count) }
    metrics[.machine(.unloadingRegrets)] = Double(unloading.policy.regrets(at: now))
    for name in unloading.rules.packages {
      metrics[.package(name, .uses)] = unloading.policy.uses(ofUnits: name).map(Double.init)
    }
    for name in unloading.rules.processes { add(processesNamed: name, to: &metrics, at: moment) }
    return metrics
  }

  /// Sums over the processes of a name; what is not known of one is not known of all.
  private func add(processesNamed name: String, to metrics: inout RuleMetrics, at moment: Moment) {
    var (bytes, heap, processors): (Bytes?, Bytes?, Double?) = (.zero, .zero, 0)
    var found = false
    for pid in processes.keys.sorted() where processes[pid]?.facts.name == name && refresh(pid, at: moment) {
      guard let process = processes[pid] else { continue }
      found = true
      bytes = bytes.flatMap { sum in process.sharing.figures.map { sum + $0.usage.proportional } }
      let summary = process.segment?.summary()
      let counted = summary.flatMap { self.counted($0.state, $0.heap, of: pid, at: moment) }
      heap = heap.flatMap { sum in counted.map { sum + $0.live } }
      let identity = process.facts.identity
      let before = unloading.rules.processorTicks[identity]
      unloading.rules.processorTicks[identity] = (process.facts.processorTicks, moment.monotonic)
      processors = processors.flatMap { sum in
        before.flatMap { before in
          guard moment.monotonic > before.at, process.facts.processorTicks >= before.ticks else { return nil }
          let seconds = Double(process.facts.processorTicks - before.ticks) / ticksPerSecond
          return sum + seconds / (Double(moment.monotonic - before.at) / 1e9)
        }
      }
    }
    let present = Set(processes.values.map(\.facts.identity))
    unloading.rules.processorTicks = unloading.rules.processorTicks.filter { present.contains($0.key) }
    guard found else { return }
    metrics[.process(name, .bytes)] = bytes.map { Double($0.count) }
    metrics[.process(name, .heap)] = heap.map { Double($0.count) }
    metrics[.process(name, .cpu)] = processors
  }
}
