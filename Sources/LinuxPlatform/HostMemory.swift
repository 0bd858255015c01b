import Glibc
import Model

extension HostInspector {
  func swap() -> Finding {
    let subject = "Swap"
    guard let table = proc("swaps") else {
      return Finding(id: "swap", subject: subject, verdict: .unknown, found: "\(procRoot)/swaps is not readable")
    }
    var areas: [String] = []
    var total = Bytes.zero
    for line in table.split(separator: "\n").dropFirst() {
      let fields = line.split { $0 == " " || $0 == "\t" }
      guard fields.count >= 4, let size = UInt64(fields[2]), size <= UInt64.max >> 10 else { continue }
      areas.append("\(fields[0]) \(Bytes.kibibytes(size))")
      total += .kibibytes(size)
    }
    guard !areas.isEmpty else {
      return Finding(
        id: "swap", subject: subject, verdict: .limited, found: "none, no zram either",
        consequence: "page-out of anonymous memory (heaps, models) is impossible; pages of files can be",
        remedy: "compressed memory: apt install zram-tools; or a file: fallocate -l 4G /swapfile && chmod 600 /swapfile && "
          + "mkswap /swapfile && swapon /swapfile")
    }
    return Finding(
      id: "swap", subject: subject, verdict: .works,
      found: areas.joined(separator: ", ") + (areas.count > 1 ? "; together \(total)" : ""))
  }

  func merging() -> Finding {
    let subject = "Merging of equal pages (KSM)"
    guard let run = system("sys/kernel/mm/ksm/run") else {
      return Finding(
        id: "ksm", subject: subject, verdict: .missing, found: "\(root)/sys/kernel/mm/ksm is not there",
        consequence: "equal pages of several processes are not shared", remedy: "use a kernel built with CONFIG_KSM")
    }
    let perProcess = probes.memoryMerge()
    let optIn = perProcess < 0 ? "no opt-in by process (\(Self.reason(perProcess)))" : "opt-in by process (PR_SET_MEMORY_MERGE)"
    guard run == "1" else {
      return Finding(
        id: "ksm", subject: subject, verdict: .limited, found: "there but not running (run = \(run)); \(optIn)",
        consequence: "equal pages of several processes are not shared", remedy: "echo 1 > /sys/kernel/mm/ksm/run")
    }
    let saved = system("sys/kernel/mm/ksm/pages_sharing").flatMap { UInt64($0) }
    let amount = saved.map { ", \($0) pages saved" } ?? ""
    return Finding(
      id: "ksm", subject: subject, verdict: perProcess < 0 ? .limited : .works, found: "running\(amount); \(optIn)",
      consequence: perProcess < 0 ? "only memory a program marks itself is merged" : nil,
      remedy: perProcess < 0 ? "install a kernel of version 6.4 or newer" : nil)
  }

  func hugePages() -> Finding {
    let subject = "Transparent huge pages"
    guard let setting = system("sys/kernel/mm/transparent_hugepage/enabled").flatMap({ Self.chosen($0) }) else {
      return Finding(id: "thp", subject: subject, verdict: .works, found: "not built in")
    }
    let isAlways = setting == "always"
    return Finding(
      id: "thp", subject: subject, verdict: isAlways ? .limited : .works, found: setting,
      consequence: isAlways ? "small heaps are rounded up to 2 MiB pages: programs look and are bigger" : nil,
      remedy: isAlways ? "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled" : nil)
  }

  func overcommit() -> Finding {
    let subject = "Memory overcommit"
    guard let mode = proc("sys/vm/overcommit_memory") else {
      return Finding(id: "overcommit", subject: subject, verdict: .unknown, found: "\(procRoot)/sys/vm is not readable")
    }
    let names = ["0": "0, by estimate", "1": "1, always", "2": "2, never"]
    return Finding(
      id: "overcommit", subject: subject, verdict: mode == "2" ? .limited : .works, found: names[mode] ?? mode,
      consequence: mode == "2" ? "programs that reserve much address space fail early, whatever is reclaimed" : nil,
      remedy: mode == "2" ? "sysctl vm.overcommit_memory=0" : nil)
  }

  /// Clears the marks of this very process: harmless, they count from zero afterwards.
  func pageReferences() -> Finding {
    let subject = "Seeing which pages are in use"
    let files = ProcFS(root: procRoot)
    do throws(PlatformError) {
      try files.clearReferenced(of: getpid())
      let usage = try files.rollup(of: getpid())
      return Finding(
        id: "referenced", subject: subject, verdict: .works,
        found: "clear_refs and Referenced work (\(usage.referenced) of \(usage.resident) in use by this program)")
    } catch {
      return Finding(
        id: "referenced", subject: subject, verdict: .missing, found: "\(error)",
        consequence: "idle libraries cannot be told from used ones",
        remedy: "use a kernel built with CONFIG_PROC_PAGE_MONITOR")
    }
  }

  func processMadvise() -> Finding {
    call(
      "process_madvise", probes.processMadvise(), id: "process-madvise", subject: "Paging out other processes' memory",
      without: (.missing, "only processes with the agent can page out their own memory"), since: "5.10")
  }

  func processHandles() -> Finding {
    call(
      "pidfd_open", probes.pidfdOpen(), id: "pidfd", subject: "Process handles",
      without: (.limited, "the end of a process is noticed by looking, and a reused PID by its start time"), since: "5.3")
  }

  /// A system call that was tried: what it answered, and what is lost without it.
  private func call(
    _ name: String, _ result: Int, id: String, subject: String, without: (verdict: Finding.Verdict, consequence: String),
    since version: String
  ) -> Finding {
    guard result < 0 else { return Finding(id: id, subject: subject, verdict: .works, found: "\(name) works") }
    return Finding(
      id: id, subject: subject, verdict: without.verdict, found: "\(name): \(Self.reason(result))",
      consequence: without.consequence, remedy: Self.remedy(result, version))
  }

  static func remedy(_ result: Int, _ version: String) -> String {
    result == -Int(ENOSYS)
      ? "install a kernel of version \(version) or newer"
      : "a seccomp filter or container forbids the call: allow it there, or run the supervisor on the host"
  }
}
