import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct HostInspectorTests {
  let tree = TemporaryTree()

  /// Writes files, looks, gives the finding with the identifier.
  func finding(_ id: String, _ files: [String: String] = [:], _ change: (inout HostProbes) -> Void = { _ in }) throws -> Finding {
    for (path, text) in files { tree.write(path, text) }
    var inspector = HostInspector(root: tree.path, procRoot: "\(tree.path)/proc")
    inspector.probes.pressureTrigger = { _ in 0 }
    change(&inspector.probes)
    return try #require(inspector.findings().first { $0.id == id })
  }

  @Test(
    "Files decide the verdict",
    arguments: [
      ("swap", "proc/swaps", "Filename Type Size Used Priority\n", Finding.Verdict.limited, "none"),
      ("swap", "proc/swaps", "Filename Type Size\n/dev/zram0 partition 1048576 0 100\n", .works, "1.00 GiB"),
      ("thp", "sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n", .limited, "always"),
      ("thp", "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n", .works, "madvise"),
      ("kernel", "proc/sys/kernel/osrelease", "5.4.0-100-generic\n", .limited, "5.4.0"),
      ("kernel", "proc/sys/kernel/osrelease", "6.1.0\n", .works, "6.1.0"),
      ("kernel", "proc/sys/kernel/osrelease", "strange\n", .unknown, "not readable"),
      ("overcommit", "proc/sys/vm/overcommit_memory", "2\n", .limited, "never"),
      ("ptrace", "proc/sys/kernel/yama/ptrace_scope", "1\n", .limited, "own children"),
      ("ksm", "sys/kernel/mm/ksm/run", "0\n", .limited, "not running"),
      ("cgroup-v2", "proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", .limited, "without cpu"),
      ("cgroup-v2", "proc/self/mounts", "proc /proc proc rw 0 0\n", .missing, "no cgroup"),
      ("container", "proc/1/cgroup", "0::/kubepods/x\n", .limited, "kubepods"),
      ("container", "proc/1/cgroup", "0::/\n", .works, "no sign"),
      ("container", ".dockerenv", "", .limited, "/.dockerenv"),
      ("dpkg", "var/lib/dpkg/info/x.list", "/x\n", .works, "1 packages"),
      ("privileges", "proc/self/status", "Uid:\t0\t0\nCapEff:\t0000000000000000\n", .limited, "CAP_SYS_PTRACE"),
      ("privileges", "proc/self/status", "Uid:\t0\t0\nCapEff:\t000001ffffffffff\n", .works, "CAP_SYS_NICE"),
    ])
  func files(id: String, path: String, text: String, verdict: Finding.Verdict, found: String) throws {
    let finding = try finding(id, [path: text])
    #expect(finding.verdict == verdict)
    #expect(finding.found.contains(found), "\(finding.found)")
  }

  @Test("The supervisor's directory is judged as the supervisor judges it")
  func socketDirectory() throws {
    func finding(_ directory: String) throws -> Finding {
      let inspector = HostInspector(root: tree.path, procRoot: "\(tree.path)/proc", socketDirectory: directory)
      return try #require(inspector.findings().first { $0.id == "runtime-directory" })
    }
    tree.write("sockets/agent.sock", "")
    let directory = "\(tree.path)/sockets"
    for (mode, verdict) in [(0o700, Finding.Verdict.works), (0o755, .works), (0o777, .limited), (0o1777, .works)] {
      #expect(chmod(directory, mode_t(mode)) == 0)
      #expect(try finding(directory).verdict == verdict)
    }
    let fresh = try finding("\(directory)/new")
    #expect(fresh.verdict == .works)
    #expect(fresh.found == "\(directory)/new is made when the supervisor starts")
    #expect(try finding("\(tree.path)/gone/new").verdict == .limited)
  }

  @Test("Controllers bound to v1 are named, with the way out")
  func legacyControllers() throws {
    let mounts = """
      cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu,cpuacct 0 0
      cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,memory 0 0
      cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0
      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0

      """
    let finding = try finding("cgroup-v2", ["proc/self/mounts": mounts, "sys/fs/cgroup/unified/cgroup.controllers": "pids\n"])
    #expect(finding.verdict == .limited)
    #expect(finding.found.hasSuffix("bound to v1: cpu, cpuacct, memory"))
    #expect(finding.consequence?.contains("quotas are unavailable") == true)
    #expect(finding.remedy?.contains("systemd.unified_cgroup_hierarchy=1") == true)
    #expect(finding.remedy?.contains("never changes mounts") == true)
  }

  @Test("Pure v2 with all controllers works")
  func unified() throws {
    let finding = try finding(
      "cgroup-v2",
      [
        "proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
        "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
      ])
    #expect(finding.verdict == .works)
  }

  @Test(
    "What the kernel refuses is said with its reason",
    arguments: [
      ("pidfd", ENOSYS, Finding.Verdict.limited, "5.3"), ("pidfd", EPERM, .limited, "seccomp"),
      ("process-madvise", ENOSYS, .missing, "5.10"), ("landlock", EOPNOTSUPP, .missing, "lsm="),
      ("seccomp", EINVAL, .missing, "CONFIG_SECCOMP_FILTER"), ("psi", EPERM, .limited, "root"),
    ])
  func refused(id: String, error: Int32, verdict: Finding.Verdict, remedy: String) throws {
    let pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    let finding = try finding(
      id, ["proc/pressure/cpu": pressure, "proc/pressure/io": pressure, "proc/pressure/memory": pressure]
    ) {
      $0.pidfdOpen = { -Int(error) }
      $0.processMadvise = { -Int(error) }
      $0.landlock = { -Int(error) }
      $0.seccomp = { -Int(error) }
      $0.pressureTrigger = { _ in -Int(error) }
    }
    #expect(finding.verdict == verdict)
    #expect(finding.found.contains(String(cString: strerror(error))))
    #expect(finding.remedy?.contains(remedy) == true, "\(finding.remedy ?? "")")
  }

  @Test("On an empty machine nothing crashes, and everything that falls short says what follows")
  func emptyMachine() {
    let findings = HostInspector(root: tree.path, procRoot: "\(tree.path)/proc").findings()
    #expect(Set(findings.map(\.id)).count == findings.count)
    for finding in findings where finding.verdict == .limited || finding.verdict == .missing {
      #expect(finding.consequence != nil, "\(finding.id)")
    }
  }

  @Test("This machine's own findings agree with its files")
  func thisMachine() throws {
    let findings = HostInspector().findings()
    let swap = try #require(findings.first { $0.id == "swap" })
    let areas = try openPath("/proc/swaps", O_RDONLY).contents(limit: 65_536, "swaps").split(separator: 0x0A).count - 1
    #expect((swap.verdict == .limited) == (areas == 0))
    #expect((swap.remedy != nil) == (areas == 0))
    let mounts = String(decoding: try openPath("/proc/self/mounts", O_RDONLY).contents(limit: 1 << 20, "mounts"), as: UTF8.self)
    let cgroup = try #require(findings.first { $0.id == "cgroup-v2" })
    if mounts.contains(" /sys/fs/cgroup/memory cgroup ") {
      #expect(cgroup.verdict == .limited && cgroup.found.contains("memory") && cgroup.remedy != nil)
    }
    #expect(findings.first { $0.id == "referenced" }?.verdict == .works)
  }
}
