import Glibc
import Model

/// How full the memory is that binds everything watched: the container's limit where there is one, else the machine. Reads
/// three or four small files a call; safe from any thread.
public struct MemoryMeter: Sendable {
  private let root: String
  private let procRoot: String

  /// - Parameters:
  ///   - root: `/`; tests give a tree of their own with sys below.
  ///   - procRoot: Where procfs is mounted.
  public init(root: String = "/", procRoot: String = "/proc") {
    self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
    self.procRoot = procRoot
  }

  /// - Returns: Nil when /proc/meminfo does not say what is needed. `stall` is left to who knows the reading before.
  public func pressure() -> MemoryPressure? {
    guard let machine = machine() else { return nil }
    var binding = machine
    for group in [unified(), legacy()] {
      // A limit above what the machine has binds nothing.
      if let group, group.limit > .zero, group.limit < machine.limit, group.share > binding.share { binding = group }
    }
    return binding
  }

  /// Microseconds since the start of the machine, or of the control group in which all that is watched lives, in which something
  /// waited for memory (PSI `some`); nil when the kernel does not say.
  public func stalledMicroseconds() -> UInt64? {
    // The group's where there is one, whatever binds: its processes wait for want of the machine's memory, too, and a sum that
    // changes its source from one look to the next would say nothing.
    let files = PressureFiles(root: root, procRoot: procRoot)
    let path = files.isGroup ? "\(files.group)/memory.pressure" : files.machine
    guard let line = text(path, limit: 4096)?.split(separator: "\n").first, line.hasPrefix("some "),
      let total = line.split(separator: " ").last, total.hasPrefix("total=")
    else { return nil }
    return UInt64(total.dropFirst(6))
  }

  /// Swap in use on the machine; nil when /proc/meminfo does not say.
  public func swapUsed() -> Bytes? {
    let found = fields(["SwapTotal", "SwapFree"])
    guard let total = found["SwapTotal"], let free = found["SwapFree"] else { return nil }
    return total - free
  }

  /// What a swap could still take; nil when /proc/meminfo does not say.
  public func swapFree() -> Bytes? { fields(["SwapFree"])["SwapFree"] }

  private func machine() -> MemoryPressure? {
    let found = fields(["MemTotal", "MemAvailable"])
    guard let total = found["MemTotal"], let available = found["MemAvailable"], total > .zero else { return nil }
    return MemoryPressure(used: total - available, limit: total)
  }

  private func fields(_ names: Set<String>) -> [String: Bytes] {
    var found: [String: Bytes] = [:]
    for line in (text("\(procRoot)/meminfo", limit: 64 << 10) ?? "").split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 3, words[2] == "kB", words[0].last == ":", let count = UInt64(words[1]), count <= UInt64.max >> 10
      else {
        continue
      }
      let name = String(words[0].dropLast())
      if names.contains(name) { found[name] = .kibibytes(count) }
    }
    return found
  }

  /// The root of the hierarchy as it is seen here has a limit only in a container with a cgroup namespace.
  private func unified() -> MemoryPressure? {
    let folder = "\(root)/sys/fs/cgroup"
    guard let used = number("\(folder)/memory.current") else { return nil }
    // Beyond `high` the kernel slows the group down: it binds like a maximum.
    guard let limit = [number("\(folder)/memory.max"), number("\(folder)/memory.high")].compactMap(\.self).min() else {
      return nil
    }
    return group(used, limit, caches: "\(folder)/memory.stat", ["active_file", "inactive_file"], "cgroup /")
  }

  private func legacy() -> MemoryPressure? {
    let folder = "\(root)/sys/fs/cgroup/memory"
    guard let used = number("\(folder)/memory.usage_in_bytes"), let limit = number("\(folder)/memory.limit_in_bytes") else {
      return nil
    }
    return group(used, limit, caches: "\(folder)/memory.stat", ["total_active_file", "total_inactive_file"], "cgroup v1 /")
  }

  /// What the page cache holds can be had back, as MemAvailable counts it.
  private func group(_ used: Bytes, _ limit: Bytes, caches path: String, _ names: [String], _ source: String) -> MemoryPressure {
    var cached = Bytes.zero
    for line in (text(path, limit: 64 << 10) ?? "").split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2, names.contains(String(words[0])), let count = UInt64(words[1]) { cached += Bytes(count) }
    }
    return MemoryPressure(used: used - cached, limit: limit, source: source)
  }

  /// A file with one number; `max` is none.
  private func number(_ path: String) -> Bytes? {
    text(path, limit: 64).flatMap { UInt64($0) }.map { Bytes($0) }
  }

  private func text(_ path: String, limit: Int) -> String? {
    guard let file = try? openPath(path, O_RDONLY | O_NONBLOCK), let bytes = try? file.contents(limit: limit, path) else {
      return nil
    }
    return String(decoding: bytes.reversed().drop { $0 == 0x0A }.reversed(), as: UTF8.self)
  }
}
