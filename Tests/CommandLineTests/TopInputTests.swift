import Testing

@testable import mlos

@Suite struct TopInputTests {
  @Test(
    "keys of several terminals",
    arguments: [
      ("q", [.character("q")]), ("\u{1B}[A\u{1B}OB", [.up, .down]), ("\u{1B}[5~\u{1B}[6~", [.pageUp, .pageDown]),
      ("\u{1B}[1~\u{1B}[4~\u{1B}[7~\u{1B}[8~\u{1B}[H\u{1B}OF", [.home, .end, .home, .end, .home, .end]),
      ("\u{1B}[1;5A\u{1B}[5;2~", [.up, .pageUp]), ("\r\n\t\u{7F}\u{8}", [.enter, .enter, .tab, .backspace, .backspace]),
      ("\u{C}\u{15}", [.redraw, .eraseLine]), ("é日🙂", [.character("é"), .character("日"), .character("🙂")]),
      ("\u{1B}q", [.escape, .character("q")]), ("\u{1B}[[Aq", [.character("q")]), ("\u{1B}[200~x", [.character("x")]),
      ("\u{1B}[15;2~x", [.character("x")]), ("\u{0}\u{1}x", [.character("x")]), ("\u{1B}[<0;1;1Mx", [.character("x")]),
      ("", []),
    ] as [(String, [TopKey])])
  func keys(bytes: String, expected: [TopKey]) {
    var parser = KeyParser()
    #expect(parser.feed(bytes.utf8) == expected)
    #expect(!parser.isWaiting)
    // The same byte by byte.
    var slow = KeyParser()
    #expect(bytes.utf8.flatMap { slow.feed([$0]) } == expected)
  }

  @Test("an Esc by itself is a key once nothing follows") func escape() {
    var parser = KeyParser()
    #expect(parser.feed([0x1B]).isEmpty)
    #expect(parser.isWaiting)
    #expect(parser.flush() == [.escape])
    #expect(!parser.isWaiting)
    #expect(parser.feed([0x1B, 0x5B, 0x31]).isEmpty)
    #expect(parser.flush().isEmpty)
    #expect(parser.feed([0x1B, 0x1B]) == [.escape])
    #expect(parser.flush() == [.escape])
  }

  @Test("bytes that are no keys end, and nothing is kept of them") func noise() {
    var parser = KeyParser()
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 1...64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      _ = parser.feed(bytes)
    }
    _ = parser.feed([0x1B, 0x5B] + [UInt8](repeating: 0x30, count: 10_000))
    _ = parser.flush()
    #expect(parser.feed([0x71]) == [.character("q")])
    #expect(parser.feed([0xC3, 0x28, 0xFF, 0xE2, 0x82]) == [.character("(")])
    #expect(parser.feed([0x71]) == [.character("q")])
  }

  @Test(
    "where there can be no screen, the error says what to do instead",
    arguments: [
      (true, false, "xterm", "standard output"), (false, true, "xterm", "standard input"), (true, true, nil, "TERM is not set"),
      (true, true, "", "TERM is not set"), (true, true, "dumb", "TERM=dumb"),
    ] as [(Bool, Bool, String?, String)])
  func obstacles(input: Bool, output: Bool, kind: String?, words: String) throws {
    let failure = try #require(TopCommand.obstacle(input: input, output: output, kind: kind))
    #expect(failure.message.contains(words))
    #expect(failure.status == .usage)
    #expect(failure.advice?.contains("--once") == true)
  }

  @Test("a screen there is") func screen() { #expect(TopCommand.obstacle(input: true, output: true, kind: "linux") == nil) }

  @Test(
    "sizes a terminal may claim",
    arguments: [
      (80, 24, [:], 80, 24), (0, 0, [:], 80, 24), (0, 0, ["COLUMNS": "120", "LINES": "40"], 120, 40),
      (0, 0, ["COLUMNS": "-5", "LINES": "x"], 1, 24), (65535, 65535, [:], 2000, 1000), (20, 5, ["COLUMNS": "120"], 20, 5),
    ] as [(Int, Int, [String: String], Int, Int)])
  func size(columns: Int, rows: Int, environment: [String: String], expectedColumns: Int, expectedRows: Int) {
    let size = Screen.Size(measured: (columns, rows), environment: environment)
    #expect(size.columns == expectedColumns)
    #expect(size.rows == expectedRows)
  }

  @Test(
    "options that make no sense",
    arguments: [
      ["--once", "--batch"], ["--count", "3"], ["--batch", "--count", "0"], ["--interval", "0.1"], ["--interval", "61"],
      ["--interval", "nan"], ["--packages", "--sort", "heap"], ["--json"], ["--sort", "x"], ["--pid", "0"],
    ])
  func options(arguments: [String]) { #expect(throws: (any Error).self) { try TopCommand.parse(arguments) } }
}
