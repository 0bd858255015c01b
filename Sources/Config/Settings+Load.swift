import Model

extension Settings {
  /// Default, then file, then environment, then command line: the later one wins.
  ///
  /// - Parameters:
  ///   - file: Path of the configuration file; nil for none.
  ///   - required: Whether a missing file is an error.
  ///   - environment: The process's environment; only `MLOS_*` is looked at.
  ///   - overrides: Options of the command line.
  ///   - paths: What the defaults depend on.
  /// - Throws: Everything that is wrong, at once.
  public static func load(
    file: String?, required: Bool, environment: [String: String], overrides: [SettingOverride] = [],
    paths: RuntimePaths
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
      file: contents.flatMap { bytes in file.map { ($0, bytes) } }, environment: environment, overrides: overrides,
      paths: paths)
  }

  /// The same with the file already read.
  static func load(
    file: (path: String, bytes: [UInt8])?, environment: [String: String], overrides: [SettingOverride],
    paths: RuntimePaths
  ) throws(ConfigErrors) -> Settings {
    var settings = Settings(defaults: paths)
    var errors: [ConfigError] = []
    if let file {
      settings.file = file.path
      let reading = ConfigurationFile.read(file.bytes, path: file.path)
      errors += reading.errors
      settings.entries.merge(reading.entries) { $1 }
    }
    let fromEnvironment = readEnvironment(environment)
    errors += fromEnvironment.errors
    settings.entries.merge(fromEnvironment.entries) { $1 }
    let fromOptions = readOverrides(overrides)
    errors += fromOptions.errors
    settings.entries.merge(fromOptions.entries) { $1 }
    guard errors.isEmpty else { throw ConfigErrors(errors) }
    return settings
  }

  /// What one source says: values by dotted name, and what is wrong with it.
  struct Reading {
    var entries: [String: Entry] = [:]
    var errors: [ConfigError] = []
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
      guard let key = SettingKeys.byName[override.key] else {
        reading.errors.append(ConfigError(code: .unknownKey, source: source, message: unknownKeyMessage(override.key)))
        continue
      }
      switch key.parse(override.value) {
      case .success(let value): reading.entries[key.name] = Entry(value: value, origin: .commandLine(override.option))
      case .failure(let fault):
        reading.errors.append(ConfigError(code: fault.code, source: source, message: fault.message))
      }
    }
    return reading
  }
}

/// "unknown key 'loglevel'; did you mean 'log.level'?"
func unknownKeyMessage(_ name: String) -> String {
  let near = nearestName(to: name, among: Array(SettingKeys.byName.keys) + Array(SettingKeys.sections))
  return "unknown key '\(quotable(name))'" + (near.map { "; did you mean '\($0)'?" } ?? "")
}
