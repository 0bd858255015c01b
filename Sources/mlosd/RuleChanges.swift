import Config
import HTTPAPI
import Model
import Supervisor
import Wire

/// Rules that were changed at run time, as they are stored, and whether they are in force.
struct StoredRules: Sendable {
  var rules = RuntimeRules()
  /// Why they are not; nil when they are.
  var problem: String?

  /// What counts beside the files.
  var inForce: RuntimeRules { problem == nil ? rules : RuntimeRules() }

  static func words(_ problem: String) -> String { "rules that were added at run time are not in force: \(problem)" }

  /// What is stored, with the settings that come of it. Rules never keep the supervisor from starting: where their file cannot be
  /// read, or they do not go with the files any more, it starts without them.
  static func load(
    _ sources: ConfigurationSources, _ changes: RuntimeChanges
  ) throws(ConfigErrors) -> (stored: StoredRules, settings: Settings) {
    var stored = StoredRules()
    do throws(ConfigErrors) {
      stored.rules = try sources.rulesFile?.read() ?? RuntimeRules()
      if stored.rules != RuntimeRules() { return (stored, try sources.load(changes, stored.rules)) }
    } catch {
      stored.problem = error.errors.map { "\($0)" }.joined(separator: "; ")
    }
    return (stored, try sources.load(changes, RuntimeRules()))
  }
}

extension Configuration: RuleKeeping {
  func rules() async -> RulesAnswer {
    let snapshot = await supervisor.rules()
    let origins = current.value.ruleOrigins
    return RulesAnswer(
      takenAt: snapshot.takenAt, problem: Known(stored.problem),
      rules: snapshot.rules.map { RuleRow($0, origins[$0.rule.name]) })
  }

  func addRules(
    _ text: String, from file: String, only name: String?, by requester: Requester
  ) async throws(RuleRefusal) -> RulesAnswer {
    var wanted = stored.rules
    let names: [String]
    do throws(ConfigErrors) {
      names = try wanted.add(Array(text.utf8), from: file, by: requester.name, at: Int64(currentMoment().wall))
    } catch {
      throw Self.refusal(error, of: file)
    }
    if let name, names != [name] {
      let place = RulePlace(line: 1, column: 1, field: "name", mistake: "contradiction")
      throw .wrong("\(file):1:1: the text must have the rule that the path names, and no other", place)
    }
    let files = try filesAlone(by: file)
    for name in names where files.ruleOrigins[name] != nil && !stored.rules.isAdded(name) {
      throw .conflict(
        "\(file): rule '\(name)' is in \(files.ruleOrigins[name].map { "\($0)" } ?? "a file"): change it there, or add another name",
        nil)
    }
    try await use(wanted, of: file, by: requester, saying: "rules added")
    return await answer(names)
  }

  func turnRule(_ name: String, on isEnabled: Bool, by requester: Requester) async throws(RuleRefusal) -> RulesAnswer {
    let written = try filesAlone(by: nil).rules.first { $0.name == name }?.isEnabled
    guard written != nil || stored.rules.isAdded(name) else { throw unknown(name) }
    var wanted = stored.rules
    wanted.turn(name, on: isEnabled, written: written, by: requester.name, at: Int64(currentMoment().wall))
    try await use(wanted, of: nil, by: requester, saying: isEnabled ? "rule enabled" : "rule disabled")
    return await answer([name])
  }

  func removeRule(_ name: String, by requester: Requester) async throws(RuleRefusal) -> RulesAnswer {
    var wanted = stored.rules
    guard wanted.remove(name) else {
      guard let origin = current.value.ruleOrigins[name] else { throw unknown(name) }
      throw .conflict("rule '\(name)' is in \(origin.written): remove it there, or: mlos rules disable \(name)", nil)
    }
    try await use(wanted, of: nil, by: requester, saying: "rule removed")
    return await answer([name])
  }

  /// Tries them beside the files, stores them, and takes them over; or changes nothing.
  private func use(
    _ wanted: RuntimeRules, of text: String?, by requester: Requester, saying words: String
  ) async throws(RuleRefusal) {
    let new: Settings
    do throws(ConfigErrors) {
      new = try sources.load(changes, wanted)
      try sources.rulesFile?.write(wanted)
    } catch {
      throw Self.refusal(error, of: text)
    }
    stored = StoredRules(rules: wanted.stored())
    await take(new, by: requester, saying: "\(words)")
  }

  /// The rules of the files as they are now.
  private func filesAlone(by text: String?) throws(RuleRefusal) -> Settings {
    do throws(ConfigErrors) { return try sources.load(changes, RuntimeRules()) } catch {
      throw Self.refusal(error, of: text)
    }
  }

  private func answer(_ names: [String]) async -> RulesAnswer {
    var answer = await rules()
    answer.rules.removeAll { !names.contains($0.name) }
    return answer
  }

  private func unknown(_ name: String) -> RuleRefusal {
    .unknown(name, nearest: nearestName(to: name, among: current.value.rules.map(\.name) + stored.rules.added.map(\.rule.name)))
  }

  /// - Parameter text: What the mistakes of the text that was sent are called; nil when none was.
  private static func refusal(_ errors: ConfigErrors, of text: String?) -> RuleRefusal {
    let words = errors.errors.map { "\($0)" }.joined(separator: "\n")
    guard let first = errors.errors.first else { return .unavailable(words) }
    let isText = text != nil && first.file == text
    let place =
      isText
      ? RulePlace(line: first.line ?? 1, column: first.column ?? 1, field: first.field, mistake: first.code.rawValue) : nil
    switch first.code {
    case .circle: return .conflict(words, place)
    case .tooLarge: return .limitReached(words)
    case .unreadable, .unwritable, .foreign: return .unavailable(words)
    default: return isText ? .wrong(words, place) : .conflict(words, nil)
    }
  }
}

extension RuleRow {
  init(_ snapshot: RuleSnapshot, _ origin: RuleOrigin?) {
    let rule = snapshot.rule
    self.init(
      name: rule.name, isEnabled: rule.isEnabled, state: snapshot.state, explanation: snapshot.explanation,
      condition: rule.condition.description, forSeconds: rule.holdSeconds, everySeconds: rule.cooldownSeconds, after: rule.after,
      actions: rule.actions.map(\.description), holdsSince: Known(snapshot.holdsSince), lastFiredAt: Known(snapshot.lastFiredAt),
      firings: snapshot.firings, heldBack: snapshot.heldBack, origin: origin?.description ?? "",
      isRuntime: origin?.isRuntime ?? false,
      text: RuleFile.text([rule]))
  }
}

extension Settings {
  /// Rules that are others in `new`, as they are written; nil where there is none.
  func changedRules(to new: Settings) -> [(name: String, old: String?, new: String?)] {
    let before = Dictionary(rules.map { ($0.name, $0) }) { first, _ in first }
    let after = Dictionary(new.rules.map { ($0.name, $0) }) { first, _ in first }
    let gone = rules.filter { after[$0.name] == nil }.map(\.name)
    return (gone + new.rules.map(\.name)).filter { before[$0] != after[$0] }.map { name in
      (name, before[name].map(RuleFile.json), after[name].map(RuleFile.json))
    }
  }
}
