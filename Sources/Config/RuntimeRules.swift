import Model

/// A rule that was added while a supervisor ran.
public struct RuntimeRule: Hashable, Sendable {
  public let rule: Rule
  /// `user 1000`.
  public let who: String
  /// Seconds since 1970.
  public let when: Int64
}

/// A rule of a file that was turned on or off while a supervisor ran.
public struct RuleSwitch: Hashable, Sendable {
  public let name: String
  public let isEnabled: Bool
  /// `user 1000`.
  public let who: String
  /// Seconds since 1970.
  public let when: Int64
}

/// Where a rule is written, and who turned it on or off since.
public struct RuleOrigin: Hashable, Sendable, CustomStringConvertible {
  public var written: SettingOrigin
  /// Nil for a rule that is as it is written.
  public var turned: RuleSwitch?

  /// Whether it can be removed at run time.
  public var isRuntime: Bool { if case .runtime = written { true } else { false } }

  /// `/etc/mlos/mlos.yaml:3`, `/etc/mlos/mlos.yaml:3, disabled by user 0 at 2026-02-03T04:05:06Z`.
  public var description: String {
    guard let turned else { return written.description }
    return "\(written), \(turned.isEnabled ? "enabled" : "disabled") by \(turned.who) at \(utcText(turned.when))"
  }
}

/// Rules that were added, and rules of files that were turned on or off, while a supervisor ran. A value type: try the changed ones
/// with `Settings.load`, then store them, then take the settings over.
public struct RuntimeRules: Hashable, Sendable {
  /// As they were added, behind those of the files. One whose name a file has taken since stands in that one's place.
  public private(set) var added: [RuntimeRule] = []
  /// By name. One whose rule is gone waits for its return.
  public private(set) var switches: [RuleSwitch] = []
  /// Where the rules of the text that was added last stand in it, for what is wrong with them beside the others.
  private var places: [String: PlacedRule] = [:]

  public init() {}

  public func isAdded(_ name: String) -> Bool { added.contains { $0.rule.name == name } }

  /// Adds the rules of a text, or puts them in the place of those that were added under their names; all or none.
  ///
  /// - Parameters:
  ///   - bytes: A YAML document with `rules:`, as the files in `rules.d` have it.
  ///   - path: What the errors call it.
  ///   - who: Whose wish it is, as the kernel tells.
  ///   - when: Seconds since 1970.
  /// - Returns: The names, in the order of the text.
  /// - Throws: What is wrong with them by themselves; `Settings.load` says whether they go with the others.
  public mutating func add(
    _ bytes: [UInt8], from path: String, by who: String, at when: Int64
  ) throws(ConfigErrors) -> [String] {
    let found = try RuleFile.whole(bytes, path: path)
    var next = self
    next.places = [:]
    for placed in found {
      do throws(ConfigError) { try next.set(placed.rule, by: who, at: when) } catch { throw ConfigErrors([error]) }
      next.places[placed.rule.name] = placed
    }
    self = next
    return found.map(\.rule.name)
  }

  /// Adds a rule, or puts it in the place of the one that was added under its name.
  ///
  /// - Throws: What is wrong with the rule by itself; more than `RuleLimits.rules` rules.
  public mutating func set(_ rule: Rule, by who: String, at when: Int64) throws(ConfigError) {
    let new = RuntimeRule(rule: rule, who: RuntimeChanges.shortened(who), when: when)
    if let fault = rule.fault {
      throw ConfigError(code: .outOfRange, source: .runtime(who: new.who), message: fault.description)
    }
    if let index = added.firstIndex(where: { $0.rule.name == rule.name }) {
      added[index] = new
      return
    }
    guard added.count < RuleLimits.rules else {
      let message = "\(RuleLimits.rules) rules are added at run time already"
      throw ConfigError(code: .tooLarge, source: .runtime(who: new.who), message: message)
    }
    added.append(new)
  }

  /// Takes a rule that was added away; false when there is none.
  public mutating func remove(_ name: String) -> Bool {
    let before = added.count
    added.removeAll { $0.rule.name == name }
    return added.count < before
  }

  /// Turns a rule on or off: one that was added is changed, one of a file gets a switch beside it.
  ///
  /// - Parameter written: What the file says of it; nil for a rule that no file has. A switch that says the same is taken away.
  public mutating func turn(_ name: String, on isEnabled: Bool, written: Bool?, by who: String, at when: Int64) {
    let who = RuntimeChanges.shortened(who)
    if let index = added.firstIndex(where: { $0.rule.name == name }) {
      guard added[index].rule.isEnabled != isEnabled else { return }
      var rule = added[index].rule
      rule.isEnabled = isEnabled
      added[index] = RuntimeRule(rule: rule, who: who, when: when)
      return
    }
    switches.removeAll { $0.name == name }
    guard isEnabled != written else { return }
    let turned = RuleSwitch(name: name, isEnabled: isEnabled, who: who, when: when)
    switches.insert(turned, at: switches.firstIndex { $0.name > name } ?? switches.count)
  }

  /// The same without what is known of the text that was added last: as it is stored.
  public func stored() -> RuntimeRules {
    var stored = self
    stored.places = [:]
    return stored
  }

  /// Puts these among the rules of the files.
  func merge(into placed: inout [PlacedRule]) {
    var indices: [String: Int] = [:]
    for (index, rule) in placed.enumerated() where indices[rule.rule.name] == nil { indices[rule.rule.name] = index }
    for turned in switches {
      guard let index = indices[turned.name] else { continue }
      placed[index].rule.isEnabled = turned.isEnabled
      placed[index].turned = turned
    }
    for new in added {
      let strategies: [PlacedRule.Strategy] = new.rule.actions.compactMap {
        if case .setStrategy(let name, _) = $0 { PlacedRule.Strategy(name: name, place: YAMLPlace()) } else { nil }
      }
      var rule =
        places[new.rule.name]
        ?? PlacedRule(
          rule: new.rule, file: "run time", place: YAMLPlace(), afterPlaces: new.rule.after.map { _ in YAMLPlace() },
          strategies: strategies, isStored: true)
      rule.added = new
      if let index = indices[new.rule.name] { placed[index] = rule } else { placed.append(rule) }
    }
  }
}
