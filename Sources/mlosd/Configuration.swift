import Config
import HTTPAPI
import Logging
import Model
import Supervisor
import Wire

/// The settings and rules in force and the two ways in which they change while the supervisor runs: SIGHUP, and one by one through the
/// control socket. One change at a time.
actor Configuration: ConfigurationKeeping {
  let sources: ConfigurationSources
  private(set) var changes: RuntimeChanges
  var stored: StoredRules
  let current: CurrentSettings
  let supervisor: Supervisor
  private let recorder: (any HistoryRecording)?
  private let output: LogOutput
  private let levels: LogLevels
  private let logger: Logger

  init(
    sources: ConfigurationSources, changes: RuntimeChanges, stored: StoredRules, current: CurrentSettings,
    supervisor: Supervisor,
    recorder: (any HistoryRecording)?, output: LogOutput, levels: LogLevels, logger: Logger
  ) {
    self.sources = sources
    self.changes = changes
    self.stored = stored
    self.current = current
    self.supervisor = supervisor
    self.recorder = recorder
    self.output = output
    self.levels = levels
    self.logger = logger
  }

  /// Rules have the last word, until the configuration is read again.
  nonisolated func shown() async -> ConfigAnswer {
    var answer = ConfigAnswer(current.value)
    for setting in await supervisor.ruleSettings() { answer.take(setting) }
    return answer
  }

  func change(
    _ key: String, to value: String?, by requester: Requester
  ) async throws(ConfigurationRefusal) -> ConfigAnswer {
    var wanted = changes
    var isFound = true
    do throws(ConfigError) {
      if let value {
        try wanted.set(key, to: value, by: requester.name, at: Int64(currentMoment().wall))
      } else {
        isFound = try wanted.unset(key, by: requester.name)
      }
    } catch {
      throw Self.refusal(error)
    }
    guard isFound else { throw .notChanged(key) }
    let new: Settings
    do throws(ConfigErrors) {
      // All sources together: a value that is right by itself may contradict another.
      new = try sources.load(wanted, stored.inForce)
      try sources.changesFile?.write(wanted)
    } catch {
      throw Self.refusal(error)
    }
    changes = wanted
    await take(new, by: requester, saying: "setting changed")
    var answer = ConfigAnswer(current.value)
    answer.settings.removeAll { $0.key != (new.row(key)?.key ?? key) }
    return answer
  }

  /// Everything is read again, the log file opened anew.
  func reload() async {
    let new: Settings
    let changed: RuntimeChanges
    let rules: RuntimeRules
    do throws(ConfigErrors) {
      // What ends with the supervisor is nowhere else.
      changed = try sources.changesFile?.read() ?? changes
      rules = try sources.rulesFile?.read() ?? stored.rules
      new = try sources.load(changed, rules)
    } catch {
      for fault in error.errors {
        logger.error("configuration refused, the one before stays in force", metadata: ["error": "\(fault)"])
      }
      return
    }
    changes = changed
    stored = StoredRules(rules: rules)
    do throws(StartError) {
      try output.reopen(path: new.logFile, format: LogOutput.Format(new.logFormat))
    } catch {
      logger.error("log file stays as it was", metadata: ["error": "\(error)"])
    }
    await take(new, by: Requester("SIGHUP"), saying: "configuration read again")
  }

  func take(_ new: Settings, by requester: Requester, saying words: Logger.Message) async {
    let old = current.value
    levels.current = Logger.Level(new.logLevel)
    let changed = old.changes(to: new)
    let now = old.reloaded(from: new)
    current.value = now
    for key in changed.reloadable where key != "rules" {
      recorder?.record(
        ConfigurationChange(
          time: currentMoment().wall, key: key, old: old.row(key)?.value, new: now.row(key)?.value,
          origin: now.row(key)?.origin ?? "not set", requester: requester))
    }
    for rule in old.changedRules(to: now) {
      recorder?.record(
        ConfigurationChange(
          time: currentMoment().wall, key: "rules.\(rule.name)", old: rule.old, new: rule.new,
          origin: now.ruleOrigins[rule.name].map { "\($0)" } ?? "not set", requester: requester))
    }
    await supervisor.reload(
      observeInterval: DaemonService.observeInterval(now), processLimit: now.agentsLimit, unloading: UnloadingSettings(now),
      rules: now.rules, by: requester)
    logger.notice(
      words,
      metadata: ["changed": "\(changed.reloadable.joined(separator: " "))", "by": "\(requester.name)"])
    if !changed.needRestart.isEmpty {
      logger.warning(
        "settings that need a restart changed", metadata: ["settings": "\(changed.needRestart.joined(separator: " "))"])
    }
  }

  private static func refusal(_ error: ConfigError) -> ConfigurationRefusal {
    switch error.code {
    case .needsRestart: .needsRestart(error.message)
    case .unwritable, .unreadable, .foreign: .unavailable("\(error)")
    default: .wrong(code: error.code.rawValue, error.message)
    }
  }

  private static func refusal(_ errors: ConfigErrors) -> ConfigurationRefusal {
    let words = errors.errors.map { "\($0)" }.joined(separator: "; ")
    guard let first = errors.errors.first, errors.errors.count == 1 else { return .wrong(code: "contradiction", words) }
    return refusal(first)
  }
}
