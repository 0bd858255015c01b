import Model
import Testing

@testable import Config

@Suite struct ValueTests {
  @Test(
    "durations",
    arguments: [
      ("60", .seconds(60), "60s"), ("60s", .seconds(60), "60s"), ("5m", .seconds(300), "300s"),
      ("500ms", .milliseconds(500), "500ms"),
      ("0.5", .milliseconds(500), "500ms"), ("1.5 s", .milliseconds(1500), "1.5s"), ("0", .zero, "0s"),
      ("2h", .seconds(7200), "7200s"), ("1d", .seconds(86400), "86400s"), ("0.000000001", .nanoseconds(1), "0.000000001s"),
      ("1500ms", .milliseconds(1500), "1.5s"), ("", nil, ""), ("-1", nil, ""), ("1.", nil, ""), (".5", nil, ""),
      ("1e3", nil, ""), ("5 ", nil, ""), ("5x", nil, ""), ("1.2.3", nil, ""), ("٣", nil, ""), ("0.0000000001", nil, ""),
      ("99999999999999999999", nil, ""), ("99999999999d", nil, ""), ("+1", nil, ""), ("1,5", nil, ""), ("1min", nil, ""),
    ] as [(String, Duration?, String)])
  func durations(text: String, value: Duration?, shown: String) {
    #expect(Duration(settingText: text) == value)
    if let value {
      #expect(value.settingText == shown)
      #expect(Duration(settingText: shown) == value)
    }
  }

  @Test(
    "sizes",
    arguments: [
      ("65536", 65536, "64KiB"), ("64K", 65536, "64KiB"), ("64KiB", 65536, "64KiB"), ("1M", 1 << 20, "1MiB"),
      ("1.5M", 3 << 19, "1536KiB"), ("2GiB", 2 << 30, "2GiB"), ("1T", 1 << 40, "1TiB"), ("1000", 1000, "1000"), ("0", 0, "0"),
      ("10 B", 10, "10"), ("1KB", nil, ""), ("1k", nil, ""), ("-1", nil, ""), ("0.3", nil, ""), ("", nil, ""),
      ("99999999T", nil, ""),
    ] as [(String, UInt64?, String)])
  func sizes(text: String, count: UInt64?, shown: String) {
    #expect(Bytes(settingText: text) == count.map { Bytes($0) })
    if let count { #expect(Bytes(count).settingText == shown) }
  }

  @Test(
    "the nearest name",
    arguments: [
      ("loglevel", "log.level"), ("LOG-LEVEL", "log.level"), ("log.lvel", "log.level"), ("chekc.interval", "check.interval"),
      ("interval", nil), ("agents", "agents.limit"), ("x", nil), ("", nil), (String(repeating: "log", count: 100), nil),
    ] as [(String, String?)])
  func nearest(name: String, expected: String?) { #expect(nearestName(to: name, among: SettingKeys.all.map(\.name)) == expected) }

  @Test(
    "edit distance", arguments: [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)])
  func distance(left: String, right: String, expected: Int) { #expect(editDistance(Array(left), Array(right)) == expected) }
}
