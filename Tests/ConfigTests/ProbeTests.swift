import Testing
@testable import Config
@Test func probe() {
  for text in ["log:\n  level: x\n  level: debug\n  level: info\nlogx: 1\n", "log: {level: info, level: debug, levle: a}", "[[[[", String(repeating: "[", count: 2000), "a: &x 1\nb: *x", "log: &x\n  level: info", "log:\n  level: !!int 5\n  format: !!str json\n  file: !foo bar", "log:\n", "log: 3", "- a", "", "# c\n", "---\n", "a: \u{7}", "log.level: debug\nlog:\n  level: info", "? {a: 1}\n: 2", "log:\n\tlevel: a", "log: {file: \"\", level: }", "\u{FEFF}log:\n  level: debug", "a: 1\n---\nb: 2", "log:\n  level: 'debug", "\"log\": 1\n\"log\": 2\n'log': 3", "<<: {a: 1}", "http: {limit: {body: 1G}}\nagents: {limit: 0}\ncheck.interval: 50ms"] {
    let r = ConfigurationFile.read(Array(text.utf8), path: "f")
    print("-----\n\(text.prefix(70))\n=> \(r.entries.map { "\($0.key)=\($0.value.value.settingText) \($0.value.origin)" }.sorted())")
    for e in r.errors { print("   ", e.code, e) }
  }
}
