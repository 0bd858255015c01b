import Model

/// One setting that was changed while a supervisor ran.
public struct RuntimeChange: Hashable, Sendable {
  /// Dotted, in full.
  public let key: String
  /// As the file would have it.
  public let value: String
  /// `user 1000`.
  public let who: String
  /// Seconds since 1970.
  public let when: Int64
}

/// Settings that were changed while a supervisor ran. They win over the file and the environment, and the command line over them. A value type: try the changed ones with `Settings.load`, then store them, then take the settings over.
public struct RuntimeChanges: Hashable, Sendable {
  /// By key.
  public private(set) var changes: [RuntimeChange] = []

  /// More than there are settings; the rest is for packages.
  public static let limit = 1000
  static let whoLimit = 128

  static func shortened(_ who: String) -> String { quotable(who, limit: whoLimit - 3) }

  public init() {}

  /// The change of one key; nil when it was not changed.
  public subscript(key: String) -> RuntimeChange? {
    let name = SettingKeys.meaning(of: SettingPath(text: key)).name
    return changes.first { $0.key == name }
  }

  /// Changes a setting.
  ///
  /// - Parameters:
  ///   - key: Dotted: `unloading.packages.torch.strategy`.
  ///   - text: As it would be written in the file.
  ///   - who: Whose wish it is, as the kernel tells.
  ///   - when: Seconds since 1970.
  /// - Throws: An unknown key, with the nearest one; a value of the wrong type or out of its range; a setting that takes
  ///   effect at start only; more than `limit` changes.
  public mutating func set(_ key: String, to text: String, by who: String, at when: Int64) throws(ConfigError) {
    let who = Self.shortened(who)
    func refused(_ code: ConfigError.Code, _ message: String) -> ConfigError {
      ConfigError(code: code, source: .runtime(who: who), message: message)
    }
    let name: String
    let value: any SettingValue
    do throws(SettingFault) { (name, value) = try SettingKeys.value(text, of: key) } catch {
      throw refused(error.code, error.message)
    }
    guard SettingKeys.byName[name]?.isReloadable ?? true else {
      throw refused(.needsRestart, "'\(name)' takes effect at start only: write it into the configuration file")
    }
    let change = RuntimeChange(key: name, value: value.settingText, who: who, when: when)
    if let index = changes.firstIndex(where: { $0.key == name }) {
      changes[index] = change
      return
    }
    guard changes.count < Self.limit else { throw refused(.tooLarge, "\(Self.limit) settings are changed at run time already") }
    changes.insert(change, at: changes.firstIndex { $0.key > name } ?? changes.count)
  }

  /// Takes a change back; false when there is none.
  ///
  /// - Throws: An unknown key, with the nearest one.
  public mutating func unset(_ key: String, by who: String) throws(ConfigError) -> Bool {
    let meaning = SettingKeys.meaning(of: SettingPath(text: key))
    guard case .setting(_, let name) = meaning else {
      let message = if case .nothing(_, let message) = meaning { message } else { "'\(quotable(key))' is no setting by itself" }
      throw ConfigError(code: .unknownKey, source: .runtime(who: quotable(who)), message: message)
    }
    let before = changes.count
    changes.removeAll { $0.key == name }
    return changes.count < before
  }

  func reading() -> Settings.Reading {
    var reading = Settings.Reading()
    for change in changes {
      do throws(SettingFault) {
        let (name, value) = try SettingKeys.value(change.value, of: change.key)
        reading.entries[name] = Settings.Entry(value: value, origin: .runtime(who: change.who, when: change.when))
      } catch {
        reading.errors.append(ConfigError(code: error.code, source: .runtime(who: change.who), message: error.message))
      }
    }
    return reading
  }
}

/// `2026-02-03T04:05:06Z` of seconds since 1970, in the Gregorian calendar.
func utcText(_ seconds: Int64) -> String {
  // Four digits of year on both sides.
  let seconds = min(max(seconds, -62_135_596_800), 253_402_300_799)
  let day = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400
  let second = seconds - day * 86400
  // Days since 1 March of the year 0, so that the leap day is the last of its year; H. Hinnant, chrono-compatible algorithms.
  let shifted = day + 719_468
  let era = shifted / 146_097
  let dayOfEra = shifted - era * 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let shiftedMonth = (5 * dayOfYear + 2) / 153
  let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  func digits(_ number: Int64, _ width: Int = 2) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }
  return "\(digits(year, 4))-\(digits(month))-\(digits(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1))"
    + "T\(digits(second / 3600)):\(digits(second / 60 % 60)):\(digits(second % 60))Z"
}
