import Model

/// Where settings that were changed at run time are kept: `settings.json` in the state folder.
public struct RuntimeChangesFile: Sendable {
  public let path: String

  /// - Parameter stateDirectory: Made when it is missing.
  public init(stateDirectory: String) { path = stateDirectory + "/settings.json" }

  /// A change has nine values.
  private static let file = RuntimeFile(
    format: "mlos run-time settings", lists: ["changes"], emptyBefore: "rules",
    limits: YAMLLimits(depth: 8, nodes: 16 + 9 * RuntimeChanges.limit))

  /// What is stored; nothing where there is no file.
  public func read() throws(ConfigErrors) -> RuntimeChanges {
    try Self.file.read(path).map { bytes throws(ConfigErrors) in try Self.decode(bytes, path: path) } ?? RuntimeChanges()
  }

  /// Puts `changes` in the place of what is stored. When it returns they are on the disk.
  public func write(_ changes: RuntimeChanges) throws(ConfigErrors) {
    _ = try read()
    try Self.file.write(Self.encode(changes), to: path)
  }

  static func encode(_ changes: RuntimeChanges) -> [UInt8] {
    file.encode([
      changes.changes.map {
        "{\"key\": \(quoted($0.key)), \"value\": \(quoted($0.value)), \"who\": \(quoted($0.who)), \"when\": \($0.when)}"
      }
    ])
  }

  static func decode(_ bytes: [UInt8], path: String) throws(ConfigErrors) -> RuntimeChanges {
    var changes = RuntimeChanges()
    for item in try file.decode(bytes, path: path)[0] {
      guard let parts = item.members("key", "value", "who", "when"), let key = parts["key"]?.scalarText,
        let value = parts["value"]?.scalarText, let who = parts["who"]?.scalarText,
        let when = parts["when"]?.scalarText.flatMap({ Int64($0) })
      else { throw file.refused(.foreign, path, item.place, "not written by MLOS: a change has key, value, who and when") }
      guard changes[key] == nil else {
        throw file.refused(.foreign, path, item.place, "'\(quotable(key))' is in it more than once")
      }
      do throws(ConfigError) {
        try changes.set(key, to: value, by: who, at: when)
      } catch {
        throw file.refused(error.code, path, item.place, error.message)
      }
    }
    return changes
  }
}
