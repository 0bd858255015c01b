import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct ProcessorMeterTests {
  private let proc = FakeProc()
  private let tree = TemporaryTree()
  private var meter: ProcessorMeter { ProcessorMeter(root: tree.path, procRoot: proc.root) }

  private func add(_ threads: [(number: Int, schedstat: String, allowed: String)], cgroup: String = "") {
    proc.add(FakeProcess(pid: 42))
    proc.tree.makeDirectory("42/task")
    for thread in threads {
      proc.tree.write("42/task/\(thread.number)/schedstat", thread.schedstat)
      proc.tree.write("42/task/\(thread.number)/status", "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t\(thread.allowed)\n")
    }
    proc.tree.write("42/cgroup", cgroup)
    tree.write("sys/devices/system/cpu/online", "0-3\n")
  }

  @Test("every thread has its own figures") func threads() throws {
    add([(42, "159256 6265250 2\n", "0-1"), (43, "7 8 1\n", "2")])
    let times = try meter.threads(of: 42)
    #expect(times.process == ProcessIdentity(pid: 42, startTicks: 12_345) && times.at > 0)
    #expect(
      times.threads == [
        ThreadTime(thread: 42, ran: 159_256, waited: 6_265_250), ThreadTime(thread: 43, ran: 7, waited: 8),
      ])
  }

  @Test("a thread that ends meanwhile is left out; without one that can be read there are no figures") func ending() throws {
    add([(42, "1 2 3\n", "0")])
    proc.tree.makeDirectory("42/task/43")
    #expect(try meter.threads(of: 42).threads.map(\.thread) == [42])
    proc.tree.write("42/task/42/schedstat", "1\n")
    #expect(throws: PlatformError.self) { try meter.threads(of: 42) }
    #expect(throws: PlatformError.self) { try meter.threads(of: 41) }
  }

  @Test(
    "what is no schedstat is refused", arguments: ["", "1", "1 ", "1 2", "-1 2 3\n", "99999999999999999999 2 3\n", "a b c\n"])
  func schedstat(_ text: String) { #expect(throws: PlatformError.self) { try SchedstatLine(Array(text.utf8)) } }

  @Test(
    "lists of processors",
    arguments: [
      ("0-3,8\n", [0, 1, 2, 3, 8]), ("5", [5]), ("\n", []), ("", []), ("3-1", nil), ("0-9999999", nil), ("0,", [0]), ("0;1", nil),
      ("-1", nil), ("1--2", nil), ("8192", nil),
    ] as [(String, [Int]?)])
  func lists(_ text: String, _ expected: [Int]?) {
    #expect(ProcessorList.parse(Array(text.utf8)).map { $0.sorted() } == expected)
  }

  @Test("affinities are joined, as far as processors are online") func affinity() throws {
    add([(42, "1 1 1\n", "0-127"), (43, "1 1 1\n", "2"), (44, "1 1 1\n", "1")])
    #expect(try meter.allowance(of: 42, threads: [43, 44]) == ProcessorAllowance(processors: [1, 2]))
    #expect(try meter.allowance(of: 42, threads: [42]).processors == [0, 1, 2, 3])
    // The one that ran has ended.
    proc.tree.write("42/status", "Uid:\t1\t1\t1\t1\nCpus_allowed_list:\t3\n")
    #expect(try meter.allowance(of: 42, threads: [99]).processors == [3])
    proc.tree.write("42/status", "Uid:\t1\t1\t1\t1\n")
    #expect(throws: PlatformError.self) { try meter.allowance(of: 42, threads: []) }
  }

  @Test("the lowest limit of the group and those above it counts") func quota() throws {
    add([(42, "1 1 1\n", "0-3")], cgroup: "1:cpu:/\n0::/a:b/c\n")
    tree.write("sys/fs/cgroup/cpu.max", "max 100000\n")
    tree.write("sys/fs/cgroup/a:b/cpu.max", "150000 100000\n")
    tree.write("sys/fs/cgroup/a:b/c/cpu.max", "200000 100000\n")
    let found = try meter.allowance(of: 42, threads: [42])
    #expect(found.quota == 1.5 && found.quotaGroup?.hasSuffix("/a:b") == true && found.count == 1.5)
    tree.write("sys/fs/cgroup/a:b/cpu.max", "nonsense\n")
    #expect(try meter.allowance(of: 42, threads: [42]).quota == 2)
  }

  @Test("the first hierarchy counts, -1 is no limit, and nothing outside is read") func legacy() throws {
    add([(42, "1 1 1\n", "0-3")], cgroup: "4:cpu,cpuacct:/g\n0::/../../outside\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_quota_us", "50000\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_period_us", "100000\n")
    tree.write("outside/cpu.max", "1 100000\n")
    #expect(try meter.allowance(of: 42, threads: [42]).quota == 0.5)
  }

  @Test("a real process") func real() throws {
    let meter = ProcessorMeter()
    let times = try meter.threads(of: getpid())
    #expect(times.threads.contains { $0.ran > 0 })
    let allowance = try meter.allowance(of: getpid(), threads: times.threads.map(\.thread))
    #expect(!allowance.processors.isEmpty && allowance.count > 0)
  }
}
