import Model

extension Settings {
  /// Default, then profile, then file, then environment, then run-time changes, then command line: the later one wins.
  ///
  /// - Parameters:
  ///   - file: Path of the configuration file; nil for none.
  ///   - required: Whether a missing file is an error.
  ///   - environment: The process's environment; only `MLOS_*` is looked at.
  ///   - overrides: Options of the command line.
  ///   - runtime: Settings that were changed while a supervisor ran.
  ///   - rules: Rules that were.
  ///   - paths: What the defaults depend on.
  /// - Throws: Everything that is wrong, at once.
  public static func load(
    file: String?, required: Bool, environment: [String: String], overrides: [SettingOverride] = [],
    runtime: RuntimeChanges = RuntimeChanges(), rules: RuntimeRules = RuntimeRules(), paths: RuntimePaths
  ) throws(ConfigErrors) -> Settings {
    var contents: [UInt8]?
    if let file {
      do throws(FileFault) {
        contents = try readWhole(file, limit: ConfigurationFile.sizeLimit)
      } catch {
        if required || !error.isMissing {
          throw ConfigErrors([
            ConfigError(code: error.code, source: .file(file, line: nil, column: nil), message: error.message)
          ])
        }
      }
    }
    return try load(
      file: contents.flatMap { bytes in file.map { ($0, bytes) } }, ruleFiles: file.map(RuleDirectory.init(besideFile:)),
      environment: environment, overrides: overrides, runtime: runtime, rules: rules, paths: paths)
  }

  /// The same with the file already read.
  static func load(
    file: (path: String, bytes: [UInt8])?, ruleFiles: RuleDirectory? = nil, environment: [String: String],
    overrides: [SettingOverride], runtime: RuntimeChanges = RuntimeChanges(), rules: RuntimeRules = RuntimeRules(),
    paths: RuntimePaths
  ) throws(ConfigErrors) -> Settings {
    var settings = Settings(defaults: paths)
    var errors: [ConfigError] = []
    var placed: [PlacedRule] = []
    if let file {
      settings.file = file.path
      let reading = ConfigurationFile.read(file.bytes, path: file.path)
      errors += reading.errors
      placed += reading.rules
      settings.entries.merge(reading.entries) { $1 }
    }
    if let ruleFiles { errors += ruleFiles.read(into: &placed) }
    for reading in [readEnvironment(environment), runtime.reading(), readOverrides(overrides)] {
      errors += reading.errors
      settings.entries.merge(reading.entries) { $1 }
    }
    rules.merge(into: &placed)
    settings.applyProfile()
    // What comes of a value that was refused is no mistake of its own.
    if errors.isEmpty { errors += settings.contradictions() + settings.take(placed) }
    guard errors.isEmpty else { throw ConfigErrors(errors) }
    return settings
  }

  /// What one source says: values by dotted name, and what is wrong with it.
  struct Reading {
    var entries: [String: Entry] = [:]
    var errors: [ConfigError] = []
    var rules: [PlacedRule] = []
  }

  static func readEnvironment(_ environment: [String: String]) -> Reading {
    var reading = Reading()
    let prefix = "MLOS_"
    for (name, text) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix(prefix) {
      guard let key = SettingKeys.byEnvironmentName[name] else {
        let others = SettingKeys.otherVariables.map(\.name)
        guard !others.contains(name) else { continue }
        let near = nearestName(
          to: String(name.dropFirst(prefix.count)),
          among: (Array(SettingKeys.byEnvironmentName.keys) + others).map { String($0.dropFirst(prefix.count)) })
        reading.errors.append(
          ConfigError(
            code: .unknownKey, source: .environment(quotable(name)),
            message: "unknown variable" + (near.map { "; did you mean '\(prefix)\($0)'?" } ?? "")))
        continue
      }
      switch key.parse(text) {
      case .success(let value): reading.entries[key.name] = Entry(value: value, origin: .environment(name))
      case .failure(let fault):
        reading.errors.append(ConfigError(code: fault.code, source: .environment(name), message: fault.message))
      }
    }
    return reading
  }

  static func readOverrides(_ overrides: [SettingOverride]) -> Reading {
    var reading = Reading()
    for override in overrides {
      let source = ConfigError.Source.commandLine(override.option)
      do throws(SettingFault) {
        let (name, value) = try SettingKeys.value(override.value, of: override.key)
        reading.entries[name] = Entry(value: value, origin: .commandLine(override.option))
      } catch {
        reading.errors.append(ConfigError(code: error.code, source: source, message: error.message))
      }
    }
    return reading
  }
}

extension SettingKeys {
  /// A value from elsewhere than a file, and the whole name of its setting.
  static func value(_ text: String, of name: String) throws(SettingFault) -> (name: String, value: any SettingValue) {
    switch meaning(of: SettingPath(text: name)) {
    case .setting(let key, let name): return (name, try key.parse(text).get())
    case .section(let name, let holds), .names(let name, let holds):
      throw SettingFault(code: .wrongType, message: "'\(name)' is no setting by itself (it holds \(holds))")
    case .rules:
      throw SettingFault(
        code: .wrongType, message: "'rules' is no setting; rules are written into files, or added: mlos rules add")
    case .nothing(let code, let message): throw SettingFault(code: code, message: message)
    }
  }
}
