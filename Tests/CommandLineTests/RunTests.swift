import Foundation
import Client
import Testing

@testable import mlos

@Suite struct RunTests {
  @Test(
    "the agent comes first in LD_PRELOAD, once, and the rest stays",
    arguments: [
      (nil, "/a/libmlosagent.so"), ("", "/a/libmlosagent.so"), ("/x.so", "/a/libmlosagent.so:/x.so"),
      ("/x.so:/y.so", "/a/libmlosagent.so:/x.so:/y.so"), ("/x.so /y.so", "/a/libmlosagent.so:/x.so:/y.so"),
      ("/a/libmlosagent.so", "/a/libmlosagent.so"), ("/x.so:/old/libmlosagent.so:/y.so", "/a/libmlosagent.so:/x.so:/y.so"),
      ("::/x.so::", "/a/libmlosagent.so:/x.so"), ("/x/notlibmlosagent.so", "/a/libmlosagent.so:/x/notlibmlosagent.so"),
    ] as [(String?, String)])
  func preload(existing: String?, expected: String) {
    #expect(AgentLibrary.preload(agent: "/a/libmlosagent.so", existing: existing.map { Array($0.utf8) }) == Array(expected.utf8))
    #expect(AgentLibrary.preload(agent: "/a/libmlosagent.so", existing: Array(expected.utf8)) == Array(expected.utf8))
  }

  @Test(
    "without the agent",
    arguments: [(nil, nil), ("/a/libmlosagent.so", nil), ("/x.so:/a/libmlosagent.so", "/x.so")] as [(String?, String?)])
  func withoutAgent(existing: String?, expected: String?) {
    #expect(AgentLibrary.withoutAgent(existing.map { Array($0.utf8) }) == expected.map { Array($0.utf8) })
  }

  @Test(
    "the agent's library: named, or beside the command, or installed",
    arguments: [
      ("/o.so", "/v.so", ["/o.so", "/v.so"], "/o.so"), (nil, "/v.so", ["/v.so", "/usr/bin/libmlosagent.so"], "/v.so"),
      ("/gone.so", nil, ["/usr/bin/libmlosagent.so"], nil),
      (nil, "", ["/usr/lib/mlos/libmlosagent.so"], "/usr/lib/mlos/libmlosagent.so"),
      (
        nil, nil, ["/usr/bin/../lib/mlos/libmlosagent.so", "/usr/lib/mlos/libmlosagent.so"],
        "/usr/bin/../lib/mlos/libmlosagent.so"
      ),
      (nil, nil, ["/usr/lib/m/mlos/libmlosagent.so"], "/usr/lib/m/mlos/libmlosagent.so"), (nil, nil, [], nil),
      ("/a b.so", nil, ["/a b.so"], nil), ("/a:b.so", nil, ["/a:b.so"], nil),
    ] as [(String?, String?, [String], String?)])
  func library(option: String?, variable: String?, existing: [String], expected: String?) {
    let candidates = AgentLibrary.candidates(executable: "/usr/bin/mlos", architecture: "m")
    let chosen = AgentLibrary.choose(option: option, variable: variable, candidates: candidates) { existing.contains($0) }
    #expect((try? chosen.get()) == expected)
  }

  @Test("a preloaded path that is no UTF-8 keeps its bytes") func preloadBytes() {
    let existing: [UInt8] = [0x2F, 0xFF, 0xC3, 0x3A, 0x2F, 0x62]
    #expect(AgentLibrary.preload(agent: "/a/libmlosagent.so", existing: existing) == Array("/a/libmlosagent.so:".utf8) + existing)
    #expect(AgentLibrary.withoutAgent(Array("/a/libmlosagent.so:".utf8) + existing) == existing)
  }

  @Test("the environment keeps its bytes, its order and what is not named") func environment() {
    let bytes = [
      Array("A=1".utf8), [0x42, 0x3D, 0xFF], Array("LD_PRELOAD=/x".utf8), Array("LD_PRELOAD=/y".utf8), Array("C".utf8),
    ]
    func set(_ changes: [(String, String?)]) -> [[UInt8]] {
      ProcessImage.environment(bytes, setting: changes.map { ($0.0, $0.1.map { Array($0.utf8) }) })
    }
    #expect(set([]) == bytes)
    #expect(
      set([("LD_PRELOAD", "/a"), ("N", "")]) == [bytes[0], bytes[1], Array("LD_PRELOAD=/a".utf8), bytes[4], Array("N=".utf8)])
    #expect(set([("A", nil)]) == Array(bytes.dropFirst()))
  }

  @Test(
    "a program is found as execvp finds it",
    arguments: [
      ("sh", "/bin:/usr/bin", .found(Array("/bin/sh".utf8))), ("tool", "/bin:/usr/bin", .found(Array("/usr/bin/tool".utf8))),
      ("data", "/bin:/usr/bin", .notExecutable(Array("/bin/data".utf8))), ("gone", "/bin", .notFound), ("", "/bin", .notFound),
      ("/bin/sh", nil, .found(Array("/bin/sh".utf8))), ("sh", nil, .found(Array("/bin/sh".utf8))),
      ("./here", "/bin", .found(Array("./here".utf8))),
      ("here", ":/bin", .found(Array("./here".utf8))), ("here", "/bin", .notFound),
      ("/bin/data", nil, .notExecutable(Array("/bin/data".utf8))),
    ] as [(String, String?, ProgramSearch.Finding)])
  func search(name: String, path: String?, expected: ProgramSearch.Finding) {
    let files: [String: ProgramSearch.FileState] = [
      "/bin/sh": .executable, "/usr/bin/tool": .executable, "/bin/tool": .notExecutable, "/bin/data": .notExecutable,
      "./here": .executable,
    ]
    let found = ProgramSearch.find(Array(name.utf8), path: path.map { Array($0.utf8) }) {
      files[String(decoding: $0, as: UTF8.self)] ?? .missing
    }
    #expect(found == expected)
  }

  @Test("names and folders that are no UTF-8 stay as they are") func searchBytes() {
    let found = ProgramSearch.find([0x61, 0xE9], path: [0x2F, 0xFF, 0x3A, 0x2F, 0x62]) { path in
      path == [0x2F, 0xFF, 0x2F, 0x61, 0xE9] ? .executable : .missing
    }
    #expect(found == .found([0x2F, 0xFF, 0x2F, 0x61, 0xE9]))
    #expect(ProcessImage.value(of: "A", in: [Array("AB=1".utf8), [0x41, 0x3D, 0xFF], Array("A=2".utf8)]) == [0xFF])
    #expect(ProcessImage.value(of: "B", in: [Array("AB=1".utf8)]) == nil)
  }

  @Test(
    "what follows the options is the program's",
    arguments: [
      (["--", "a", "--b"], ["a", "--b"]), (["a", "--", "b"], ["a", "--", "b"]), (["--", "--"], ["--"]), (["a"], ["a"]),
      (["--", "-x"], ["-x"]), (["-x"], nil), (["--"], nil), ([], nil),
    ] as [([String], [String]?)])
  func arguments(captured: [String], expected: [String]?) { #expect((try? RunCommand.program(captured)) == expected) }

  @Test("a supervisor of its own gets what it needs to know") func supervisor() {
    #expect(
      EmbeddedSupervisor.arguments(socket: "/s", configuration: nil, keepAlive: false) == [
        "mlosd", "--ephemeral", "--socket", "/s", "--ready-fd", "3",
      ])
    #expect(
      EmbeddedSupervisor.arguments(socket: "/s", configuration: "/c.yaml", keepAlive: true) == [
        "mlosd", "--config", "/c.yaml", "--socket", "/s", "--ready-fd", "3",
      ])
    let inherited = [
      "A=1", "LD_PRELOAD=/x/libmlosagent.so:/y.so", "NOTIFY_SOCKET=/n", "WATCHDOG_USEC=5", "WATCHDOG_PID=7", "B=2",
    ]
    #expect(
      EmbeddedSupervisor.environment(inherited.map { Array($0.utf8) }, preload: Array("/x/libmlosagent.so:/y.so".utf8))
        == ["A=1", "LD_PRELOAD=/y.so", "B=2"].map { Array($0.utf8) })
    #expect(
      EmbeddedSupervisor.candidates(executable: "/opt/bin/mlos", path: "/a:rel::/b").prefix(5)
        == ["/opt/bin/mlosd", "/opt/bin/../sbin/mlosd", "/opt/bin/../libexec/mlos/mlosd", "/a/mlosd", "/b/mlosd"])
  }

  @Test("a file of settings named by the environment is found from the supervisor's directory too") func configuration() {
    func environment(_ value: String) -> [[UInt8]] {
      EmbeddedSupervisor.environment([Array("MLOS_CONFIG=\(value)".utf8)], preload: nil)
    }
    #expect(environment("/etc/x.yaml") == [Array("MLOS_CONFIG=/etc/x.yaml".utf8)])
    #expect(environment("") == [Array("MLOS_CONFIG=".utf8)])
    #expect(environment("x.yaml") == [Array("MLOS_CONFIG=\(FileManager.default.currentDirectoryPath)/x.yaml".utf8)])
    #expect(EmbeddedSupervisor.environment([], preload: nil) == [])
  }

  static let missing = ClientError.notReachable(socket: "s", reason: .noSocket)
  static let refused = ClientError.notReachable(socket: "s", reason: .refused)
  static let forbidden = ClientError.notReachable(socket: "s", reason: .permission)
  static let foreign = ClientError.untrusted(socket: "s", owner: 1)

  @Test(
    "the agents' socket decides whether there is a supervisor, the control socket only where it may be opened",
    arguments: [
      (nil, nil, .ready), (nil, forbidden, .ready), (nil, missing, .changing), (nil, refused, .changing),
      (missing, nil, .absent), (refused, nil, .absent), (forbidden, nil, .unusable(forbidden)),
      (foreign, nil, .unusable(foreign)),
      (nil, foreign, .unusable(foreign)),
    ] as [(ClientError?, ClientError?, SupervisorPresence)])
  func presence(agents: ClientError?, control: ClientError?, expected: SupervisorPresence) {
    #expect(SupervisorPresence.judge(agents: agents) { control } == expected)
  }

  @Test(
    "the last words of a supervisor are its own",
    arguments: [
      ("", []), ("{\"level\":\"notice\"}\nmlosd: no\n{\"message\":\"ended\"}\n", ["mlosd: no"]),
      ("Fatal error\n", ["Fatal error"]), ("1\n2\n3\n4\n5\n6\n", ["2", "3", "4", "5", "6"]),
    ])
  func lastWords(added: String, expected: [String]) { #expect(EmbeddedSupervisor.lastWords(added) == expected) }

  @Test("the byte is ready, the end of the pipe is failure, nothing is overdue") func readiness() {
    func outcome(_ bytes: [UInt8], closing: Bool, patience: Duration = .seconds(60)) -> EmbeddedSupervisor.Readiness {
      var ends: [Int32] = [0, 0]
      guard pipe(&ends) == 0 else { return .overdue }
      defer { close(ends[0]) }
      if !bytes.isEmpty { _ = write(ends[1], bytes, bytes.count) }
      if closing { close(ends[1]) }
      defer { if !closing { close(ends[1]) } }
      return EmbeddedSupervisor.awaitReady(ends[0], patience: patience)
    }
    #expect(outcome(Array("1".utf8), closing: false) == .ready)
    #expect(outcome(Array("1".utf8), closing: true) == .ready)
    #expect(outcome([], closing: true) == .closed)
    #expect(outcome(Array("0".utf8), closing: false) == .closed)
    #expect(outcome([], closing: false, patience: .milliseconds(1)) == .overdue)
  }
}
