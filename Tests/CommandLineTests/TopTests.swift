import Foundation
import Model
import Testing
import Wire

@testable import Client
@testable import mlos

/// Readings made for a test: a second apart, of processes that the test describes.
enum TopSamples {
  static let start = 1_800_000_000.0

  static func process(_ pid: Int32, _ change: (inout ProcessRow) -> Void = { _ in }) throws -> ProcessRow {
    let answer: ProcessesAnswer = try ViewTests.fixture("processes")
    var row = answer.processes[0]
    row.pid = pid
    row.agentState = Known("active")
    row.agentReason = Known(nil)
    row.liveHeapApproximate = false
    row.name = "python3"
    row.commandLine = "/usr/bin/python3 /srv/serve-\(pid).py --port 80"
    row.residentBytes = UInt64(pid) << 20
    change(&row)
    return row
  }

  static func package(_ name: String, resident: UInt64) throws -> PackageRow {
    let answer: PackagesAnswer = try ViewTests.fixture("packages")
    var row = answer.packages[0]
    row.name = name
    row.memory.residentBytes = resident
    return row
  }

  static func reading(
    _ processes: [ProcessRow], at seconds: Double = 0, scope: TopPackagesScope = .none, packages: [PackageRow]? = nil
  ) throws -> TopReading {
    var status: StatusAnswer = try ViewTests.fixture("status")
    status.ownProcessorSeconds = Known(seconds / 50)
    return TopReading(
      status: status, processes: ProcessesAnswer(takenAt: start + seconds, processes: processes), scope: scope,
      packages: packages.map { PackagesAnswer(takenAt: start + seconds, packages: $0, processes: []) })
  }

  static func model(_ pids: ClosedRange<Int32> = 1...3, _ options: TopModel.Options = .init()) throws -> TopModel {
    var model = TopModel(options)
    model.take(try reading(try pids.map { try process($0) }))
    return model
  }
}

private func lines(_ model: inout TopModel, _ columns: Int, _ rows: Int, at time: Double = 0) -> [String] {
  model.screen(terminal(columns), rows: rows, at: time) { _ in "09:41:07" }
}

@Suite struct TopFrameTests {
  static let sizes = [(20, 5), (80, 24), (200, 50), (1, 1), (2, 2), (5, 3), (10, 4), (33, 9), (79, 13), (400, 120)]

  /// Characters that move others, join them, hide them, or take no or two columns.
  static let hostile = [
    "日本語のプログラム", "e\u{301}\u{302}\u{303}a", "👨‍👩‍👧‍👦👍🏽", "\u{202E}gnp.exe", "\u{200B}\u{FEFF}x\u{200D}", "🇩🇪🇫", "क्षि",
    "\u{1100}\u{1161}\u{11A8}", "a\u{2028}b\u{0085}c\u{1B}[31m\u{7}", "❤️\u{E000}", "\u{301}\u{302}", "", " ",
  ]

  @Test("every frame has the terminal's size, whatever is shown", arguments: sizes)
  func sizes(columns: Int, rows: Int) throws {
    var model = try TopSamples.model(1...60)
    var processes = try Self.hostile.enumerated().map { index, text in
      try TopSamples.process(Int32(1000 + index)) {
        $0.name = text
        $0.commandLine = text + " " + text
        $0.agentState = Known(text)
        $0.agentReason = Known(text)
      }
    }
    processes.append(try TopSamples.process(.max) { $0.residentBytes = .max })
    let packages = try Self.hostile.map { try TopSamples.package($0, resident: .max) }
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

  @Test("80 columns show state, memory, heap, its growth, use, last activity and the program") func eighty() throws {
    var model = try TopSamples.model(1...2)
    model.take(
      try TopSamples.reading(
        [
          try TopSamples.process(1) {
            $0.liveHeapBytes = Known(125_829_120 + 1_048_576)
            $0.processorSeconds += 0.5
            $0.lastActiveAt = Known(TopSamples.start + 2)
          },
          try TopSamples.process(2) {
            $0.liveHeapBytes = Known(nil)
            $0.source = "adopted"
            $0.agentState = Known(nil)
            $0.privateBytes = Known(nil)
            $0.allocatedBytesPerSecond = Known(nil)
            $0.lastActiveAt = Known(nil)
          },
        ], at: 2))
    #expect(
      lines(&model, 80, 24) == [
        "2 processes  by resident  every 1 s  09:41:07",
        "resident 3.00 MiB  heap 121 MiB (+512 KiB/s) (1 not known)  alloc 64.0 KiB/s",
        "supervisor 16.0 MiB  2.0 % CPU  up 12 s  1 agent  1 adopted",
        "",
        "    PID  AGENT    RESIDENT      HEAP     HEAP/S  CPU %    ACTIVE  COMMAND",
        ">     2  adopted  2.00 MiB         -          -    0.0  not seen  python3 serve-2…",
        "      1  active   1.00 MiB   121 MiB   +512 KiB   25.0       now  python3 serve-1…",
      ] + [String](repeating: "", count: 16) + [
        "q quit  Tab packages  Enter its packages  s sort  / filter  space pause  ? help"
      ])
  }

  @Test("20 columns and 5 rows show the programs and what they hold") func tiny() throws {
    var model = try TopSamples.model()
    #expect(
      lines(&model, 20, 5) == [
        "3 processes", "  RESIDENT  COMMAND", "> 3.00 MiB  python3…", "  2.00 MiB  python3…", "q quit  ? help",
      ])
  }

  @Test("200 columns show every column") func wide() throws {
    var model = try TopSamples.model()
    let frame = lines(&model, 200, 50)
    for title in [
      "PID", "NAME", "AGENT", "RESIDENT", "PRIVATE", "PROPORTIONAL", "HEAP", "HEAP/S", "ALLOC/S", "ALLOCATED/S", "CPU %",
      "THREADS", "MODULES", "ACTIVE", "COMMAND",
    ] { #expect(frame[4].contains(title)) }
    #expect(frame[49].contains("+- pace"))
  }

  @Test("the column sorted by stays where others go") func sortedColumn() throws {
    var model = try TopSamples.model()
    #expect(!lines(&model, 60, 24)[4].contains("ALLOC/S"))
    _ = model.press(.character("A"))
    #expect(lines(&model, 60, 24)[4].contains("ALLOC/S"))
  }

  @Test("a page for a pipe has everything, and no keys") func page() throws {
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

@Suite struct TopModelTests {
  @Test("rates come from two readings of the same process") func rates() throws {
    let old = try TopSamples.process(1)
    func rates(seconds: Double, _ change: (inout ProcessRow) -> Void) throws -> TopRates {
      TopRates(from: old, to: try TopSamples.process(1, change), seconds: seconds)
    }
    let moved = try rates(seconds: 2) {
      $0.liveHeapBytes = Known(125_829_120 - 4096)
      $0.processorSeconds += 3
    }
    #expect(moved.heapGrowth == -2048)
    #expect(moved.processorPercent == 150)
    #expect(try rates(seconds: 0) { $0.processorSeconds += 1 } == .unknown)
    #expect(try rates(seconds: -1) { _ in } == .unknown)
    #expect(try rates(seconds: 1) { $0.startedAt += 60 } == .unknown)
    #expect(try rates(seconds: 1) { $0.liveHeapBytes = Known(nil) }.heapGrowth == nil)
    #expect(try rates(seconds: 1) { $0.processorSeconds -= 1 }.processorPercent == nil)
  }

  @Test("one reading has no rates, and a clock set back none either") func clock() throws {
    var model = try TopSamples.model(1...1)
    #expect(model.rates.isEmpty)
    #expect(model.elapsed == nil)
    model.take(try TopSamples.reading([try TopSamples.process(1)], at: 1))
    #expect(model.rates[1]?.heapGrowth == 0)
    model.take(try TopSamples.reading([try TopSamples.process(1)], at: -10))
    #expect(model.rates[1] == .unknown)
    #expect(model.supervisorPercent == nil)
  }

  @Test("the first row is marked whichever it is, another one wherever it goes") func marking() throws {
    var model = try TopSamples.model()
    func marked() -> String? { lines(&model, 80, 24).first { $0.hasPrefix("> ") } }
    #expect(marked()?.contains("serve-3") == true)
    _ = model.press(.character("r"))
    #expect(marked()?.contains("serve-1") == true)
    _ = model.press(.down)
    #expect(marked()?.contains("serve-2") == true)
    _ = model.press(.end)
    #expect(marked()?.contains("serve-3") == true)
    _ = model.press(.character("r"))
    #expect(marked()?.contains("serve-3") == true)
    // It ends: the row in its place is marked.
    _ = model.press(.home)
    _ = model.press(.down)
    #expect(marked()?.contains("serve-2") == true)
    model.take(try TopSamples.reading([try TopSamples.process(1), try TopSamples.process(3)], at: 1))
    #expect(marked()?.contains("serve-1") == true)
    _ = model.press(.pageUp)
    _ = model.press(.up)
    #expect(marked()?.contains("serve-3") == true)
  }

  @Test("the window follows the marked row and says what it shows") func window() throws {
    var model = try TopSamples.model(1...60)
    #expect(lines(&model, 80, 24)[0].contains("1-18 shown"))
    _ = model.press(.pageDown)
    _ = model.press(.pageDown)
    #expect(lines(&model, 80, 24)[0].contains("18-35 shown"))
    _ = model.press(.end)
    let last = lines(&model, 80, 24)
    #expect(last[0].contains("43-60 shown"))
    #expect(last[22].hasPrefix("> "))
    // A larger terminal shows all of them.
    #expect(!lines(&model, 80, 90)[0].contains("shown"))
    for _ in 0..<100 { _ = model.press(.up) }
    #expect(lines(&model, 80, 24)[5].hasPrefix("> "))
  }

  @Test("every key that sorts") func sorting() throws {
    var model = TopModel(TopModel.Options())
    model.take(
      try TopSamples.reading([
        try TopSamples.process(1) {
          $0.name = "b"
          $0.liveHeapBytes = Known(nil)
        },
        try TopSamples.process(2) { $0.name = "a" },
      ]))
    for order in TopOrder.allCases {
      _ = model.press(.character(order.key))
      #expect(model.list.order == order)
      #expect(model.identities() == ([.name, .resident, .heap].contains(order) ? ["2", "1"] : ["1", "2"]), "\(order)")
    }
    // Around all of them.
    for order in TopOrder.allCases + TopOrder.allCases.prefix(1) {
      _ = model.press(.character("s"))
      #expect(model.list.order == order)
    }
    _ = model.press(.tab)
    _ = model.press(.character("H"))
    #expect(model.list.order == .resident)
    _ = model.press(.character("U"))
    #expect(model.list.order == .used)
  }

  @Test("a filter is typed, kept and ended, each list has its own") func filter() throws {
    var model = try TopSamples.model(1...20)
    func type(_ text: String) { for character in text { _ = model.press(.character(character)) } }
    type("/SERVE-1x")
    #expect(model.identities().isEmpty)
    #expect(lines(&model, 80, 24).contains("Nothing has \"SERVE-1x\" in it. Esc shows everything again."))
    _ = model.press(.backspace)
    #expect(model.identities().count == 11)
    // A letter that is a key elsewhere.
    #expect(lines(&model, 80, 24)[23].hasPrefix("/SERVE-1_"))
    _ = model.press(.enter)
    #expect(lines(&model, 80, 24)[0].contains("11 of 20 processes  by resident  with \"SERVE-1\""))
    _ = model.press(.tab)
    #expect(model.list.filter.isEmpty)
    _ = model.press(.tab)
    #expect(model.identities().count == 11)
    _ = model.press(.escape)
    #expect(model.identities().count == 20)
    type("/" + String(repeating: "x", count: 1000))
    #expect(model.list.filter.count == TopModel.filterLimit)
    _ = model.press(.eraseLine)
    #expect(model.list.filter.isEmpty)
    type("py")
    _ = model.press(.escape)
    #expect(model.list.filter.isEmpty)
    #expect(model.press(.character("q")) == .quit)
  }

  @Test("packages of a process open and close, and are asked for at once") func packages() throws {
    var model = try TopSamples.model()
    #expect(model.scope == .none)
    #expect(model.press(.down) == nil)
    #expect(model.press(.enter) == .read)
    #expect(model.scope == .of(2))
    #expect(lines(&model, 80, 24)[5] == "" || lines(&model, 80, 24).contains("Waiting for the packages."))
    let processes = try (1...3).map { try TopSamples.process($0) }
    // The answer to a question asked before is not shown for another one.
    model.take(try TopSamples.reading(processes, at: 1, scope: .all, packages: [try TopSamples.package("wrong", resident: 1)]))
    #expect(model.shownPackages == nil)
    let own = [try TopSamples.package("numpy", resident: 1), try TopSamples.package("torch", resident: 2)]
    model.take(try TopSamples.reading(processes, at: 2, scope: .of(2), packages: own))
    let frame = lines(&model, 80, 24)
    #expect(frame[0].hasPrefix("2 packages of python3 (2)  by resident"))
    #expect(frame[5].hasPrefix("> torch"))
    #expect(!frame[4].contains("PROCESSES"))
    // It ends while it is looked at: what is known of it stays.
    model.take(try TopSamples.reading(Array(processes.prefix(1)), at: 3, scope: .of(2)))
    let after = lines(&model, 80, 24)
    #expect(after[2] == "python3 (2) has ended or is not watched any more")
    #expect(after[5].hasPrefix("> torch"))
    #expect(model.press(.escape) == nil)
    #expect(model.page == .processes)
    #expect(model.press(.character("k")) == .read)
    #expect(model.scope == .all)
    #expect(model.press(.character("k")) == nil)
    #expect(model.press(.character("p")) == nil)
  }

  @Test("only one process") func only() throws {
    var model = try TopSamples.model(1...5, TopModel.Options(only: 4))
    #expect(model.identities() == ["4"])
    #expect(lines(&model, 80, 24)[0].hasPrefix("1 process  "))
    _ = model.press(.tab)
    #expect(model.scope == .of(4))
    model.take(try TopSamples.reading([], at: 1, scope: .of(4)))
    #expect(lines(&model, 80, 24)[2] == "process 4 has ended or is not watched any more")
  }

  @Test("without a supervisor what is known stays, and the line says since when") func lost() throws {
    var model = try TopSamples.model()
    let table = lines(&model, 80, 24)[4...]
    model.fail(.notReachable(socket: "/s", reason: .refused), at: 100)
    model.fail(.notReachable(socket: "/s", reason: .noSocket), at: 110)
    #expect(lines(&model, 80, 24, at: 112)[2] == "no supervisor for 12 s: there is no such socket; retrying")
    #expect(lines(&model, 80, 24, at: 112)[4...] == table)
    #expect(lines(&model, 40, 24, at: 112)[2] == "no supervisor for 12 s; retrying")
    #expect(lines(&model, 20, 5, at: 112)[0] == "no supervisor")
    #expect(lines(&model, 5, 5, at: 112)[0] == "no s…")
    model.take(try TopSamples.reading([], at: 20))
    #expect(lines(&model, 80, 24, at: 113)[2].hasPrefix("supervisor "))
    #expect(lines(&model, 80, 24)[4].hasPrefix("No process is watched."))
  }

  @Test("pause and pace") func pace() throws {
    var model = try TopSamples.model()
    #expect(model.press(.character(" ")) == nil)
    #expect(lines(&model, 80, 24)[0].contains("paused"))
    #expect(model.press(.character(" ")) == .read)
    for _ in 0..<20 { _ = model.press(.character("-")) }
    #expect(model.interval == 0.2)
    #expect(lines(&model, 80, 24)[0].contains("every 0.2 s"))
    for _ in 0..<20 { _ = model.press(.character("+")) }
    #expect(model.interval == 60)
    var odd = TopModel(TopModel.Options(interval: 3.25))
    #expect(lines(&odd, 80, 24)[0].contains("every 3.25 s"))
    _ = odd.press(.character("+"))
    #expect(odd.interval == 5)
  }

  @Test("questions are asked at the interval, a dear answer less often, after a failure within a second") func schedule() {
    var schedule = TopSchedule()
    schedule.start(at: 10)
    #expect(schedule.isAsking)
    #expect(schedule.next(interval: 1) == nil)
    schedule.finish(at: 10.01, failed: false)
    #expect(schedule.next(interval: 1) == 11)
    schedule.start(at: 20)
    schedule.finish(at: 20.5, failed: false)
    #expect(schedule.next(interval: 1) == 25)
    schedule.start(at: 30)
    schedule.finish(at: 30, failed: true)
    #expect(schedule.next(interval: 60) == 31)
    schedule.start(at: 40)
    schedule.finish(at: 50, failed: true)
    #expect(schedule.next(interval: 0.2) == 50)
  }

  @Test("JSON has the API's fields, the rates, and one of the two lists") func json() throws {
    var model = try TopSamples.model(1...2, TopModel.Options(filter: "serve-2"))
    model.take(
      try TopSamples.reading([try TopSamples.process(1), try TopSamples.process(2) { $0.processorSeconds += 1 }], at: 2))
    let text = String(decoding: try Coding.encoder().encode(TopReport(model)), as: UTF8.self)
    #expect(!text.contains("\n"))
    let report = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(
      Set(report.keys) == ["schema", "taken_at", "elapsed_seconds", "supervisor", "totals", "processes"])
    #expect(report["schema"] as? String == "mlos.top/1")
    let rows = try #require(report["processes"] as? [[String: Any]])
    #expect(rows.count == 1)
    #expect(rows[0]["pid"] as? Int == 2)
    #expect(rows[0]["processor_percent"] as? Double == 50)
    #expect(rows[0]["live_heap_bytes_per_second"] as? Double == 0)
    #expect((report["totals"] as? [String: Any])?["processes"] as? Int == 2)
    _ = model.press(.tab)
    model.take(try TopSamples.reading([], at: 3, scope: .all, packages: [try TopSamples.package("numpy", resident: 1)]))
    let packages = String(decoding: try Coding.encoder().encode(TopReport(model)), as: UTF8.self)
    #expect(packages.contains("\"packages\":[") && !packages.contains("\"processes\":["))
  }
}

@Suite struct TopInputTests {
  @Test(
    "keys of several terminals",
    arguments: [
      ("q", [.character("q")]), ("\u{1B}[A\u{1B}OB", [.up, .down]), ("\u{1B}[5~\u{1B}[6~", [.pageUp, .pageDown]),
      ("\u{1B}[1~\u{1B}[4~\u{1B}[7~\u{1B}[8~\u{1B}[H\u{1B}OF", [.home, .end, .home, .end, .home, .end]),
      ("\u{1B}[1;5A\u{1B}[5;2~", [.up, .pageUp]), ("\r\n\t\u{7F}\u{8}", [.enter, .enter, .tab, .backspace, .backspace]),
      ("\u{C}\u{15}", [.redraw, .eraseLine]), ("é日🙂", [.character("é"), .character("日"), .character("🙂")]),
      ("\u{1B}q", [.escape, .character("q")]), ("\u{1B}[[Aq", [.character("q")]), ("\u{1B}[200~x", [.character("x")]),
      ("\u{1B}[15;2~x", [.character("x")]), ("\u{0}\u{1}x", [.character("x")]), ("\u{1B}[<0;1;1Mx", [.enter, .character("x")]),
      ("", []),
    ] as [(String, [TopKey])])
  func keys(bytes: String, expected: [TopKey]) {
    var parser = KeyParser()
    #expect(parser.feed(bytes.utf8) == expected)
    #expect(!parser.isWaiting)
    // The same byte by byte.
    var slow = KeyParser()
    #expect(bytes.utf8.flatMap { slow.feed([$0]) } == (bytes == "\u{1B}q" ? expected : expected))
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
