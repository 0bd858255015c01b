import Glibc
import Model

/// What threads get of the processors they may use. Safe from any thread; every call reads some small files a thread.
public struct ProcessorMeter: Sendable {
  /// Control groups above one another that are looked at.
  static let depth = 64

  private let proc: ProcFS
  private let root: String

  /// - Parameters:
  ///   - root: `/`; tests give a tree of their own with sys below.
  ///   - procRoot: Where procfs is mounted.
  public init(root: String = "/", procRoot: String = "/proc") {
    proc = ProcFS(root: procRoot)
    self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
  }

  /// See `ProcFS.threadTimes`.
  public func threads(of pid: Int32) throws(PlatformError) -> ThreadTimes { try proc.threadTimes(of: pid) }

  /// By affinity, and by the processor time that control groups grant where their files can be read.
  public func allowance(of pid: Int32, threads: [Int32]) throws(PlatformError) -> ProcessorAllowance {
    guard let text = text("\(root)/sys/devices/system/cpu/online"), let online = ProcessorList.parse(text), !online.isEmpty else {
      throw PlatformError(.malformed, context: "\(root)/sys/devices/system/cpu/online")
    }
    var allowance = ProcessorAllowance(processors: try proc.affinity(of: pid, threads: threads, online: online))
    for (group, quota) in quotas(of: pid) where quota < allowance.quota ?? .infinity {
      allowance.quota = quota
      allowance.quotaGroup = group
    }
    return allowance
  }

  /// The group of the process and those above it that have a limit.
  private func quotas(of pid: Int32) -> [(group: String, processors: Double)] {
    guard let directory = try? proc.directory(of: pid), let lines = try? proc.contents("cgroup", directory, pid) else {
      return []
    }
    var found: [(String, Double)] = []
    for line in lines.split(separator: 0x0A) {
      // `number:controllers:path`; the path may hold colons.
      let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let controllers = String(decoding: parts[1], as: UTF8.self).split(separator: ",")
      let path = String(decoding: parts[2], as: UTF8.self).split(separator: "/").map(String.init)
      // Of a group outside of what this process sees nothing can be read.
      guard !path.contains("..") else { continue }
      if parts[1].isEmpty {
        for mount in ["sys/fs/cgroup", "sys/fs/cgroup/unified"] { found += walk(mount, path) { unified($0) } }
      } else if controllers.contains("cpu") {
        for mount in ["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"] { found += walk(mount, path) { legacy($0) } }
      }
    }
    return found
  }

  private func walk(_ mount: String, _ path: [String], _ quota: (String) -> Double?) -> [(String, Double)] {
    (0...min(path.count, Self.depth)).compactMap { count in
      let group = (["\(root)/\(mount)"] + path.prefix(count)).joined(separator: "/")
      return quota(group).map { (group, $0) }
    }
  }

  /// cpu.max: `quota period`, microseconds; `max` for none.
  private func unified(_ group: String) -> Double? {
    guard let words = text("\(group)/cpu.max").map({ String(decoding: $0, as: UTF8.self).split(separator: " ") }),
      words.count == 2,
      let quota = UInt64(words[0]), let period = UInt64(words[1].filter(\.isNumber)), quota > 0, period > 0
    else { return nil }
    return Double(quota) / Double(period)
  }

  /// cpu.cfs_quota_us is -1 for none.
  private func legacy(_ group: String) -> Double? {
    func number(_ name: String) -> UInt64? {
      text("\(group)/\(name)").flatMap { UInt64(String(decoding: $0, as: UTF8.self).filter(\.isNumber)) }
    }
    guard let text = text("\(group)/cpu.cfs_quota_us"), text.first != UInt8(ascii: "-"), let quota = number("cpu.cfs_quota_us"),
      let period = number("cpu.cfs_period_us"), quota > 0, period > 0
    else { return nil }
    return Double(quota) / Double(period)
  }

  private func text(_ path: String) -> [UInt8]? {
    guard let file = try? openPath(path, O_RDONLY | O_NONBLOCK) else { return nil }
    return try? file.contents(limit: 64 << 10, path)
  }
}
