import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct AgentDiscoveryTests {
  @Test(
    "An agent is found by its library in maps, also when the file was replaced since",
    arguments: [
      ("/opt/mlos/libmlosagent.so", true), ("/opt/mlos/libmlosagent.so (deleted)", true), ("/opt/libmlosagent.so.old", false),
      ("/opt/notlibmlosagent.so", false), ("/opt/libmlosagent.so (deleted) ", false),
    ])
  func library(path: String, isFound: Bool) {
    let proc = FakeProc()
    proc.add(FakeProcess(pid: 42))
    proc.tree.write(
      "42/maps", "5000-6000 r-xp 0 08:01 1 /bin/true\n7000-8000 r--p 00000000 08:01 77      \(path)\n8000-9000 rw-p 0 0:0 0\n")
    proc.tree.write("42/environ", "A=1\0MLOS_SOCKET=/run/mlos/agent.sock\0")
    func found(_ socket: String, except known: Set<Int32> = []) -> [Int32] {
      AgentDiscovery(socket: socket, isDefaultSocket: false, root: proc.root).find(except: known).map(\.pid)
    }
    #expect(found("/run/mlos/agent.sock") == (isFound ? [42] : []))
    #expect(found("/another/agent.sock") == [])
    #expect(found("/run/mlos/agent.sock", except: [42]) == [])
  }
}
