/// `GET /api/v1/config`; `PUT` and `DELETE /api/v1/config/KEY` answer with the one setting.
public struct ConfigAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.config/1"
  public var schema = ConfigAnswer.schema
  /// Path of the file in force, null when there is none.
  public var file: Known<String>
  public var settings: [SettingRow]
  public init(file: Known<String>, settings: [SettingRow]) {
    self.file = file
    self.settings = settings
  }
}
/// `PUT /api/v1/config/KEY`
public struct SettingRequest: Codable, Sendable, Hashable {
  /// As the file would have it.
  public var value: String
  public init(value: String) { self.value = value }
}

public struct SettingRow: Codable, Sendable, Hashable {
  /// Dotted, e.g. `log.level`.
  public var key: String
  public var value: String
  /// `default`, `/etc/mlos/mlos.yaml:3`, `environment MLOS_LOG_LEVEL`, `command line --socket`.
  public var origin: String
  public var summary: String
  public init(key: String, value: String, origin: String, summary: String) {
    self.key = key
    self.value = value
    self.origin = origin
    self.summary = summary
  }
}
