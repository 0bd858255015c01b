import Model
import Supervisor
import Wire

extension PlanAnswer {
  init(_ plan: PlanSnapshot) {
    let settings = plan.settings
    self.init(
      takenAt: plan.takenAt, enabled: settings.isEnabled, acts: settings.isEnabled && !settings.isDryRun,
      strategy: settings.strategy,
      memory: Known(
        plan.memory.map {
          PlanMemory(
            usedBytes: $0.used.count, limitBytes: $0.limit.count, source: $0.source, level: $0.level.rawValue,
            threshold: settings.memoryPressureThreshold, critical: settings.memoryPressureCritical,
            target: settings.memoryPressureTarget, thresholdSeconds: settings.memoryPressureTimeoutSeconds, stall: Known($0.stall)
          )
        }), wantedBytes: plan.wanted.count, isPressed: plan.isPressed,
      units: plan.rows.map { PlanUnit($0, Explaining(plan, $0)) })
  }
}

extension PlanUnit {
  fileprivate init(_ row: PlanRow, _ words: Explaining) {
    let judgement = row.judgement
    let figures = judgement.figures
    var isGoing = false
    if case .unload = judgement.verdict { isGoing = true }
    self.init(
      name: judgement.unit.name, kind: judgement.unit.kind.rawValue, pid: Known(judgement.unit.process?.pid),
      processName: row.processName, verdict: isGoing ? "unload" : "keep", order: Known(row.order), reason: words.reason,
      explanation: words.explanation, otherwise: words.otherwise, bytes: Known(figures.bytes?.count),
      lastUsedAt: Known(row.lastUsedAt), idleSeconds: Known(figures.idleSeconds),
      timeoutSeconds: Known(figures.timeoutSeconds.isFinite ? figures.timeoutSeconds : nil), strategy: figures.strategy,
      unitClass: figures.unitClass.rawValue, reloadSeconds: Known(figures.reloadSeconds),
      reuseProbability: figures.reuseProbability, regret: figures.regret, score: Known(figures.score))
  }
}

/// A judgement in words: what was decided, from which numbers, and what it would take to decide otherwise.
struct Explaining {
  /// A stable word.
  var reason: String
  var explanation: String
  /// Empty when nothing would do.
  var otherwise: String

  init(_ plan: PlanSnapshot, _ row: PlanRow) {
    switch row.judgement.verdict {
    case .unload(let reason): self.init(going: reason, plan, row.judgement)
    case .keep(let reason): self.init(staying: reason, plan, row.judgement)
    }
  }

  /// - Parameter reason: As the history has it.
  private init(_ reason: String, _ explanation: String, otherwise: String = "") {
    self.reason = reason
    self.explanation = explanation
    self.otherwise = otherwise
  }

  private init(going reason: UnloadReason, _ plan: PlanSnapshot, _ judgement: Judgement) {
    let figures = judgement.figures
    let idle = figures.idleSeconds.map(Self.time) ?? "an unknown time"
    let timeout = Self.time(figures.timeoutSeconds)
    let deny = "deny it (\(Self.setting("allow_unload", "false", of: judgement.unit))), or use it"
    switch reason {
    case .memoryPressure(let level):
      let share = plan.memory.map { Self.percent($0.share) } ?? "?"
      self.init(
        reason.recordWord,
        "memory is short (level \(level.rawValue)): \(share) of \(plan.memory.map { "\($0.limit)" } ?? "?") in use, \(plan.wanted) are to come back; "
          + "it brings most for its expected reload",
        otherwise: "less memory in use (below \(Self.percent(plan.settings.memoryPressureTarget))), or \(deny)")
    case .usagePattern(let strategy):
      self.init(reason.recordWord, "idle for \(idle), and \(strategy) gives it \(timeout)", otherwise: deny)
    case .userPreference:
      self.init(reason.recordWord, "idle for \(idle), and its user lets it go after \(timeout)", otherwise: deny)
    case .adaptive(let level):
      self.init(
        reason.recordWord, "idle for \(idle), and at \(level.rawValue) memory \(figures.strategy) gives it \(timeout)",
        otherwise: deny)
    case .cacheLimit(let limit):
      self.init(
        reason.recordWord, "it was closed, and only \(limit) closed modules are kept",
        otherwise: "a larger unloading.module_cache_limit")
    case .rule(let name): self.init(reason.recordWord, "the rule '\(name)' asks for it", otherwise: "another rule")
    case .manual: self.init(reason.recordWord, "somebody asked for it")
    }
  }

  private init(staying reason: KeepReason, _ plan: PlanSnapshot, _ judgement: Judgement) {
    let figures = judgement.figures
    let settings = plan.settings
    switch reason {
    case .disabled: self.init(reason.recordWord, "unloading is switched off", otherwise: "unloading.enabled: true")
    case .notLoaded: self.init(reason.recordWord, "it is not in memory")
    case .userPreference:
      if let rule = plan.deniedByRule[judgement.unit.name] {
        self.init(
          reason.recordWord, "the rule '\(rule)' denies it",
          otherwise: "that rule is disabled or removed (mlos rules disable \(rule))")
        return
      }
      self.init(
        reason.recordWord, "its user denies it", otherwise: Self.setting("allow_unload", "true", of: judgement.unit))
    case .critical:
      self.init(
        reason.recordWord, "its class is critical: it is never unloaded",
        otherwise: Self.setting("class", "important", of: judgement.unit)
      )
    case .busy("trimmed-a-moment-ago"):
      self.init(
        reason.recordWord, "its allocator was asked a moment ago",
        otherwise: "a minute is over, more where it refused, or more of it is free")
    case .busy(let why): self.init(reason.recordWord, "it is in use now: \(why)", otherwise: "that ends")
    case .neededBy(let units) where units.allSatisfy({ $0.name == judgement.unit.name }):
      self.init(
        reason.recordWord,
        "\(units.count == 1 ? "another process holds" : "\(units.count) other processes hold") the same pages and "
          + "\(units.count == 1 ? "does" : "do") not let go", otherwise: "all let go together")
    case .neededBy(let units):
      let shown = units.prefix(3).map(\.name).joined(separator: ", ")
      let more = units.count > 3 ? " and \(units.count - 3) more" : ""
      self.init(
        reason.recordWord, "\(shown)\(more) \(units.count == 1 ? "needs it and stays" : "need it and stay")", otherwise: "they go"
      )
    case .bytesUnknown where judgement.unit.kind == .heap:
      self.init(
        reason.recordWord, "how much of its heap is free is not known: that takes glibc's malloc, and an agent that counts")
    case .bytesUnknown: self.init(reason.recordWord, "what would come back could not be measured")
    case .savingsTooSmall(let minimum):
      self.init(
        reason.recordWord, "\(figures.bytes.map { "\($0)" } ?? "nothing") would come back, less than \(minimum)",
        otherwise: (judgement.unit.kind == .heap ? "more of its heap free" : "more of it in memory for this process alone")
          + ", or a smaller unloading.min_memory_savings_threshold")
    case .useUnknown:
      self.init(reason.recordWord, "it has not been observed for long enough to say when it was used", otherwise: "the next look")
    case .inUse: self.init(idle: figures, settings)
    case .expectedSoon:
      self.init(
        reason.recordWord,
        "idle for \(figures.idleSeconds.map(Self.time) ?? "?") of \(Self.time(figures.timeoutSeconds)), but its own history says "
          + "with \(Self.percent(figures.reuseProbability)) that it is used again within \(Self.time(settings.regretWindowSeconds))",
        otherwise: "idle for \(Self.time(2 * figures.timeoutSeconds)), or memory in use above 70 %")
    case .targetReached: self.init(reason.recordWord, "others bring back enough", otherwise: "those stay")
    case .cycleFull(let limit):
      self.init(
        reason.recordWord, "\(limit) others go first", otherwise: "the next look, in \(Self.time(settings.checkIntervalSeconds))")
    case .underWay: self.init(reason.recordWord, "it was asked to go and has not answered yet")
    case .triedLately(let why, let left):
      self.init(
        reason.recordWord, "it was asked a moment ago and gave nothing back: \(why)", otherwise: "\(Self.time(left)) more")
    }
  }

  private init(idle figures: JudgementFigures, _ settings: UnloadingSettings) {
    let pressure =
      settings.enableMemoryPressureUnloading
      ? "memory in use above \(Self.percent(settings.memoryPressureThreshold)) for "
        + "\(Self.time(settings.memoryPressureTimeoutSeconds))" : ""
    let idle = figures.idleSeconds ?? 0
    guard figures.timeoutSeconds.isFinite else {
      self.init(
        KeepReason.inUse.recordWord, "units do not go for idleness: unloading.enable_usage_pattern_unloading is off",
        otherwise: pressure)
      return
    }
    self.init(
      KeepReason.inUse.recordWord,
      "idle for \(Self.time(idle)), and \(figures.strategy) gives it \(Self.time(figures.timeoutSeconds))",
      otherwise: "\(Self.time(figures.timeoutSeconds - idle)) more without use" + (pressure.isEmpty ? "" : ", or \(pressure)"))
  }

  /// The command that changes a setting of one unit, as a shell reads it.
  static func setting(_ member: String, _ value: String, of unit: ReclaimUnit) -> String {
    let key = "unloading.packages.\(UnitName.written(unit.name)).\(member)"
    let isPlain = key.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-+".contains($0)) }
    let quoted = key.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
    return "mlos config set \(isPlain ? key : "'\(quoted)'") \(value)"
  }

  static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

  /// `45 s`, `15 min`, `2 h 5 min`.
  static func time(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "for ever" }
    let whole = Int(min(max(seconds, 0), 1e9).rounded(.down))
    if whole < 120 { return "\(whole) s" }
    if whole < 7200 { return whole % 60 == 0 || whole >= 3600 ? "\(whole / 60) min" : "\(whole / 60) min \(whole % 60) s" }
    return whole % 3600 < 60 ? "\(whole / 3600) h" : "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}
