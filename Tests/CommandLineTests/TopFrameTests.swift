import Client
import Testing
import Wire

@testable import mlos

@Suite struct TopFrameTests {
  static let sizes = [(20, 5), (80, 24), (200, 50), (1, 1), (2, 2), (5, 3), (10, 4), (33, 9), (79, 13), (400, 120)]

  /// Characters that move others, join them, hide them, or take no or two columns.
  static let hostile = [
    "日本語のプログラム", "e\u{301}\u{302}\u{303}a", "👨‍👩‍👧‍👦👍🏽", "\u{202E}gnp.exe", "\u{200B}\u{FEFF}x\u{200D}", "🇩🇪🇫", "क्षि",
    "\u{1100}\u{1161}\u{11A8}", "a\u{2028}b\u{0085}c\u{1B}[31m\u{7}", "❤️\u{E000}", "\u{301}\u{302}", "", " ",
  ]

  @Test("every frame has the terminal's size, whatever is shown", arguments: sizes)
  func fits(columns: Int, rows: Int) throws {
    var model = try TopSamples.model(1...60)
    var processes = try Self.hostile.enumerated().map { index, text in
      try TopSamples.process(Int32(1000 + index)) {
        $0.name = text
        $0.commandLine = text + " " + text
        $0.agentState = Known(text)
        $0.agentReason = Known(text)
      }
    }
    processes.append(try TopSamples.process(.max) { $0.residentBytes = 1 << 60 })
    let packages = try Self.hostile.map { try TopSamples.package($0, resident: 1 << 60) }
    func check(_ what: String) {
      for colours in [false, true] {
        var terminal = terminal(columns)
        terminal.hasColours = colours
        let frame = model.screen(terminal, rows: rows, at: 5) { _ in "09:41:07" }
        #expect(frame.count == rows, "\(what)")
        for line in frame {
          let plain = Screen.withoutEmphasis(line)
          #expect(DisplayWidth.of(plain) <= columns, "\(what): \(plain)")
          #expect(plain.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, "\(what): \(plain)")
        }
      }
    }
    check("sixty processes")
    model.take(try TopSamples.reading(processes, at: 1))
    check("hostile processes")
    for order in TopOrder.allCases {
      _ = model.press(.character(order.key))
      check("sorted by \(order)")
    }
    _ = model.press(.tab)
    check("waiting for packages")
    model.take(try TopSamples.reading(processes, at: 2, scope: .all, packages: packages))
    check("packages")
    _ = model.press(.tab)
    _ = model.press(.enter)
    check("packages of one")
    model.take(try TopSamples.reading([], at: 3, scope: model.scope))
    check("gone")
    for error: ClientError in [
      .notReachable(socket: "/s", reason: .other("\u{1B}[2J")), .protocolError("\u{7}"),
      .timeout(socket: "s", after: .seconds(5)),
    ] {
      model.fail(error, at: 4)
      check("no supervisor")
    }
    _ = model.press(.character("?"))
    check("help")
    for _ in 0..<40 { _ = model.press(.down) }
    check("end of help")
    _ = model.press(.escape)
    _ = model.press(.character("/"))
    for text in Self.hostile { for character in text { _ = model.press(.character(character)) } }
    check("filter")
  }

  @Test("80 columns show agent, memory, heap, use, what it is at, what came back and the program") func eighty() throws {
    var model = try TopSamples.model(1...2)
    model.take(
      try TopSamples.reading(
        [
          try TopSamples.process(1) {
            $0.liveHeapBytes = Known(125_829_120 + 1_048_576)
            $0.processorSeconds += 0.5
            $0.activity = Known("active")
            $0.lastActiveAt = Known(TopSamples.start + 2)
          },
          try TopSamples.process(2) {
            $0.liveHeapBytes = Known(nil)
            $0.source = "adopted"
            $0.agentState = Known(nil)
            $0.privateBytes = Known(nil)
            $0.allocatedBytesPerSecond = Known(nil)
            $0.lastActiveAt = Known(nil)
            $0.activity = Known(nil)
            $0.givenBackBytes = 0
          },
        ], at: 2))
    #expect(
      topLines(&model, 80, 24) == [
        "2 processes  by resident  every 1 s  09:41:07",
        "resident 3.00 MiB  heap 121 MiB (+512 KiB/s) (1 not known)  alloc 64.0 KiB/s",
        "supervisor 16.0 MiB  2.0 % CPU  up 12 s  2 agents  1 adopted",
        "",
        "    PID  AGENT    RESIDENT      HEAP  CPU %       STATE     FREED  COMMAND",
        ">     2  adopted  2.00 MiB         -    0.0    not seen       0 B  python3 serv…",
        "      1  active   1.00 MiB   121 MiB   25.0      active  35.0 MiB  python3 serv…",
      ] + [String](repeating: "", count: 16) + [
        "q quit  Tab packages  Enter its packages  s sort  / filter  space pause  ? help"
      ])
  }

  @Test(
    "what a process is at",
    arguments: [
      ("idle", 14.0, "idle 14 s", "idle 14 s"), ("idle", 7200, "idle 2 h", "idle 2 h"), ("active", 1, "active", "active"),
      ("busy", 0, "busy", "busy"), ("stopped", 90, "stopped", "stopped"), ("reclaiming", 3, "reclaiming", "reclaiming trim"),
      // Of a supervisor that is newer.
      ("dozing\u{1B}[2J", 3, "dozing?[2J", "dozing?[2J"),
    ])
  func state(word: String, seconds: Double, short: String, long: String) throws {
    var model = try TopSamples.model(1...1)
    model.take(
      try TopSamples.reading(
        [
          try TopSamples.process(1) {
            $0.activity = Known(word)
            $0.reclaimRung = Known(word == "reclaiming" ? "trim" : nil)
            $0.lastActiveAt = Known(TopSamples.start + 2 - seconds)
          }
        ], at: 2))
    #expect(topLines(&model, 80, 24)[5].contains(" \(short) "))
    #expect(topLines(&model, 200, 24)[5].contains(" \(long) "))
  }

  @Test("20 columns and 5 rows show the programs and what they hold") func tiny() throws {
    var model = try TopSamples.model()
    #expect(
      topLines(&model, 20, 5) == [
        "3 processes", "  RESIDENT  COMMAND", "> 3.00 MiB  python3…", "  2.00 MiB  python3…", "q quit  ? help",
      ])
  }

  @Test("200 columns show every column") func twoHundred() throws {
    var model = try TopSamples.model()
    let frame = topLines(&model, 200, 50)
    for title in [
      "PID", "NAME", "AGENT", "RESIDENT", "PRIVATE", "PROPORTIONAL", "HEAP", "HEAP/S", "ALLOC/S", "ALLOCATED/S", "CPU %",
      "THREADS", "MODULES", "STATE", "FREED", "COMMAND",
    ] { #expect(frame[4].contains(title)) }
    #expect(frame[49].contains("+- pace"))
  }

  @Test("the column sorted by stays where others go") func sortedColumn() throws {
    var model = try TopSamples.model()
    #expect(!topLines(&model, 60, 24)[4].contains("ALLOC/S"))
    _ = model.press(.character("A"))
    #expect(topLines(&model, 60, 24)[4].contains("ALLOC/S"))
  }

  @Test("a page for a pipe has everything, and no keys") func pipe() throws {
    let model = try TopSamples.model(1...60)
    let page = model.page(wide) { _ in "now" }
    #expect(page.count == 3 + 1 + 60)
    #expect(page[0] == "60 processes  by resident  every 1 s  now")
    #expect(page[4].hasSuffix("  /usr/bin/python3 /srv/serve-60.py --port 80"))
    #expect(!page.contains { $0.contains("\u{1B}") || $0.hasPrefix(">") })
  }

  @Test(
    "characters that terminals do not agree on are replaced",
    arguments: [
      ("plain", "plain"), ("Zürich", "Zürich"), ("日本", "日本"), ("e\u{301}", "e"), ("👨‍👩‍👧", "👨"), ("👍🏽", "👍"),
      ("🇩🇪", "DE"), ("\u{202E}x", "?x"), ("a\u{200B}b", "a?b"), ("\u{1B}[m", "?[m"), ("\u{301}x", "x"), ("\u{E000}", "?"),
      ("\u{3164}", "?"), ("❤️", "❤"), ("", ""), ("\r\n", "?"),
    ])
  func plainText(text: String, expected: String) {
    #expect(PlainText.of(text).unicodeScalars.elementsEqual(expected.unicodeScalars))
  }
}
