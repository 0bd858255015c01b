import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct ProcFSFactsTests {
  @Test(
    "A name with blanks, parentheses or line feeds does not shift the fields behind it",
    arguments: ["a) R 1 (b", "x\ny", "Uid:\t0\t0", "", ")", "((", "a\\nb", "tab\there", "\nUid:\t0\t0\t0"])
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
    let quick = try ProcFS(root: proc.root).quickFacts(of: 42)
    #expect(quick.identity == facts.identity)
    #expect(quick.resident == facts.resident)
  }

  @Test(
    "A stat, statm or status that is cut off, absurd or overflowing is refused as malformed",
    arguments: [
      ("stat", ""), ("stat", "42"), ("stat", "42 (a"), ("stat", "42 (a)"), ("stat", "42 (a) S"), ("stat", "42 )a( S 1 1"),
      ("stat", "42 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18"),
      ("stat", "42 (a) S 99999999999 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"),
      ("stat", "42 (a) S 1 2 3 4 5 6 7 8 9 10 18446744073709551615 1 13 14 15 16 17 18 19 20"),
      ("stat", "42 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99999999999999999999999 20"),
      ("statm", ""), ("statm", "1 2"), ("statm", "18446744073709551615 1 1"), ("statm", "-1 1 1"),
      ("status", "Name:\tx\n"), ("status", "Uid:\t1\n"), ("status", "Uid:\t1\t99999999999\n"),
      ("status", "Uid:\t1\t1\nRssAnon:\t18446744073709551615 kB\n"), ("status", "Uid:\t1\t1\nSeccomp:\t9999\n"),
    ])
  func absurdFiles(file: String, text: String) {
    let proc = FakeProc()
    proc.add(FakeProcess(pid: 42))
    proc.tree.write("42/\(file)", text)
    #expect(code { try ProcFS(root: proc.root).facts(of: 42) } == .malformed)
  }

  @Test("No error number of a system call stops the program", arguments: [EBADF, EFAULT, EIO, 0, -1, 4095])
  func errorNumbers(number: Int32) { #expect(PlatformError(errno: number, context: "read").code == .failed) }

  @Test("What could drive a terminal or turn its lines around is escaped")
  func escapes() {
    #expect(printable("a\u{1B}[2J\u{9B}b".utf8) == "a\\x1b[2J\\x9bb")
    #expect(printable("lib\u{202E}os.txt\u{2066}\u{2028}".utf8) == "lib\\u{202e}os.txt\\u{2066}\\u{2028}")
    #expect(printable("日本é\u{301}".utf8) == "日本é\u{301}")
  }

  @Test("A long command line is cut, control characters are escaped")
  func commandLine() throws {
    let proc = FakeProc()
    var process = FakeProcess(pid: 42)
    process.arguments = ["a\u{1B}[2J", String(repeating: "é", count: 5000)]
    proc.add(process)
    let line = try ProcFS(root: proc.root).facts(of: 42).commandLine
    #expect(line.hasPrefix("a\\x1b[2J éé"))
    #expect(line.utf8.count <= 4096)
    #expect(line.utf8.count > 4000)
  }

  @Test("This process is described as it is")
  func ownProcess() throws {
    let files = ProcFS()
    #expect(try files.pids().contains(getpid()))
    let facts = try files.facts(of: getpid())
    #expect(facts.parent == getppid())
    #expect(facts.user == geteuid())
    #expect(facts.resident > .mebibytes(1))
    #expect(facts.threads >= 1)
    #expect(facts.executable?.isEmpty == false)
    #expect(try files.identity(of: getpid()) == facts.identity)
    #expect(try files.processorTicks(of: getpid()) >= facts.processorTicks)
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let age = Double(now.tv_sec) - ProcFS.secondsSince1970(startTicks: facts.identity.startTicks)
    #expect(age > -2 && age < 86_400)
    clock_gettime(CLOCK_MONOTONIC, &now)
    let monotonic = UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    clock_gettime(CLOCK_REALTIME, &now)
    #expect(abs(ProcFS.secondsSince1970(monotonicNanoseconds: monotonic) - Double(now.tv_sec)) < 5)
  }

  @Test("A thread's number is no process, although /proc has a directory of that name")
  func threads() throws {
    let proc = FakeProc()
    proc.add(FakeProcess(pid: 43))
    proc.tree.write("43/status", "Name:\tworker\nTgid:\t42\nPid:\t43\nUid:\t1001\t1000\t1000\t1000\n")
    #expect(code { try ProcFS(root: proc.root).facts(of: 43) } == .gone)
    proc.tree.write("43/status", "Name:\tmain\nTgid:\t43\nPid:\t43\nUid:\t1001\t1000\t1000\t1000\n")
    #expect(try ProcFS(root: proc.root).facts(of: 43).user == 1000)
  }

  @Test("Every question about an ended process is answered with gone")
  func ended() throws {
    let child = try #require(ChildProcess(["cat"]))
    let files = ProcFS()
    let directory = try files.directory(of: child.pid)
    child.end()
    #expect(code { try files.facts(of: child.pid) } == .gone)
    #expect(code { try files.quickFacts(of: child.pid) } == .gone)
    #expect(code { try files.identity(of: child.pid) } == .gone)
    #expect(code { try files.processorTicks(of: child.pid) } == .gone)
    #expect(code { try files.rollup(of: child.pid) } == .gone)
    #expect(code { try files.mappings(of: child.pid) } == .gone)
    #expect(code { try files.clearReferenced(of: child.pid) } == .gone)
    // Ended between two reads of one call.
    #expect(code { try files.contents("smaps", directory, child.pid) } == .gone)
  }

  @Test("Without the right to look the kernel's refusal is told, and what may be read still is")
  func refused() throws {
    guard geteuid() == 0 else {
      print("skipped: giving up capabilities to be refused needs root")
      return
    }
    let child = try #require(ChildProcess(["cat"]))
    child.write("x")
    #expect(child.read() == "x")
    let codes = withoutCapabilities {
      let files = ProcFS()
      return [
        code { try files.mappings(of: child.pid) }, code { try files.rollup(of: child.pid) },
        code { try files.openFile(of: child.pid, path: Array("/etc/passwd".utf8)) },
      ] + ((try? files.facts(of: child.pid).executable) == nil ? [] : [.failed])
    }
    #expect(codes == [.notPermitted, .notPermitted, .notPermitted])
    #expect(withoutCapabilities { (try? ProcFS().facts(of: child.pid))?.parent } == getpid())
  }
}

/// The code of the error `body` ends with, nil for none.
func code<Value: ~Copyable>(_ body: () throws -> Value) -> PlatformError.Code? {
  do {
    _ = try body()
    return nil
  } catch { return (error as? PlatformError)?.code }
}

@Suite struct RefreshTests {
  private static let bottom: UInt64 = 0x7FFC_0000_0000

  private func stage() throws -> (proc: FakeProc, process: FakeProcess, facts: ProcessFacts) {
    let proc = FakeProc()
    var process = FakeProcess(pid: 42)
    process.stackBottom = Self.bottom
    proc.add(process)
    return (proc, process, try ProcFS(root: proc.root).facts(of: 42))
  }

  @Test("As long as no page came or went, status, cmdline and exe are not read again")
  func cheap() throws {
    var (proc, process, facts) = try stage()
    process.userTicks += 7
    process.arguments = ["not read"]
    proc.add(process)
    proc.tree.write("42/status", "nonsense")
    let now = try ProcFS(root: proc.root).refreshed(facts)
    #expect(now.processorTicks == facts.processorTicks + 7)
    facts.processorTicks = now.processorTicks
    #expect(now == facts)
  }

  @Test("Faults bring the figures of status up to date")
  func faults() throws {
    var (proc, process, facts) = try stage()
    process.minorFaults += 1
    process.user = 33
    proc.add(process)
    let now = try ProcFS(root: proc.root).refreshed(facts)
    #expect(now.user == 33)
    #expect(now.commandLine == facts.commandLine)
  }

  @Test("Another program, another name or another process is read whole", arguments: ["program", "name", "process", "hidden"])
  func anew(what: String) throws {
    var (proc, process, facts) = try stage()
    process.arguments = ["second"]
    switch what {
    case "program": process.stackBottom += 4096
    case "name": process.name = Array("other".utf8)
    case "process": process.startTicks += 1
    default: process.stackBottom = 0
    }
    proc.add(process)
    #expect(try ProcFS(root: proc.root).refreshed(facts).commandLine == "second")
  }
}
