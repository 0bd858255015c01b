/// A setting with a handful of words to choose from.
public protocol SettingChoice: SettingValue, RawRepresentable, CaseIterable where RawValue == String {}

// The members are documented by the protocol.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension SettingChoice {
  /// The word, in lower or upper case.
  public init?(settingText text: String) { self.init(rawValue: text.lowercased()) }
  public var settingText: String { rawValue }
  public static var expectation: String {
    let words = allCases.map(\.rawValue)
    return words.count > 1 ? "one of \(words.dropLast().joined(separator: ", ")) or \(words[words.count - 1])" : words.joined()
  }
}

/// The least severe message that is logged.
public enum LogLevel: String, SettingChoice { case trace, debug, info, notice, warning, error, critical }

/// How a log line looks.
public enum LogFormat: String, SettingChoice {
  /// One JSON object a line.
  case json
  /// For people.
  case text
}
