import Glibc
import Model

@testable import LinuxPlatform

/// The files of one process in /proc: those that the process itself can write to (its name, arguments, environment, the names of
/// what it maps) and those around them. The input is pieces, each which file, two bytes of length and the contents; what it does
/// not give is as in `usual`.
final class ProcessStage: @unchecked Sendable {
  static let shared = ProcessStage()

  private static let pid = MappedProcess.pid
  private static let root = "processes"
  private static let usual: [(name: String, content: String)] = [
    (
      "stat",
      "\(pid) (python) S 1 7 7 0 -1 4194560 100 0 2 0 7 3 0 0 20 0 1 0 12345 4096000 100 18446744073709551615 1 1 140736 0 0 0\n"
    ),
    ("statm", "1000 100 60 1 0 1 0\n"),
    (
      "status", "Name:\tpython\nTgid:\t\(pid)\nUid:\t1001\t1000\t1000\t1000\nRssAnon:\t     160 kB\nNSpid:\t\(pid)\nSeccomp:\t0\n"
    ),
    ("cmdline", "python\0serve.py\0"), ("environ", "MLOS_SOCKET=/run/mlos/agent.sock\0"),
    ("maps", "10000-20000 r-xp 00000000 08:01 12 /usr/lib/libmlosagent.so\n"),
    ("smaps", "10000-20000 r-xp 00000000 08:01 12 /usr/lib/libm.so (deleted)\nRss:  16 kB\n"),
    ("smaps_rollup", "10000-20000 ---p 00000000 00:00 0 [rollup]\nRss:  16 kB\n"),
  ]

  private let proc: ProcFS
  private let discovery: AgentDiscovery

  private init() {
    let root = "\(Folder.path)/\(Self.root)"
    proc = ProcFS(root: root)
    discovery = AgentDiscovery(socket: "/run/mlos/agent.sock", isDefaultSocket: false, root: root)
    Folder.makeDirectories("\(Self.root)/\(Self.pid)/root")
    Folder.makeDirectories("\(Self.root)/\(Self.pid)/fd")
    for file in Self.usual { Folder.write(Self.path(file.name), Array(file.content.utf8)) }
    Folder.link(Self.path("exe"), to: "root/python (deleted)")
    Folder.link(Self.path("fd/600"), to: "/memfd:mlos-agent (deleted)")
  }

  private static func path(_ name: String) -> String { "\(root)/\(pid)/\(name)" }

  func read(_ input: [UInt8]) {
    var pieces = Pieces(input)
    var changed: Set<Int> = []
    while !pieces.isAtEnd {
      let index = Int(pieces.byte()) % Self.usual.count
      changed.insert(index)
      Folder.write(Self.path(Self.usual[index].name), pieces.long())
    }
    let pid = Self.pid
    if let facts = try? proc.facts(of: pid) {
      checkPrintable(facts.name)
      checkPrintable(facts.commandLine)
      precondition(facts.commandLine.utf8.count <= ProcFS.commandLineLimit)
      _ = try? proc.refreshed(facts)
    }
    _ = try? proc.quickFacts(of: pid)
    _ = try? proc.rollup(of: pid)
    for mapping in ((try? proc.mappings(of: pid)) ?? []) + ((try? proc.codeMappings(of: pid)) ?? []) {
      switch mapping.backing {
      case .file(let file): checkPrintable(file.displayPath)
      case .anonymous(let label), .kernel(let label): checkPrintable(label)
      }
    }
    consume(discovery.find(except: []).count)
    for index in changed { Folder.write(Self.path(Self.usual[index].name), Array(Self.usual[index].content.utf8)) }
  }
}
