import Testing
import Wire

@testable import mlos

let wide = Terminal(isTerminal: false, measured: 0, environment: [:], noColour: false)
func terminal(_ columns: Int) -> Terminal { Terminal(isTerminal: true, measured: columns, environment: [:], noColour: true) }

@Suite struct TextTests {
  @Test(
    "columns of a terminal",
    arguments: [("abc", 3), ("日本", 4), ("e\u{301}", 1), ("🙂", 2), ("\u{200B}", 0), ("ﾊ", 1), ("한", 2), ("", 0), ("❤️", 2)])
  func width(text: String, columns: Int) { #expect(DisplayWidth.of(text) == columns) }

  @Test(
    "cutting",
    arguments: [
      ("/usr/lib/libz.so", 10, true, "…b/libz.so"), ("/usr/lib/libz.so", 10, false, "/usr/lib/…"), ("日本語", 5, false, "日本…"),
      ("日本語", 4, false, "日…"), ("abc", 3, false, "abc"), ("abc", 1, false, "…"), ("abc", 0, false, ""),
    ])
  func cut(text: String, width: Int, keepingEnd: Bool, expected: String) {
    #expect(DisplayWidth.cut(text, to: width, keepingEnd: keepingEnd) == expected)
  }

  @Test(
    "sizes up to the largest an agent can claim",
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (1 << 50, "1.00 PiB"), (1 << 60 - 1, "1.00 EiB"), (3 << 59, "1.50 EiB"),
      (.max, "16.0 EiB"),
    ] as [(UInt64, String)])
  func sizes(count: UInt64, expected: String) { #expect(Phrases.bytes(count) == expected) }

  @Test(
    "wrapping",
    arguments: [
      ("one two three", 20, ["one two three"]), ("one two three", 8, ["one two", "  three"]),
      ("key    two three", 12, ["key    two", "  three"]), ("  one two", 6, ["  one", "  two"]),
      ("日本 語", 5, ["日本", "  語"]), ("a verylongword", 6, ["a", "  very", "  long", "  word"]), ("a b", 0, ["a b"]), ("", 5, [""]),
    ])
  func wrap(text: String, width: Int, expected: [String]) { #expect(DisplayWidth.wrapped(text, to: width) == expected) }

  @Test("wrapping loses nothing and keeps to the width, however narrow", arguments: 1...40)
  func wrapsEverything(width: Int) {
    let text = "  do: fallocate -l 4G /swapfile && chmod 600 日本語/very/long/path && mkswap"
    for indent in [0, 2, 9] {
      let lines = DisplayWidth.wrapped(text, to: width, indent: indent)
      #expect(lines.allSatisfy { DisplayWidth.of($0) <= max(width, 2) })
      #expect(lines.joined().filter { $0 != " " } == text.filter { $0 != " " })
    }
  }

  @Test(
    "a line of pieces is cut as a whole",
    arguments: [
      (9, ["abc", "  ", "defg"], "abc  defg"), (8, ["abc", "  ", "defg"], "abc  de…"), (5, ["abc", "  ", "defg"], "abc …"),
      (3, ["abc", "  ", "defg"], "ab…"), (1, ["abc"], "…"), (3, ["abc"], "abc"), (4, ["日本", "語"], "日…"),
    ])
  func pieces(columns: Int, texts: [String], expected: String) {
    #expect(terminal(columns).line(texts.map { ($0, .plain) }) == expected)
  }

  @Test("the column sorted by stays") func sortedColumn() {
    var table = Self.table
    #expect(!table.lines(terminal(20))[0].contains("PATH"))
    table.columns[3] = table.columns[3].sorted(true)
    let lines = table.lines(terminal(20))
    #expect(lines[0].hasSuffix("PATH"))
    #expect(lines.allSatisfy { DisplayWidth.of($0) <= 20 })
  }

  @Test("no line of a listing is wider than a narrow terminal", arguments: [20, 40, 60, 80])
  func footnotes(columns: Int) {
    let lines = terminal(columns).footnote("12 processes, resident 1.50 GiB, live heap 800 MiB (3 not known)")
    #expect(lines.allSatisfy { DisplayWidth.of($0) <= columns })
    #expect(lines.joined(separator: " ").split(separator: " ").count == 12)
  }

  static let table = Table(
    columns: [
      .number("PID"), .text("NAME", minimum: 4), .number("SIZE", drop: 1), .text("PATH", minimum: 6, keepsEnd: true, drop: 2),
    ],
    rows: [["1", "日本語プログラム", "10 B", "/usr/lib/x86_64-linux-gnu/libz.so"], ["4711", "sh", "1.50 KiB", "/bin/sh"]])

  @Test("a table without a terminal is not cut") func unlimited() {
    #expect(
      Self.table.lines(wide) == [
        " PID  NAME                  SIZE  PATH", "   1  日本語プログラム      10 B  /usr/lib/x86_64-linux-gnu/libz.so",
        "4711  sh                1.50 KiB  /bin/sh",
      ])
  }

  @Test("a table fits the terminal as long as it can", arguments: [20, 24, 40, 60, 80, 200])
  func fits(columns: Int) { #expect(Self.table.lines(terminal(columns)).allSatisfy { DisplayWidth.of($0) <= columns }) }

  @Test("a narrow table cuts first and drops columns last") func narrow() {
    #expect(
      Self.table.lines(terminal(40)) == [
        " PID  NAME             SIZE  PATH", "   1  日本語プロ…      10 B  …nu/libz.so", "4711  sh           1.50 KiB  /bin/sh",
      ])
    #expect(Self.table.lines(terminal(20)) == [" PID  NAME      SIZE", "   1  日…       10 B", "4711  sh    1.50 KiB"])
  }

  @Test("a name that none can be is refused without repeating it") func longNames() throws {
    try AskedName.check(String(repeating: "x", count: 4096))
    #expect(throws: Failure(status: .usage, message: "the name has 100000 bytes; none is longer than 4096")) {
      try AskedName.check(String(repeating: "x", count: 100_000))
    }
    #expect(throws: Failure.self) { try AskedName.check("") }
  }

  @Test("a text that wraps goes on below its column, and nothing of it is lost") func wrapping() {
    let table = Table(
      columns: [.number("#"), .wrapping("WHY", minimum: 8), .text("FROM", minimum: 4, drop: 1)],
      rows: [["1", "stays: idle for 3 s, and balanced gives it 15 min", "here"], ["2", "goes", "there"]])
    #expect(
      table.lines(terminal(30)) == [
        "#  WHY                   FROM", "1  stays: idle for 3 s,  here", "   and balanced gives", "   it 15 min",
        "2  goes                  there",
      ])
    #expect(table.lines(wide).count == 3)
  }

  @Test(
    "terminals",
    arguments: [
      (true, 120, [:], false, 120, true), (true, 0, ["COLUMNS": "100"], false, 100, true), (true, 0, [:], false, 80, true),
      (false, 120, ["COLUMNS": "100"], false, nil, false), (true, 10, ["NO_COLOR": "1"], false, 10, false),
      (true, 10, ["NO_COLOR": ""], false, 10, true), (true, 10, [:], true, 10, false),
      (true, 10, ["TERM": "dumb"], false, 10, false),
    ] as [(Bool, Int, [String: String], Bool, Int?, Bool)])
  func terminals(isTerminal: Bool, measured: Int, environment: [String: String], no: Bool, columns: Int?, colours: Bool) {
    let terminal = Terminal(isTerminal: isTerminal, measured: measured, environment: environment, noColour: no)
    #expect(terminal.columns == columns)
    #expect(terminal.hasColours == colours)
  }

  @Test(
    "how long ago",
    arguments: [
      (100.0, 100.0, "now"), (100, 100.9, "now"), (101, 100, "now"), (97, 100, "3 s ago"), (40.5, 100, "59 s ago"),
      (40, 100, "1 min ago"), (0, 3599, "59 min ago"), (0, 3600, "1 h ago"), (0, 86399, "23 h ago"), (0, 86400 * 4, "4 d ago"),
      (-Double.infinity, 0, "-"),
    ] as [(Double, Double, String)])
  func ago(then: Double, now: Double, expected: String) { #expect(Phrases.ago(Known(then), now: now) == expected) }

  @Test("figures not known are never 0") func unknown() {
    #expect(Phrases.ago(Known(nil), now: 1) == "not seen")
    #expect(Phrases.bytes(Known(nil)) == "-")
    #expect(Phrases.number(Known<Int>(nil)) == "-")
    #expect(Phrases.share(0, of: 0) == "-")
    #expect(Phrases.decimal(.nan, places: 1) == "-")
  }

  @Test(
    "processor time",
    arguments: [
      (0.0, "0.00 s"), (0.525, "0.53 s"), (59.99, "59.99 s"), (60, "1:00"), (187.9, "3:07"), (7387, "2:03:07"), (-1, "-"),
      (.nan, "-"),
    ] as [(Double, String)])
  func processorTime(seconds: Double, expected: String) { #expect(Phrases.processorTime(seconds) == expected) }

  @Test(
    "JSON keeps its tokens",
    arguments: [
      ("{}", "{}"), ("[]", "[]"), ("{ }", "{}"), ("1e400", "1e400"), ("[1.50,[],{}]", "[\n  1.50,\n  [],\n  {}\n]"),
      ("{\"a\":\"{,:\\\"\",\"b\":[true,null]}", "{\n  \"a\": \"{,:\\\"\",\n  \"b\": [\n    true,\n    null\n  ]\n}"),
    ])
  func json(text: String, expected: String) {
    #expect(JSONText.indented(text.utf8) == expected)
    #expect(JSONText.indented(expected.utf8) == expected)
  }
}
