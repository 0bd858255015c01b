import Glibc
import Model

/// Where the kernel tells of want of memory.
public struct PressureFiles: Hashable, Sendable {
  /// /proc/pressure/memory
  public var machine: String
  /// The control group that binds all that is watched, as `MemoryMeter` has it: the root of cgroup v2 as it is seen here.
  public var group: String

  /// - Parameters:
  ///   - root: `/`; tests give a tree of their own with sys below.
  ///   - procRoot: Where procfs is mounted.
  public init(root: String = "/", procRoot: String = "/proc") {
    machine = "\(procRoot)/pressure/memory"
    group = (root.hasSuffix("/") ? String(root.dropLast()) : root) + "/sys/fs/cgroup"
  }

  init(machine: String, group: String) {
    self.machine = machine
    self.group = group
  }

  /// Whether `group` is one of its own and not the root of the machine, which is what `machine` tells of: the root has no type.
  var isGroup: Bool { access("\(group)/cgroup.type", F_OK) == 0 && access("\(group)/memory.pressure", F_OK) == 0 }

  /// Why there is nothing to watch in the group; nil when there is.
  var groupProblem: String? {
    if isGroup { return nil }
    if access("\(group)/cgroup.controllers", F_OK) != 0 {
      return "no cgroup v2 at \(group): controllers are on v1, or it is not mounted"
    }
    if access("\(group)/memory.pressure", F_OK) != 0 { return "\(group) has no memory.pressure" }
    return "\(group) is the machine's root: no group binds"
  }

  /// memory.pressure of the control group of this process, to hand on; nil without cgroup v2.
  public static func ownGroup(procRoot: String = "/proc", root: String = "") -> String? {
    let host = HostInspector(root: root.isEmpty ? "/" : root, procRoot: procRoot)
    guard let mount = host.controlGroups()?.unified,
      let own = host.proc("self/cgroup")?.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })?.dropFirst(3)
    else { return nil }
    return "\(root)\(mount)" + (own == "/" ? "" : own) + "/memory.pressure"
  }

  /// Whether this user may have a trigger on the file: asked for, and given back at once.
  public static func takesTrigger(_ path: String) -> Bool {
    guard let armed = try? armTrigger(path, .unprivileged) else { return false }
    return armed.descriptor >= 0
  }
}

/// A file on which a trigger is armed, for as long as it is open.
struct ArmedTrigger: ~Copyable {
  let file: OpenFile
  let trigger: PressureTrigger

  /// The descriptor, to be closed by the caller.
  consuming func leaked() -> Int32 { file.leaked() }
}

extension PressureTrigger {
  /// The quickest that this process may have.
  static func best(on path: String) throws(PlatformError) -> ArmedTrigger {
    do throws(PlatformError) {
      return ArmedTrigger(file: try armTrigger(path, .quick), trigger: .quick)
    } catch {
      // Without CAP_SYS_RESOURCE a window must be a multiple of 2 s.
      guard error.errno == EINVAL || error.errno == EPERM else { throw error }
      return ArmedTrigger(file: try armTrigger(path, .unprivileged), trigger: .unprivileged)
    }
  }
}

extension OpenFile {
  /// A copy of the descriptor, to be closed by the caller: it outlives this value, and is the same open file.
  func leaked() -> Int32 { fcntl(descriptor, F_DUPFD_CLOEXEC, 0) }
}

/// Asks the kernel for a trigger on a file that it keeps for as long as the file is open.
func armTrigger(_ path: String, _ trigger: PressureTrigger) throws(PlatformError) -> OpenFile {
  let file = try openPath(path, O_RDWR | O_NONBLOCK)
  // Ends with a NUL: without it, or a line end, the kernel cuts off the last digit.
  let bytes = Array(trigger.text.utf8) + [0]
  let descriptor = file.descriptor
  _ = try retryingCall("trigger '\(trigger.text)' on \(path)") { write(descriptor, bytes, bytes.count) }
  return file
}

extension GroupLimitCounts {
  /// - Parameter text: Of memory.events; nil when it is none.
  init?(_ text: String) {
    var counts: [Substring: UInt64] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2, let count = UInt64(words[1]) { counts[words[0]] = count }
    }
    guard let high = counts["high"], let max = counts["max"], let outOfMemory = counts["oom"] else { return nil }
    self.init(high: high, max: max, outOfMemory: outOfMemory, killed: counts["oom_kill"] ?? 0)
  }
}
