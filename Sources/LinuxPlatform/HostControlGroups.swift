import Glibc

import Model

extension HostInspector {
  /// What is mounted, from /proc/self/mounts.
  struct ControlGroups {
    /// Mount point of the v2 hierarchy.
    var unified: String?
    /// Controllers bound to v1 hierarchies.
    var legacy: [String] = []
  }

  func controlGroups() -> ControlGroups? {
    guard let mounts = proc("self/mounts") else { return nil }
    var groups = ControlGroups()
    // Words in the options of a v1 mount that are no controllers.
    let options: Set<Substring> = [
      "rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime", "xattr", "none", "clone_children",
    ]
    for line in mounts.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count >= 4 else { continue }
      if fields[2] == "cgroup2", groups.unified == nil { groups.unified = String(fields[1]) }
      if fields[2] == "cgroup" {
        groups.legacy += fields[3].split(separator: ",").filter { !options.contains($0) && !$0.contains("=") }.map(String.init)
      }
    }
    groups.legacy = Set(groups.legacy).sorted()
    return groups
  }

  func cgroup() -> Finding {
    let subject = "cgroup v2 controllers"
    guard let groups = controlGroups() else {
      return Finding(id: "cgroup-v2", subject: subject, verdict: .unknown, found: "\(procRoot)/self/mounts is not readable")
    }
    let needed = ["cpu", "io", "memory", "pids"]
    let available =
      groups.unified.flatMap { text("\(root)\($0)/cgroup.controllers") }?.split(separator: " ").map(String.init) ?? []
    let missing = needed.filter { !available.contains($0) }
    guard !missing.isEmpty else {
      return Finding(
        id: "cgroup-v2", subject: subject, verdict: .works,
        found: "\(groups.unified ?? ""): " + available.joined(separator: " ") + (groups.legacy.isEmpty ? "" : "; v1 holds others")
      )
    }
    let remedy =
      "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all on the kernel command line; MLOS never changes mounts"
    if !groups.legacy.isEmpty {
      let kind = groups.unified == nil ? "v1" : "hybrid: v2 at \(groups.unified!) without \(missing.joined(separator: ", "))"
      return Finding(
        id: "cgroup-v2", subject: subject, verdict: .limited,
        found: "\(kind); bound to v1: " + groups.legacy.joined(separator: ", "),
        consequence: "quotas are unavailable: a controller bound to v1 cannot be used in v2", remedy: remedy)
    }
    guard groups.unified != nil else {
      return Finding(
        id: "cgroup-v2", subject: subject, verdict: .missing, found: "no cgroup file system is mounted",
        consequence: "quotas are unavailable", remedy: "mount -t cgroup2 none /sys/fs/cgroup; MLOS never changes mounts")
    }
    return Finding(
      id: "cgroup-v2", subject: subject, verdict: .limited, found: "v2 without " + missing.joined(separator: ", "),
      consequence: "quotas on these are unavailable",
      remedy: "have them delegated: systemctl edit user@.service, Delegate=\(needed.joined(separator: " "))")
  }

  func cgroupReclaim() -> Finding {
    let subject = "memory.reclaim"
    guard let unified = controlGroups()?.unified else {
      return Finding(
        id: "memory-reclaim", subject: subject, verdict: .missing, found: "no cgroup v2",
        consequence: "memory of a whole group cannot be reclaimed on request", remedy: "see cgroup-v2")
    }
    // The root of the machine has no such file; the group of this process or any below has.
    let own = proc("self/cgroup")?.split(separator: "\n").first { $0.hasPrefix("0::") }?.dropFirst(3) ?? "/"
    let group = own == "/" ? "\(root)\(unified)" : "\(root)\(unified)\(own)"
    if exists("\(group)/memory.reclaim") {
      return Finding(id: "memory-reclaim", subject: subject, verdict: .works, found: "\(group)/memory.reclaim")
    }
    let hasMemory = text("\(root)\(unified)/cgroup.controllers")?.split(separator: " ").contains("memory") ?? false
    let release = proc("sys/kernel/osrelease").flatMap { Self.version($0) }
    if hasMemory, own == "/", let release, release >= (5, 19) {
      return Finding(
        id: "memory-reclaim", subject: subject, verdict: .works, found: "Linux 5.19 or newer with the memory controller in v2")
    }
    return Finding(
      id: "memory-reclaim", subject: subject, verdict: .missing,
      found: hasMemory ? "not in \(group)" : "the memory controller is not in v2",
      consequence: "memory of a whole group cannot be reclaimed on request",
      remedy: hasMemory ? "install a kernel of version 5.19 or newer" : "see cgroup-v2")
  }

  func pressure() -> Finding {
    let subject = "Pressure stall information"
    let files = ["cpu", "io", "memory"]
    let readable = files.filter { proc("pressure/\($0)")?.hasPrefix("some ") ?? false }
    guard readable.count == files.count else {
      return Finding(
        id: "psi", subject: subject, verdict: readable.isEmpty ? .missing : .limited,
        found: readable.isEmpty
          ? "\(procRoot)/pressure is not there or not readable" : "only " + readable.joined(separator: ", "),
        consequence: "stalls are not seen: only levels of memory are", remedy: "boot with psi=1 on the kernel command line")
    }
    let trigger = probes.pressureTrigger("\(procRoot)/pressure/memory")
    guard trigger < 0 else {
      let window = trigger == Int(PressureTrigger.unprivileged.windowMicroseconds) ? " of 2 s (0.5 s need CAP_SYS_RESOURCE)" : ""
      let group = PressureFiles(root: root, procRoot: procRoot).groupProblem ?? "the container's group has them, too"
      return Finding(
        id: "psi", subject: subject, verdict: .works,
        found: "cpu, io and memory are readable; triggers\(window) can be set on the machine's; \(group)")
    }
    return Finding(
      id: "psi", subject: subject, verdict: .limited, found: "readable; setting a trigger: \(Self.reason(trigger))",
      consequence: "pressure is noticed by looking regularly, not at once",
      remedy: "run the supervisor as root, or use Linux 6.6 or newer")
  }
}
