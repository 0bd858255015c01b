import LinuxPlatform
import Model
import TestKit
import Testing

@Suite struct ProcFSFactsTests {
  @Test(
    "A name with blanks, parentheses or line feeds does not shift the fields behind it",
    arguments: ["a) R 1 (b", "x\ny", "Uid:\t0\t0", "", ")", "((", "a\\nb", "tab\there"])
  func nastyNames(name: String) throws {
    let proc = FakeProc()
    var process = FakeProcess(pid: 42)
    process.name = Array(name.utf8)
    proc.add(process)
    let facts = try ProcFS(root: proc.root).facts(of: 42)
    #expect(facts.name == printable(Array(name.utf8)))
    #expect(facts.identity == ProcessIdentity(pid: 42, startTicks: 12_345))
    #expect(facts.parent == 1)
    #expect(facts.user == 1000)
    #expect(facts.state == "S")
    #expect(facts.processorTicks == 10)
    #expect(facts.minorFaults == 100)
    #expect(facts.majorFaults == 2)
    #expect(facts.residentAnonymous == .kibibytes(160))
    #expect(facts.swap == .kibibytes(12))
    #expect(facts.seccomp == 2)
    #expect(facts.commandLine == "program --flag")
    #expect(facts.resident == Bytes(100 * ProcFS.pageSize))
  }
}
