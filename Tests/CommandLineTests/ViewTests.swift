import Foundation
import Model
import Testing
import Wire

@testable import Client
@testable import mlos

@Suite struct ViewTests {
  static func fixture<Answer: Decodable>(_ name: String) throws -> Answer {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/wire/\(name).json")
    return try Coding.decoder().decode(Answer.self, from: Data(contentsOf: file))
  }

  @Test("ps") func processes() throws {
    #expect(
      ProcessesView(answer: try Self.fixture("processes")).lines(wide) == [
        " PID  NAME     AGENT                          RESIDENT  PRIVATE      HEAP  ALLOC/S     CPU  MODULES   ACTIVE  COMMAND",
        "4711  python3  loader-only (mixed-allocator)   200 MiB  130 MiB  ~120 MiB     1001  3.50 s       41  1 s ago  python3 serve.py --name \"a/b\"",
        "1 process, resident 200 MiB, live heap 120 MiB",
      ])
    #expect(
      ProcessesView(answer: try Self.fixture("processes-unknown")).lines(wide) == [
        " PID  NAME     AGENT    RESIDENT  PRIVATE  HEAP  ALLOC/S     CPU  MODULES    ACTIVE  COMMAND",
        "4711  python3  adopted   200 MiB        -     -        -  3.50 s        -  not seen  python3 serve.py --name \"a/b\"",
        "1 process, resident 200 MiB, live heap -",
      ])
    #expect(ProcessesView(answer: ProcessesAnswer(takenAt: 0, processes: [])).lines(wide).count == 1)
  }

  @Test("modules") func modules() throws {
    let lines = ModulesView(answer: try Self.fixture("modules")).lines(terminal(80))
    #expect(
      lines == [
        "MODULE                            PACKAGE  STATE   RESIDENT   PRIVATE  LAST USED",
        "…x86_64-linux-gnu/libz.so.1.2.13  zlib1g   loaded  2.00 MiB  12.0 KiB    8 s ago",
        "python3 (4711): 1 module loaded, 0 unloaded, resident 2.00 MiB, private 12.0 KiB",
      ])
  }

  @Test("packages of one process say how much they explain") func packages() throws {
    #expect(
      PackagesView(answer: try Self.fixture("packages"), pid: 4711).lines(wide) == [
        "PACKAGE  KIND    VERSION  MODULES  RESIDENT  PROPORTIONAL   PRIVATE  LAST USED  PROCESSES",
        "numpy    python  2.3.4         12  2.00 MiB      1.00 MiB  12.0 KiB    8 s ago          1",
        "1 package, resident 2.00 MiB, proportional 1.00 MiB, private 12.0 KiB",
        "python3 (4711): packages hold 59.0 MiB of 60.0 MiB resident memory that files back: 98.3 %",
        "outside modules: 140 MiB anonymous, live heap 120 MiB",
      ])
    #expect(PackagesView(answer: try Self.fixture("packages")).lines(wide).count == 3)
    #expect(
      PackagesView(answer: try Self.fixture("packages-unknown"), pid: 4711).lines(wide).last?.hasSuffix("live heap -") == true)
  }

  @Test("events") func events() throws {
    let known: EventsAnswer = try Self.fixture("events")
    let unknown: EventsAnswer = try Self.fixture("events-unknown")
    #expect(
      EventLine.text(known.events[0], wide) { "\($0)" }
        == "1800000005.75  python3(4711)  loaded    /usr/lib/libz.so.1  [zlib1g]  (first of 2)")
    #expect(EventLine.text(unknown.events[0], wide) { "\($0)" } == "1800000005.75  python3(4711)  loaded  ")
    #expect(EventLine.localTime(1_800_000_005.756).hasSuffix(":05.756"))
    #expect(EventLine.localTime(-0.5).hasSuffix(":59.500"))
    #expect(EventLine.localTime(.nan) == "-")
  }

  @Test("status names what was refused or dropped") func status() throws {
    let lines = StatusView(answer: try Self.fixture("status")).lines(wide)
    #expect(lines.contains("own use         16.0 MiB resident, 0.13 s of processor time"))
    #expect(lines.last == "18446744073709551615 events dropped")
    #expect(lines.contains("pressure        memory is short; told by /proc/pressure/memory; 3 events, the last 1 s ago"))
    #expect(
      StatusView(answer: try Self.fixture("status-unknown")).lines(wide).contains(
        "own use         - resident, - of processor time"))
  }

  @Test("adopt and config") func rest() throws {
    #expect(AdoptCommand.sentence(try Self.fixture("adopt")) == "python3 (4711) is now watched: resident 200 MiB")
    #expect(AdoptCommand.sentence(try Self.fixture("adopt-unknown")) == "python3 (4711) is watched already: resident 200 MiB")
    #expect(
      ConfigView(answer: try Self.fixture("config"), showsOrigin: true).lines(wide) == [
        "KEY        VALUE  ORIGIN   MEANING", "log.level  info   default  Least severe message to log",
        "file: /etc/mlos/mlos.yaml",
      ])
  }

  @Test("no view is wider than the terminal", arguments: [20, 40, 60, 80, 132]) func widths(columns: Int) throws {
    let narrow = terminal(columns)
    let events: EventsAnswer = try Self.fixture("events")
    let finding = Finding(
      id: "swap", subject: "swap", verdict: .limited, found: "none, no zram either", consequence: "page-out is impossible",
      remedy: "fallocate -l 4G /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile")
    var lines = [EventLine.text(events.events[0], narrow, clock: EventLine.localTime)]
    lines += DoctorView(findings: [finding]).lines(narrow)
    lines += StatusView(answer: try Self.fixture("status")).lines(narrow)
    lines += ConfigView(answer: try Self.fixture("config"), showsOrigin: true).lines(narrow)
    lines += HeapView(answer: try Self.fixture("heap")).lines(narrow)
    lines += ProcessesView(answer: ProcessesAnswer(takenAt: 0, processes: [])).lines(narrow)
    for order in ProcessOrder.allCases {
      lines += ProcessesView(answer: try Self.fixture("processes"), order: order).lines(narrow)
    }
    for order in MemoryOrder.allCases {
      lines += ModulesView(answer: try Self.fixture("modules"), order: order).lines(narrow)
      lines += PackagesView(answer: try Self.fixture("packages"), pid: 4711, order: order).lines(narrow)
    }
    #expect(lines.filter { DisplayWidth.of($0) > columns } == [])
    // What is wrapped is all there.
    let told = DoctorView(findings: [finding]).lines(narrow).joined().filter { $0 != " " }
    #expect(told.contains("mkswap/swapfile&&swapon/swapfile"))
  }

  @Test("where nothing is live any more the table and the graph say how to see the rest") func nothingLive() throws {
    var answer: HeapAnswer = try Self.fixture("heap")
    let words = "nothing of it is live any more"
    #expect(!HeapView(answer: answer).summary.contains { $0.contains(words) })
    answer.total.live.bytes = 0
    #expect(HeapView(answer: answer).summary.contains { $0.contains(words) })
    #expect(FlameGraph(answer: answer).svg().contains(words))
    #expect(!HeapView(answer: answer, by: .allocated).summary.contains { $0.contains(words) })
  }

  @Test("a profile without a sample says why") func emptyProfile() throws {
    var answer: HeapAnswer = try Self.fixture("heap")
    #expect(HeapView(answer: answer).emptiness == nil)
    answer.sampling.samples = 0
    answer.stacks = []
    answer.pid = 7
    answer.name = "idle"
    answer.seconds = 2
    answer.exact.allocatedBytes = Known(0)
    #expect(HeapView(answer: answer).emptiness == "process 7 (idle) allocated nothing within 2.0 s")
    answer.exact.allocatedBytes = Known(100)
    #expect(HeapView(answer: answer).emptiness?.contains("it allocated 100 B, and one allocation every") == true)
    answer.exact.allocatedBytes = Known(nil)
    #expect(HeapView(answer: answer).emptiness == "nothing was sampled in process 7 (idle) within 2.0 s")
    answer.seconds = 0
    answer.reason = Known("it waits")
    #expect(HeapView(answer: answer).emptiness == "nothing was measured in process 7 (idle): it waits")
  }

  @Test("doctor") func doctor() throws {
    let view = DoctorView(findings: [
      Finding(id: "psi", subject: "pressure", verdict: .works, found: "yes"),
      Finding(id: "swap", subject: "swap", verdict: .missing, found: "none", consequence: "no page-out", remedy: "add swap"),
    ])
    #expect(
      view.lines(wide) == [
        "works    pressure: yes", "missing  swap: none", "         no page-out", "         do: add swap",
        "1 work, 0 limited, 1 missing, 0 unknown",
      ])
    #expect(view.hasMissing)
    let json = String(decoding: try Coding.encoder().encode(DoctorReport(findings: [])), as: UTF8.self)
    #expect(json == "{\"findings\":[],\"schema\":\"mlos.doctor/1\",\"version\":\"\(Release.version)\"}")
  }

  @Test(
    "order, with what is not known last",
    arguments: [
      (ProcessOrder.heap, false, nil, [2, 3, 1]), (.heap, true, nil, [3, 2, 1]), (.pid, false, nil, [1, 2, 3]),
      (.pid, true, 2, [3, 2]), (.resident, false, nil, [1, 2, 3]),
    ] as [(ProcessOrder, Bool, Int?, [Int32])])
  func order(order: ProcessOrder, reversed: Bool, limit: Int?, expected: [Int32]) throws {
    let answer: ProcessesAnswer = try Self.fixture("processes")
    let rows = ([(1, nil), (2, 200), (3, 100)] as [(Int32, UInt64?)]).map { pid, heap in
      var row = answer.processes[0]
      row.pid = pid
      row.liveHeapBytes = Known(heap)
      return row
    }
    #expect(Ordering(isReversed: reversed, limit: limit).apply(rows, by: order).map(\.pid) == expected)
  }

  @Test(
    "errors end with the documented status",
    arguments: [
      (.notReachable(socket: "s", reason: .noSocket), 3), (.notReachable(socket: "s", reason: .refused), 3),
      (.notReachable(socket: "s", reason: .permission), 4), (.untrusted(socket: "s", owner: 1), 4),
      (.timeout(socket: "s", after: .seconds(1)), 3), (.interrupted(socket: "s"), 3), (.protocolError("x"), 5),
      (.tooLarge(limit: 1), 5),
      (.answered(status: 404, ErrorAnswer(code: "not_found", message: "m")), 1),
      (.answered(status: 403, ErrorAnswer(code: "not_permitted", message: "m")), 4),
      (.answered(status: 400, ErrorAnswer(code: "invalid_request", message: "m")), 64),
      (.answered(status: 422, ErrorAnswer(code: "invalid_request", message: "m")), 64),
      (.answered(status: 422, ErrorAnswer(code: "unreadable", message: "m")), 4),
      (.answered(status: 409, ErrorAnswer(code: "limit_reached", message: "m")), 4),
      (.answered(status: 500, ErrorAnswer(code: "internal", message: "m")), 5),
    ] as [(ClientError, Int32)])
  func statuses(error: ClientError, expected: Int32) { #expect(Failure(error).status.rawValue == expected) }
}
