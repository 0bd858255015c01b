/// What is declared about one setting, whatever its type.
public protocol SettingDeclaration: Sendable {
  /// Dotted, e.g. `log.level`.
  var name: String { get }
  /// One line, without a full stop.
  var summary: String { get }
  /// Unit of a plain number, e.g. "agents"; empty when the value carries its unit.
  var unit: String { get }
  /// Whether a running supervisor takes a new value over when it rereads its configuration.
  var isReloadable: Bool { get }
  /// What may be written: "a whole number".
  var expectation: String { get }
  /// "1 to 65536 agents"; nil when every value of the type will do.
  var rangeText: String? { get }
  /// Words for the default in the reference, where it depends on the user.
  var defaultNote: String? { get }
  /// The value where nobody gives one.
  func defaultValue(_ paths: RuntimePaths) -> any SettingValue
  /// Reads and checks a value.
  func parse(_ text: String) -> Result<any SettingValue, SettingFault>
}

extension SettingDeclaration {
  /// `MLOS_LOG_LEVEL` for `log.level`.
  public var environmentName: String {
    "MLOS_" + String(name.map { $0 == "." || $0 == "-" ? "_" : $0 }).uppercased()
  }
}

/// Why a text is no value for a setting.
public struct SettingFault: Error, Hashable, Sendable {
  /// `wrongType` or `outOfRange`.
  public var code: ConfigError.Code
  /// In words; names the setting.
  public var message: String
}

/// One setting: name, type, default, limits and documentation. The members are documented by the protocol.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
public struct SettingKey<Value: SettingValue>: SettingDeclaration {
  public let name: String
  public let summary: String
  public let unit: String
  public let isReloadable: Bool
  public let defaultNote: String?
  public let rangeText: String?
  public let expectation: String
  let defaultBy: @Sendable (RuntimePaths) -> Value
  /// Says what is wrong with a value of the right type; nil for nothing.
  let check: @Sendable (Value) -> String?

  init(
    _ name: String, default defaultValue: Value, reloadable: Bool, _ summary: String, expectation: String = Value.expectation,
    check: @escaping @Sendable (Value) -> String? = { _ in nil }
  ) {
    self.init(name, defaultNote: nil, reloadable: reloadable, summary, expectation: expectation, check: check) { _ in defaultValue
    }
  }

  init(
    _ name: String, defaultNote: String?, reloadable: Bool, _ summary: String, expectation: String,
    check: @escaping @Sendable (Value) -> String?, defaultBy: @escaping @Sendable (RuntimePaths) -> Value
  ) {
    self.name = name
    self.summary = summary
    unit = ""
    isReloadable = reloadable
    self.defaultNote = defaultNote
    self.expectation = expectation
    rangeText = nil
    self.defaultBy = defaultBy
    self.check = check
  }

  init(
    _ name: String, default defaultValue: Value, in range: ClosedRange<Value>, unit: String = "", reloadable: Bool,
    _ summary: String
  ) where Value: Comparable {
    self.name = name
    self.summary = summary
    self.unit = unit
    isReloadable = reloadable
    defaultNote = nil
    let rangeText =
      "\(range.lowerBound.settingText) to \(range.upperBound.settingText)" + (unit.isEmpty ? "" : " \(unit)")
    self.rangeText = rangeText
    expectation = Value.expectation
    defaultBy = { _ in defaultValue }
    check = { range.contains($0) ? nil : "must be \(rangeText), not \($0.settingText)" }
  }

  public func defaultValue(_ paths: RuntimePaths) -> any SettingValue { defaultBy(paths) }

  public func parse(_ text: String) -> Result<any SettingValue, SettingFault> {
    guard let value = Value(settingText: text) else {
      let written = text.isEmpty ? "nothing" : "'\(quotable(text))'"
      let range = rangeText.map { ", \($0)" } ?? ""
      return .failure(SettingFault(code: .wrongType, message: "'\(name)' must be \(expectation)\(range), not \(written)"))
    }
    if let fault = check(value) { return .failure(SettingFault(code: .outOfRange, message: "'\(name)' \(fault)")) }
    return .success(value)
  }
}

/// Text from outside inside a message: short, on one line.
func quotable(_ text: String, limit: Int = 80) -> String {
  var shown = ""
  for scalar in text.unicodeScalars.prefix(limit) {
    if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) {
      shown += "\\u{\(String(scalar.value, radix: 16))}"
    } else {
      shown.unicodeScalars.append(scalar)
    }
  }
  return text.unicodeScalars.count > limit ? shown + "..." : shown
}
