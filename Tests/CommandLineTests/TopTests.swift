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

func topLines(_ model: inout TopModel, _ columns: Int, _ rows: Int, at time: Double = 0) -> [String] {
  model.screen(terminal(columns), rows: rows, at: time) { _ in "09:41:07" }
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
    func marked() -> String? { topLines(&model, 120, 24).first { $0.hasPrefix("> ") } }
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

  @Test("the window follows the marked row and says what it shows") func scrolling() throws {
    var model = try TopSamples.model(1...60)
    #expect(topLines(&model, 80, 24)[0].contains("1-18 shown"))
    _ = model.press(.pageDown)
    _ = model.press(.pageDown)
    #expect(topLines(&model, 80, 24)[0].contains("18-35 shown"))
    _ = model.press(.end)
    let last = topLines(&model, 80, 24)
    #expect(last[0].contains("43-60 shown"))
    #expect(last[22].hasPrefix("> "))
    // A larger terminal shows all of them.
    #expect(!topLines(&model, 80, 90)[0].contains("shown"))
    for _ in 0..<100 { _ = model.press(.up) }
    #expect(topLines(&model, 80, 24)[5].hasPrefix("> "))
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
    #expect(topLines(&model, 80, 24).contains("Nothing has \"SERVE-1x\" in it. Esc shows everything again."))
    _ = model.press(.backspace)
    #expect(model.identities().count == 11)
    // A letter that is a key elsewhere.
    #expect(topLines(&model, 80, 24)[23].hasPrefix("/SERVE-1_"))
    _ = model.press(.enter)
    #expect(topLines(&model, 80, 24)[0].contains("11 of 20 processes  by resident  with \"SERVE-1\""))
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
    #expect(topLines(&model, 80, 24)[5] == "" || topLines(&model, 80, 24).contains("Waiting for the packages."))
    let processes = try (1...3).map { try TopSamples.process($0) }
    // The answer to a question asked before is not shown for another one.
    model.take(try TopSamples.reading(processes, at: 1, scope: .all, packages: [try TopSamples.package("wrong", resident: 1)]))
    #expect(model.shownPackages == nil)
    let own = [try TopSamples.package("numpy", resident: 1), try TopSamples.package("torch", resident: 2)]
    model.take(try TopSamples.reading(processes, at: 2, scope: .of(2), packages: own))
    let frame = topLines(&model, 80, 24)
    #expect(frame[0].hasPrefix("2 packages of python3 (2)  by resident"))
    #expect(frame[5].hasPrefix("> torch"))
    #expect(!frame[4].contains("PROCESSES"))
    // It ends while it is looked at: what is known of it stays.
    model.take(try TopSamples.reading(Array(processes.prefix(1)), at: 3, scope: .of(2)))
    let after = topLines(&model, 80, 24)
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
    #expect(topLines(&model, 80, 24)[0].hasPrefix("1 process  "))
    _ = model.press(.tab)
    #expect(model.scope == .of(4))
    model.take(try TopSamples.reading([], at: 1, scope: .of(4)))
    #expect(topLines(&model, 80, 24)[2] == "process 4 has ended or is not watched any more")
  }

  @Test("without a supervisor what is known stays, and the line says since when") func lost() throws {
    var model = try TopSamples.model()
    let table = topLines(&model, 80, 24)[4...]
    model.fail(.notReachable(socket: "/s", reason: .refused), at: 100)
    model.fail(.notReachable(socket: "/s", reason: .noSocket), at: 110)
    #expect(topLines(&model, 80, 24, at: 112)[2] == "no supervisor for 12 s: there is no such socket; retrying")
    #expect(topLines(&model, 80, 24, at: 112)[4...] == table)
    #expect(topLines(&model, 40, 24, at: 112)[2] == "no supervisor for 12 s; retrying")
    #expect(topLines(&model, 20, 5, at: 112)[0] == "no supervisor")
    #expect(topLines(&model, 5, 5, at: 112)[0] == "no s…")
    _ = model.press(.character(" "))
    #expect(topLines(&model, 80, 24, at: 112)[2] == "no supervisor for 12 s: there is no such socket")
    model.take(try TopSamples.reading([], at: 20))
    model.ask(at: 112)
    #expect(topLines(&model, 80, 24, at: 113)[2].hasPrefix("supervisor "))
    #expect(topLines(&model, 80, 24)[4].hasPrefix("No process is watched."))
    #expect(topLines(&model, 80, 24, at: 117)[2] == "the supervisor has not answered for 5 s")
    model.fail(.timeout(socket: "/s", after: .seconds(10)), at: 122)
    #expect(topLines(&model, 80, 24, at: 122)[2] == "the supervisor on /s did not answer within 10.0 seconds")
  }

  @Test("pause and pace") func pace() throws {
    var model = try TopSamples.model()
    #expect(model.press(.character(" ")) == nil)
    #expect(topLines(&model, 80, 24)[0].contains("paused"))
    #expect(model.press(.character(" ")) == .read)
    for _ in 0..<20 { _ = model.press(.character("-")) }
    #expect(model.interval == 0.2)
    #expect(topLines(&model, 80, 24)[0].contains("every 0.2 s"))
    for _ in 0..<20 { _ = model.press(.character("+")) }
    #expect(model.interval == 60)
    var odd = TopModel(TopModel.Options(interval: 3.25))
    #expect(topLines(&odd, 80, 24)[0].contains("every 3.25 s"))
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
