import Glibc
import Model

extension ProcFS {
  /// Threads of a process that are read at most; of more the others are left out.
  static let threadLimit = 4_096

  /// What every thread ran and waited since its start (/proc/PID/task/TID/schedstat; that of the process itself tells of its main
  /// thread alone). Needs CONFIG_SCHED_INFO: without it `notFound`. Threads that end meanwhile are left out.
  public func threadTimes(of pid: Int32) throws(PlatformError) -> ThreadTimes {
    let directory = try directory(of: pid)
    let start = try StatLine(contents("stat", directory, pid, expected: 1024)).startTicks
    let at = monotonicTime()
    var threads: [ThreadTime] = []
    var failure: PlatformError?
    for thread in try threadNumbers(directory, pid) {
      do throws(PlatformError) {
        let text = try contents("task/\(thread)/schedstat", directory, pid, expected: 512)
        threads.append(try SchedstatLine(text).of(thread))
      } catch {
        failure = error
      }
    }
    // Not one could be read: not their end is the reason.
    if threads.isEmpty, let failure { throw failure }
    return ThreadTimes(process: ProcessIdentity(pid: pid, startTicks: start), threads: threads, at: at)
  }

  /// Processors in the affinity of any of the threads that are online.
  ///
  /// - Parameter online: What /sys/devices/system/cpu/online says.
  public func affinity(of pid: Int32, threads: [Int32], online: Set<Int>) throws(PlatformError) -> Set<Int> {
    let directory = try directory(of: pid)
    var allowed: Set<Int> = []
    for name in threads.prefix(Self.threadLimit).map({ "task/\($0)/status" }) + ["status"] {
      // Of a thread that has ended the others tell.
      guard allowed.isEmpty || name != "status", let text = try? contents(name, directory, pid) else { continue }
      allowed.formUnion(ProcessorList.allowed(inStatus: text).intersection(online))
      if allowed == online { break }
    }
    guard !allowed.isEmpty else { throw PlatformError(.malformed, context: "\(root)/\(pid)/status: no Cpus_allowed_list") }
    return allowed
  }

  private func threadNumbers(_ directory: borrowing OpenFile, _ pid: Int32) throws(PlatformError) -> [Int32] {
    let names: [[UInt8]]
    do throws(PlatformError) {
      let folder = try openPath("task", in: directory, MLOS_O_PATH | O_DIRECTORY)
      names = try directoryNames(folder, limit: 5_000_000, "list \(root)/\(pid)/task")
    } catch {
      throw error.code == .notFound ? PlatformError(.gone, errno: error.errno, context: error.context) : error
    }
    return Array(names.compactMap { Int32(String(decoding: $0, as: UTF8.self)) }.prefix(Self.threadLimit))
  }
}

/// /proc/PID/task/TID/schedstat: `ran waited turns` (Documentation/scheduler/sched-stats.rst), nanoseconds.
struct SchedstatLine {
  var ran: UInt64
  var waited: UInt64

  init(_ text: [UInt8]) throws(PlatformError) {
    var reader = ByteReader(text)
    guard let ran = reader.decimal(), reader.skip(0x20), let waited = reader.decimal(), reader.skip(0x20) else {
      throw PlatformError(.malformed, context: "schedstat")
    }
    self.ran = ran
    self.waited = waited
  }

  func of(_ thread: Int32) -> ThreadTime { ThreadTime(thread: thread, ran: ran, waited: waited) }
}

/// Lists of processors as the kernel prints them: `0-3,8`.
enum ProcessorList {
  /// NR_CPUS is 8,192 at most.
  static let limit = 8_192

  /// Nil for what is no such list.
  static func parse(_ text: some Sequence<UInt8>) -> Set<Int>? {
    var reader = ByteReader(Array(text))
    var found: Set<Int> = []
    while !reader.isAtEnd, reader.current != 0x0A {
      guard let first = reader.decimal(), first < limit else { return nil }
      var last = first
      if reader.skip(UInt8(ascii: "-")) {
        guard let end = reader.decimal(), end >= first, end < limit else { return nil }
        last = end
      }
      found.formUnion(Int(first)...Int(last))
      guard reader.skip(UInt8(ascii: ",")) || reader.isAtEnd || reader.current == 0x0A else { return nil }
    }
    return found
  }

  /// Of a status file; empty when it does not say. The name of the process cannot forge a line: the kernel escapes its line feeds.
  static func allowed(inStatus text: [UInt8]) -> Set<Int> {
    var reader = ByteReader(text)
    while !reader.isAtEnd {
      let end = reader.lineEnd() ?? text.count
      var line = ByteReader(text, from: reader.position, to: end)
      if line.skip("Cpus_allowed_list:") {
        line.skipBlanks()
        return parse(text[line.position..<end]) ?? []
      }
      reader.position = end + 1
    }
    return []
  }
}
