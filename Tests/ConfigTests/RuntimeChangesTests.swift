import Foundation
import Model
import Testing

@testable import Config

@Suite struct RuntimeChangesTests {
  private static func changes(_ values: [(String, String)], by who: String = "user 1000") throws -> RuntimeChanges {
    var changes = RuntimeChanges()
    for (key, value) in values { try changes.set(key, to: value, by: who, at: 1_770_091_506) }
    return changes
  }

  private static func loaded(
    _ changes: RuntimeChanges, _ text: String? = nil, environment: [String: String] = [:], overrides: [SettingOverride] = []
  ) throws(ConfigErrors) -> Settings {
    try Settings.load(
      file: text.map { ("f", Array($0.utf8)) }, environment: environment, overrides: overrides, runtime: changes, paths: testPaths
    )
  }

  private static func complaint(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "nothing"
  }

  /// Calls with a folder that is gone afterwards.
  private static func inFolder(_ body: (URL) throws -> Void) throws {
    let folder = URL(filePath: NSTemporaryDirectory()).appending(path: "state-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
  }

  @Test("a change wins over file and environment, and gives way to the command line") func precedence() throws {
    let changes = try Self.changes([
      ("unloading.strategy", "AGGRESSIVE"), ("unloading.regret_window", "5m"), ("unloading.max_unloads_per_cycle", "3"),
    ])
    let settings = try Self.loaded(
      changes, "unloading: {strategy: conservative}", environment: ["MLOS_UNLOADING_REGRET_WINDOW": "7"],
      overrides: [SettingOverride(key: "unloading.max_unloads_per_cycle", value: "9", option: "--max")])
    let runtime = "run time, by user 1000 at 2026-02-03T04:05:06Z"
    #expect(settings.row("unloading.strategy").map { [$0.value, $0.origin] } == ["aggressive", runtime])
    #expect(settings.row("unloading.regret_window").map { [$0.value, $0.origin] } == ["300s", runtime])
    #expect(settings.row("unloading.max_unloads_per_cycle")?.origin == "command line --max")
    #expect(changes["unloading.strategy"]?.value == "aggressive")
  }

  @Test("a change may be taken back, and one of a name may be added") func unset() throws {
    var changes = try Self.changes([("unloading.packages.torch.strategy", "night"), ("unloading.strategies.Night", "1h")])
    #expect(changes.changes.map(\.key) == ["unloading.packages.torch.strategy", "unloading.strategies.night"])
    #expect(try UnloadingSettings(Self.loaded(changes)).preferences["torch"]?.strategy == "night")
    #expect(try changes.unset("unloading.strategies.NIGHT", by: "x"))
    #expect(try !changes.unset("unloading.strategies.night", by: "x"))
    #expect(
      Self.complaint { _ = try Self.loaded(changes) }
        == "change by user 1000: 'unloading.packages.torch.strategy' (run time, by user 1000 at 2026-02-03T04:05:06Z): there is no "
        + "strategy 'night'; there are aggressive, balanced, conservative")
    #expect(
      Self.complaint { _ = try changes.unset("log.levle", by: "x") }
        == "change by x: unknown key 'log.levle'; did you mean 'log.level'?")
    #expect(Self.complaint { _ = try changes.unset("log", by: "x") } == "change by x: 'log' is no setting by itself")
  }

  @Test(
    "a change that cannot be is refused with the nearest name or the range",
    arguments: [
      ("unloading.stratgy", "x", "unknown key 'unloading.stratgy'; did you mean 'unloading.strategy'?"),
      ("unloading.max_unloads_per_cycle", "0", "'unloading.max_unloads_per_cycle' must be 1 to 1000 packages, not 0"),
      ("unloading.memory_pressure_target", "1.1", "'unloading.memory_pressure_target' must be 0.01 to 0.99, not 1.1"),
      ("unloading.enabled", "perhaps", "'unloading.enabled' must be true or false, not 'perhaps'"),
      ("socket", "/x/agent.sock", "'socket' takes effect at start only: write it into the configuration file"),
      (
        "unloading.packages.torch", "x",
        "'unloading.packages.torch' is no setting by itself (it holds unloading.packages.torch.strategy, "
          + "unloading.packages.torch.allow_unload, unloading.packages.torch.class)"
      ),
      ("rules", "[]", "'rules' is no setting; rules are written into files, or added: mlos rules add"),
    ])
  func refusals(key: String, value: String, expected: String) {
    #expect(Self.complaint { _ = try Self.changes([(key, value)], by: "user 0") } == "change by user 0: \(expected)")
  }

  @Test("changes are stored whole, for the owner alone, and read back as they were") func stored() throws {
    try Self.inFolder { folder in
      let file = RuntimeChangesFile(stateDirectory: folder.appending(path: "a/b").path)
      #expect(try file.read() == RuntimeChanges())
      var changes = try Self.changes(
        [("unloading.packages.\"a.b\\\"\".strategy", "balanced"), ("unloading.packages.\"é😀 '#:{\".class", "optional")],
        by: "user \u{1}\u{85}\"'é")
      try file.write(changes)
      #expect(try file.read() == changes)
      // What a writer leaves who is stopped in the middle is in nobody's way.
      try Data("{".utf8).write(to: folder.appending(path: "a/b/.settings.json.new"))
      try changes.set("unloading.enabled", to: "no", by: "x", at: -1)
      try file.write(changes)
      #expect(try file.read() == changes)
      let attributes = try FileManager.default.attributesOfItem(atPath: file.path)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: "a/b").path) == ["settings.json"])
      let object = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: file.path))) as? [String: Any]
      #expect((object?["changes"] as? [Any])?.count == 3)
      try file.write(RuntimeChanges())
      #expect(try file.read() == RuntimeChanges())
    }
  }

  @Test("wherever a write was cut off, the file is refused") func torn() throws {
    let changes = try Self.changes([("unloading.enabled", "no"), ("unloading.packages.é.class", "optional")])
    let whole = RuntimeChangesFile.encode(changes)
    #expect(try RuntimeChangesFile.decode(whole, path: "s") == changes)
    // Without its last line end it says the same.
    for length in 0..<(whole.count - 1) {
      let message = Self.complaint { _ = try RuntimeChangesFile.decode(Array(whole[..<length]), path: "s") }
      #expect(message.hasPrefix("s") && message.hasSuffix("; the file is left as it is"), "\(length): \(message)")
      let padded = Array(whole[..<length]) + Array(repeating: 0, count: whole.count - length)
      #expect(throws: ConfigErrors.self) { try RuntimeChangesFile.decode(padded, path: "s") }
    }
  }

  @Test(
    "a file that is not one of MLOS's, or that it does not know, is refused and left alone",
    arguments: [
      ("", "s: empty, and so not whole"), ("{}", "s:1:1: not written by MLOS"), ("[1]", "s:1:1: not written by MLOS"),
      ("unloading: {enabled: no}", "s:1:1: not written by MLOS"),
      ("{\"format\": \"mlos run-time settings\", \"version\": 2}", "s:1:49: written by a newer MLOS: version 2, known is 1"),
      ("{\"format\": \"mlos run-time settings\", \"version\": 1, \"changes\": {}}", "s:1:1: not written by MLOS"),
      (
        "{\"format\": \"mlos run-time settings\", \"version\": 1, \"changes\": [{\"key\": 1}]}",
        "s:1:64: not written by MLOS: a change has key, value, who and when"
      ),
      (
        line("unloading.regret_windw", "1"),
        "s:1:64: unknown key 'unloading.regret_windw'; did you mean 'unloading.regret_window'?"
      ),
      (line("unloading.regret_window", "0"), "s:1:64: 'unloading.regret_window' must be 1s to 86400s, not 0s"),
      ("\0\0\0", "s:1:1: not whole, or not written by MLOS: NUL character"),
    ])
  func foreign(text: String, expected: String) throws {
    try Self.inFolder { folder in
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      let file = RuntimeChangesFile(stateDirectory: folder.path)
      try Data(text.utf8).write(to: URL(filePath: file.path))
      let complaint = "\(file.path)\(expected.dropFirst()); the file is left as it is"
      #expect(Self.complaint { _ = try file.read() } == complaint)
      #expect(throws: ConfigErrors.self) { try file.write(RuntimeChanges()) }
      #expect(try Data(contentsOf: URL(filePath: file.path)) == Data(text.utf8))
    }
  }

  @Test("a file of the time when rules were to stand in it is read; one that has any is not MLOS's") func former() throws {
    func file(_ rules: String) -> [UInt8] {
      Array("{\"format\": \"mlos run-time settings\", \"version\": 1, \"changes\": [], \"rules\": \(rules)}".utf8)
    }
    #expect(try RuntimeChangesFile.decode(file("[]"), path: "s") == RuntimeChanges())
    #expect(throws: ConfigErrors.self) { try RuntimeChangesFile.decode(file("[1]"), path: "s") }
    #expect(throws: ConfigErrors.self) { try RuntimeChangesFile.decode(file("{}"), path: "s") }
  }

  private static func line(_ key: String, _ value: String) -> String {
    "{\"format\": \"mlos run-time settings\", \"version\": 1, \"changes\": "
      + "[{\"key\": \"\(key)\", \"value\": \"\(value)\", \"who\": \"u\", \"when\": 1}]}"
  }

  @Test("where the file cannot be written it is said, and the old one stays") func unwritable() throws {
    try Self.inFolder { folder in
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      let file = RuntimeChangesFile(stateDirectory: folder.path)
      let old = try Self.changes([("unloading.enabled", "no")])
      try file.write(old)
      // A folder in the draft's place can be neither removed as a file nor written.
      try FileManager.default.createDirectory(at: folder.appending(path: ".settings.json.new"), withIntermediateDirectories: true)
      #expect(Self.complaint { try file.write(RuntimeChanges()) }.hasPrefix("\(file.path): cannot be written: "))
      #expect(try file.read() == old)
      let blocked = RuntimeChangesFile(stateDirectory: file.path)
      #expect(Self.complaint { try blocked.write(old) } == "\(file.path)/settings.json: cannot be written: Not a directory")
    }
  }

  @Test("there may be a thousand changes, and the file holds them") func many() throws {
    var changes = RuntimeChanges()
    for index in 0..<RuntimeChanges.limit {
      try changes.set("unloading.packages.p\(index).class", to: "optional", by: "u", at: 1)
    }
    #expect(
      Self.complaint { try changes.set("unloading.enabled", to: "no", by: "u", at: 1) }
        == "change by u: 1000 settings are changed at run time already")
    try changes.set("unloading.packages.p1.class", to: "critical", by: "u", at: 1)
    #expect(try RuntimeChangesFile.decode(RuntimeChangesFile.encode(changes), path: "s") == changes)
  }

  @Test(
    "times are written as UTC",
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"),
      (4_107_542_399, "2100-02-28T23:59:59Z"), (4_107_542_400, "2100-03-01T00:00:00Z"), (1_770_091_506, "2026-02-03T04:05:06Z"),
      (.max, "9999-12-31T23:59:59Z"), (.min, "0001-01-01T00:00:00Z"),
    ] as [(Int64, String)])
  func times(seconds: Int64, text: String) { #expect(utcText(seconds) == text) }
}
