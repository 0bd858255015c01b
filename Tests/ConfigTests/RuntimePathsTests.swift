import Foundation
import Testing

@testable import Config

@Suite struct RuntimePathsTests {
  @Test(
    "where the sockets are",
    arguments: [
      (0, ["XDG_RUNTIME_DIR": "/run/user/0"], [], "/run/mlos"),
      (1000, ["XDG_RUNTIME_DIR": "/run/user/1000/"], [], "/run/user/1000/mlos"),
      (1000, ["XDG_RUNTIME_DIR": "relative"], ["/run/user/1000"], "/run/user/1000/mlos"),
      (1000, [:], ["/run/user/1000"], "/run/user/1000/mlos"),
      (1000, [:], [], "/tmp/mlos-1000"),
    ] as [(UInt32, [String: String], [String], String)])
  func directories(user: UInt32, environment: [String: String], existing: [String], expected: String) {
    let paths = RuntimePaths(user: user, environment: environment) { existing.contains($0) }
    #expect(paths.directory == expected)
    #expect(paths.agentSocket == expected + "/agent.sock")
  }

  @Test(
    "which file is read",
    arguments: [
      (0, ["HOME": "/root"], ["/root/.config/mlos/mlos.yaml"], nil, "/etc/mlos/mlos.yaml", false),
      (1, ["HOME": "/h"], ["/h/.config/mlos/mlos.yaml"], nil, "/h/.config/mlos/mlos.yaml", false),
      (1, ["HOME": "/h", "XDG_CONFIG_HOME": "/c"], ["/c/mlos/mlos.yaml"], nil, "/c/mlos/mlos.yaml", false),
      (1, ["HOME": "/h"], [], nil, "/etc/mlos/mlos.yaml", false),
      (1, [:], [], nil, "/etc/mlos/mlos.yaml", false),
      (1, ["MLOS_CONFIG": "/m.yaml"], [], nil, "/m.yaml", true),
      (1, ["MLOS_CONFIG": "/m.yaml"], [], "/o.yaml", "/o.yaml", true),
    ] as [(UInt32, [String: String], [String], String?, String, Bool)])
  func files(
    user: UInt32, environment: [String: String], existing: [String], option: String?, expected: String, required: Bool
  ) {
    let paths = RuntimePaths(user: user, environment: environment) { existing.contains($0) }
    #expect(paths.chosenFile(option: option, environment: environment) == (expected, required))
  }
}

extension RuntimePathsTests {
  @Test(
    "where what outlives a restart is",
    arguments: [
      (0, ["HOME": "/root"], "/var/lib/mlos"), (0, ["STATE_DIRECTORY": "/s/a:/s/b"], "/s/a"),
      (1, ["HOME": "/h"], "/h/.local/state/mlos"), (1, ["HOME": "/h", "XDG_STATE_HOME": "/x"], "/x/mlos"),
      (1, [:], "/tmp/mlos-1"), (1, ["STATE_DIRECTORY": "/s", "HOME": "/h"], "/s"),
    ] as [(UInt32, [String: String], String)])
  func states(user: UInt32, environment: [String: String], expected: String) {
    #expect(RuntimePaths(user: user, environment: environment) { _ in false }.stateDirectory == expected)
  }

  @Test(
    "a relative file is named as one finds it from anywhere",
    arguments: [
      ("c/m.yaml", "/w", "/w/c/m.yaml"), ("./m.yaml", "/w", "/w/m.yaml"), ("../m.yaml", "/w", "/w/../m.yaml"),
      ("m.yaml", "/", "/m.yaml"), ("/m.yaml", "/w", "/m.yaml"), ("m.yaml", "", "m.yaml"), ("m.yaml", "(unreachable)/w", "m.yaml"),
    ]) func relative(given: String, folder: String, expected: String)
  {
    var paths = RuntimePaths(user: 1, environment: [:]) { _ in false }
    paths.workingDirectory = folder
    #expect(paths.chosenFile(option: given, environment: [:]).path == expected)
    #expect(paths.chosenFile(option: nil, environment: ["MLOS_CONFIG": given]).path == expected)
  }
}

@Suite struct ReferenceTests {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  @Test("the reference page holds the table of settings as declared") func page() throws {
    let page = try String(contentsOf: Self.root.appending(path: "docs/reference/configuration.md"), encoding: .utf8)
    for line in SettingsReference.table() { #expect(page.contains(line), "missing: \(line)") }
    for line in SettingsReference.namedTable() { #expect(page.contains(line), "missing: \(line)") }
    for line in SettingsReference.variables() { #expect(page.contains(line), "missing: \(line)") }
  }

  @Test("the page about rules holds the table of metrics as declared") func metrics() throws {
    let page = try String(contentsOf: Self.root.appending(path: "docs/writing-a-rule.md"), encoding: .utf8)
    for line in SettingsReference.metricsTable() { #expect(page.contains(line), "missing: \(line)") }
  }

  @Test("the packaged file shows every setting at its default, commented out, and is read without a complaint") func file() throws
  {
    let text = try String(contentsOf: Self.root.appending(path: "packaging/mlos.yaml"), encoding: .utf8)
    #expect(text == SettingsReference.commentedFile())
    #expect(load(text).complaints == [])
    let uncommented = text.split(separator: "\n").map { $0.hasPrefix("##") ? $0 : $0.dropFirst() }
    let settings = try load(uncommented.joined(separator: "\n")).get()
    #expect(settings.rows().allSatisfy { $0.origin.hasPrefix("f:") })
    let system = RuntimePaths(user: 0, environment: [:]) { _ in false }
    #expect(settings.rows().map(\.value) == Settings(defaults: system).rows().map(\.value))
  }
}
