import Glibc
import Model

extension HostInspector {
  func tracing() -> Finding {
    let subject = "Looking into other processes"
    guard let scope = proc("sys/kernel/yama/ptrace_scope") else {
      return Finding(
        id: "ptrace", subject: subject, verdict: .works,
        found: "classic rules (no Yama): a user's own processes, for root all")
    }
    let names = ["0": "0, classic", "1": "1, own children only", "2": "2, administrators only", "3": "3, nobody"]
    // Reading /proc asks for PTRACE_MODE_READ, which Yama does not restrict; attaching is.
    return Finding(
      id: "ptrace", subject: subject, verdict: scope == "0" ? .works : .limited,
      found: "Yama ptrace_scope " + (names[scope] ?? scope),
      consequence: scope == "0" ? nil : "reading /proc works; attaching to running processes needs CAP_SYS_PTRACE",
      remedy: scope == "0" ? nil : "run the supervisor as root, or: sysctl kernel.yama.ptrace_scope=0")
  }

  func privileges() -> Finding {
    let subject = "Privileges"
    guard let text = proc("self/status"), let status = try? StatusFile(Array(text.utf8)),
      let set = status.effectiveCapabilities
    else {
      return Finding(id: "privileges", subject: subject, verdict: .unknown, found: "\(procRoot)/self/status is not readable")
    }
    // Bit numbers of capability.h, and what does not work without each.
    let wanted = [
      ("CAP_SYS_PTRACE", 19, "only processes of this user, with no more rights than this one, can be read"),
      ("CAP_SYS_NICE", 23, "other processes' memory cannot be paged out"),
      ("CAP_SYS_RESOURCE", 24, "limits cannot be raised and, before Linux 6.6, no pressure triggers set"),
    ]
    let missing = wanted.filter { set >> UInt64($0.1) & 1 == 0 }
    let user = probes.user()
    let who = user == 0 ? "root" : "user \(user)"
    guard !missing.isEmpty else {
      return Finding(
        id: "privileges", subject: subject, verdict: .works, found: "\(who), " + wanted.map(\.0).joined(separator: ", "))
    }
    let names = missing.map(\.0)
    return Finding(
      id: "privileges", subject: subject, verdict: .limited, found: "\(who) without " + names.joined(separator: ", "),
      consequence: missing.map(\.2).joined(separator: "; "),
      remedy: user == 0
        ? "keep them where the supervisor is started: AmbientCapabilities= of a unit, docker run --cap-add="
          + names.map { String($0.dropFirst(4)) }.joined(separator: " --cap-add=")
        : "run the supervisor as root")
  }

  func openFiles() -> Finding {
    let limit = probes.openFiles()
    // Two descriptors a watched process (socket, pidfd) and as many again for what is read: 1,000 processes.
    let isEnough = limit.hard >= 4096
    func shown(_ number: UInt64) -> String { number > 1 << 40 ? "unlimited" : "\(number)" }
    return Finding(
      id: "open-files", subject: "Limit of open files", verdict: isEnough ? .works : .limited,
      found: "\(shown(limit.soft)) soft, \(shown(limit.hard)) hard",
      consequence: isEnough ? nil : "fewer than 1,000 processes can be watched",
      remedy: isEnough ? nil : "LimitNOFILE=65536 in the unit of mlosd, or: ulimit -n 65536")
  }

  func seccomp() -> Finding {
    let mode = probes.seccomp()
    let actions = proc("sys/kernel/seccomp/actions_avail")
    guard mode >= 0, actions != nil else {
      return Finding(
        id: "seccomp", subject: "System call filters (seccomp)", verdict: .missing,
        found: mode < 0 ? Self.reason(mode) : "no filters", consequence: "plugins cannot be confined to harmless calls",
        remedy: "use a kernel built with CONFIG_SECCOMP_FILTER")
    }
    return Finding(
      id: "seccomp", subject: "System call filters (seccomp)", verdict: .works,
      found: mode == 0 ? "available; this process is not filtered" : "available; this process is filtered")
  }

  func landlock() -> Finding {
    let version = probes.landlock()
    guard version < 0 else {
      return Finding(id: "landlock", subject: "File access rules (Landlock)", verdict: .works, found: "version \(version)")
    }
    return Finding(
      id: "landlock", subject: "File access rules (Landlock)", verdict: .missing, found: Self.reason(version),
      consequence: "plugins are kept from files by namespaces alone",
      remedy: version == -Int(EOPNOTSUPP)
        ? "add landlock to lsm= on the kernel command line" : "use Linux 5.13 or newer built with CONFIG_SECURITY_LANDLOCK")
  }

  func userNamespaces() -> Finding {
    let subject = "User namespaces"
    guard exists("\(procRoot)/self/ns/user"), let number = proc("sys/user/max_user_namespaces") else {
      return Finding(
        id: "user-namespaces", subject: subject, verdict: .missing, found: "not built in",
        consequence: "plugins of a supervisor without root run without namespaces",
        remedy: "use a kernel built with CONFIG_USER_NS")
    }
    var obstacles: [(String, String)] = []
    if number == "0" { obstacles.append(("at most 0", "sysctl user.max_user_namespaces=10000")) }
    if proc("sys/kernel/unprivileged_userns_clone") == "0" {
      obstacles.append(("for root only", "sysctl kernel.unprivileged_userns_clone=1"))
    }
    if proc("sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
      obstacles.append(("restricted by AppArmor", "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile"))
    }
    guard !obstacles.isEmpty else {
      return Finding(id: "user-namespaces", subject: subject, verdict: .works, found: "at most \(number)")
    }
    return Finding(
      id: "user-namespaces", subject: subject, verdict: .limited, found: obstacles.map(\.0).joined(separator: ", "),
      consequence: "plugins of a supervisor without root run without namespaces",
      remedy: obstacles.map(\.1).joined(separator: "; "))
  }
}
