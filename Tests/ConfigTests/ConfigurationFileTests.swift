import Testing

@testable import Config

@Suite struct ConfigurationFileTests {
  struct Case: CustomTestStringConvertible {
    var text: String
    var complaints: [String]
    var testDescription: String { text.prefix(40).debugDescription }
    init(_ text: String, _ complaints: String...) {
      self.text = text
      self.complaints = complaints
    }
  }

  @Test(
    "a file without a value leaves the defaults",
    arguments: ["", "\n", "# only a comment\n", "---\n", "log:\n", "{}", "log: {}", "\u{FEFF}", "~"])
  func emptyFiles(text: String) throws {
    let settings = try load(text).get()
    #expect(settings.rows().allSatisfy { $0.origin == "default" })
  }

  @Test(
    "every mistake is named with its line and column",
    arguments: [
      Case("loglevel: debug", "f:1:1: unknown key 'loglevel'; did you mean 'log.level'?"),
      Case("log:\n  levle: debug", "f:2:3: unknown key 'log.levle'; did you mean 'log.level'?"),
      Case("logging:\n  level: debug", "f:1:1: unknown key 'logging'; did you mean 'log'?"),
      Case("zzzzzz: 1", "f:1:1: unknown key 'zzzzzz'"),
      Case("<<: {a: 1}", "f:1:1: unknown key '<<'"),
      Case(
        "log:\n  level: loud",
        "f:2:10: 'log.level' must be one of trace, debug, info, notice, warning, error or critical, not 'loud'"),
      Case(
        "log:\n  level:", "f:2:3: 'log.level' must be one of trace, debug, info, notice, warning, error or critical, not nothing"),
      Case("agents: {limit: many}", "f:1:17: 'agents.limit' must be a whole number, 1 to 65536 agents, not 'many'"),
      Case("agents: {limit: [1]}", "f:1:17: 'agents.limit' must be a whole number, not a list"),
      Case("agents: {limit: {a: 1}}", "f:1:17: 'agents.limit' must be a whole number, not a mapping"),
      Case("agents: {limit: 0}", "f:1:17: 'agents.limit' must be 1 to 65536 agents, not 0"),
      Case("check.interval: 50ms", "f:1:17: 'check.interval' must be 100ms to 60s, not 50ms"),
      Case("http: {limit: {body: 1G}}", "f:1:22: 'http.limit.body' must be 1KiB to 64MiB, not 1GiB"),
      Case("log: 3", "f:1:6: 'log' must be a mapping (it holds log.level, log.format, log.file)"),
      Case("- a", "f:1:1: the file must be a mapping of keys to values"),
      Case("hello", "f:1:1: the file must be a mapping of keys to values"),
      Case("? {a: 1}\n: 2", "f:1:3: a key must be a plain word"),
      Case("a: 1\n---\nb: 2", "f:2:1: one YAML document is expected: but found another document"),
      Case(
        "log:\n\tlevel: a",
        "f:2:1: not YAML: found character that cannot start any token (while scanning for the next token, line 2)"),
      Case("log: &x\n  level: info", "f:1:6: anchors and aliases are not accepted"),
      Case("&x\nlog: {level: info}", "f:1:1: anchors and aliases are not accepted"),
      Case("log: !x {level: info}", "f:1:6: tags are not accepted"),
      Case("log:\n  level: &x info", "f:2:10: anchors, aliases and tags are not accepted"),
      Case("a: &x 1\nb: *x", "f:2:4: anchors and aliases are not accepted; write the value out"),
      Case("agents:\n  limit: !!float 5", "f:2:10: anchors, aliases and tags are not accepted"),
      Case("log: \"\0\"", "f:1:7: NUL character"),
      Case("\u{FEFF}loglevel: debug", "f:1:1: unknown key 'loglevel'; did you mean 'log.level'?"),
      Case("a: &x 1\nb: '*x'", "f:1:1: unknown key 'a'", "f:2:1: unknown key 'b'"),
      Case("a: *x", "f:1:4: anchors and aliases are not accepted; write the value out"),
      Case("log: \u{7}", "f:1:6: not YAML: control characters are not allowed"),
    ])
  func mistakes(_ mistake: Case) { #expect(load(mistake.text).complaints == mistake.complaints) }

  @Test(
    "a key given twice is named where it stands again, and the rest of the file is read",
    arguments: [
      Case(
        "log:\n  level: x\n  level: debug\n  level: info\nlogx: 1",
        "f:2:10: 'log.level' must be one of trace, debug, info, notice, warning, error or critical, not 'x'",
        "f:3:3: key 'log.level' is given more than once; first in line 2",
        "f:4:3: key 'log.level' is given more than once; first in line 2",
        "f:5:1: unknown key 'logx'; did you mean 'log'?"),
      Case(
        "log: {level: x, 'level': info, levle: a}",
        "f:1:14: 'log.level' must be one of trace, debug, info, notice, warning, error or critical, not 'x'",
        "f:1:17: key 'log.level' is given more than once; first in line 1",
        "f:1:32: unknown key 'log.levle'; did you mean 'log.level'?"),
      Case(
        "{log: {level: info, ? level : {}, ? !!str level : x}, \"log\": 1}",
        "f:1:23: key 'log.level' is given more than once; first in line 1",
        "f:1:37: key 'log.level' is given more than once; first in line 1",
        "f:1:55: key 'log' is given more than once; first in line 1"),
      Case(
        "log.level: debug\nlog:\n  level: info", "f:3:3: key 'log.level' is given more than once; first in line 1"),
    ])
  func duplicates(_ mistake: Case) { #expect(load(mistake.text).complaints == mistake.complaints) }

  @Test("bytes that are no UTF-8 are named with their place, U+FFFD itself is none")
  func encoding() {
    let bytes = Array("log:\n  # \u{FFFD}é\n  file: ".utf8) + [0xC3, 0x28]
    let reading = ConfigurationFile.read(bytes, path: "f")
    #expect(reading.errors.map(\.description) == ["f:3:9: byte that is no UTF-8"])
    #expect(reading.errors.map(\.code) == [.encoding])
  }

  @Test("a document nested or filled without end is refused where it goes too far") func depth() {
    let nested = ConfigurationFile.read(Array(repeating: UInt8(ascii: "["), count: 100_000), path: "f")
    #expect(nested.errors.map(\.code) == [.syntax])
    #expect(nested.errors.map(\.description) == ["f:1:17: nested deeper than 16 levels"])
    let filled = load(String(repeating: "log:\n", count: 10_000)).complaints
    #expect(filled == ["f:10000:5: more than 20000 values"])
  }

  @Test("of more mistakes than anyone reads the first hundred are shown, and that there are more") func many() {
    let complaints = load((0..<150).map { "x\($0): 1\n" }.joined()).complaints
    #expect(complaints.count == 100)
    #expect(complaints.first == "f:1:1: unknown key 'x0'")
    #expect(complaints.last == "f:100:1: more mistakes than are shown; the first of them: unknown key 'x99'")
  }

  @Test("a document that would expand without end is refused before it does") func bomb() {
    var text = "a: &a [x, x]\n"
    for (last, next) in zip("abcdefghijklmnopqrstuvwxy", "bcdefghijklmnopqrstuvwxyz") {
      text += "\(next): &\(next) [*\(last), *\(last), *\(last), *\(last)]\n"
    }
    text += "? *z\n: 1\n"
    #expect(load(text).complaints == ["f:2:8: anchors and aliases are not accepted; write the value out"])
  }

  @Test("a missing file is an error only when it was asked for; a directory always is") func reading() throws {
    func attempt(_ path: String, required: Bool) -> Result<Settings, ConfigErrors> {
      Result { () throws(ConfigErrors) in
        try Settings.load(file: path, required: required, environment: [:], paths: testPaths)
      }
    }
    #expect(try attempt("/nonexistent/mlos.yaml", required: false).get().file == nil)
    #expect(
      attempt("/nonexistent/mlos.yaml", required: true).complaints
        == ["/nonexistent/mlos.yaml: cannot be read: No such file or directory"])
    #expect(attempt("/", required: false).complaints == ["/: is a directory, not a file"])
    #expect(
      attempt("/dev/zero", required: true).complaints
        == ["/dev/zero: larger than the 1048576 bytes a configuration file may have"])
  }
}
