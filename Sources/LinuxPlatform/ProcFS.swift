import CLinux
import Glibc
import Model

/// Reads /proc. Holds nothing open; every call is safe from any thread and blocks only as long as the kernel takes.
///
/// Errors of all calls: `gone` when the process ended, `notPermitted` when the kernel refuses (ptrace(2), "Ptrace access
/// mode checking"), `malformed` when a file is not as proc(5) says, `tooLarge` beyond the limits below.
public struct ProcFS: Sendable {
  /// Largest smaps read: 64 MiB, about 90,000 mappings; the kernel's default limit is 65,530 mappings a process.
  static let smapsLimit = 64 << 20
  /// Largest of the small files: a stat line is below 1 KiB, a status file below 4 KiB and a CPU list of a big machine.
  static let smallLimit = 256 << 10
  /// Largest environment read: execve(2) takes 6 MiB with the usual limits of a stack.
  static let environmentLimit = 16 << 20
  /// Longest command line kept, in bytes.
  static let commandLineLimit = 4096

  let root: String

  /// - Parameter root: Where procfs is mounted; tests give a tree of their own.
  public init(root: String = "/proc") { self.root = root }

  /// Every process, ascending. Those that end meanwhile may be missing or listed.
  public func pids() throws(PlatformError) -> [Int32] {
    let names = try directoryNames(openPath(root, MLOS_O_PATH | O_DIRECTORY), limit: 5_000_000, "list \(root)")
    return names.compactMap { name in
      guard let first = name.first, (0x31...0x39).contains(first) else { return nil }
      return Int32(String(decoding: name, as: UTF8.self))
    }.sorted()
  }

  /// PID and start time (field 22 of stat).
  public func identity(of pid: Int32) throws(PlatformError) -> ProcessIdentity {
    let stat = try stat(of: pid)
    return ProcessIdentity(pid: pid, startTicks: stat.startTicks)
  }

  /// User and system time used so far by all threads, in clock ticks (`ticksPerSecond`). One small read.
  public func processorTicks(of pid: Int32) throws(PlatformError) -> UInt64 { try stat(of: pid).processorTicks }

  /// Memory of the whole process in one cheap reading (smaps_rollup, Linux 4.14). `mapped` comes from statm.
  public func rollup(of pid: Int32) throws(PlatformError) -> MemoryUsage {
    let directory = try directory(of: pid)
    let text = try contents("smaps_rollup", directory, pid)
    // A process that has no memory any more (a zombie) has an empty file, or none.
    var usage = try Smaps.entries(text).first?.usage ?? MemoryUsage()
    usage.mapped = try StatmLine(contents("statm", directory, pid)).size
    return usage
  }

  /// Forgets which pages of files the process has touched: afterwards `referenced` counts from zero.
  /// Writes 3 to clear_refs (proc(5)); costs the process a minor fault a page at most.
  public func clearReferenced(of pid: Int32) throws(PlatformError) {
    let directory = try directory(of: pid)
    let file = try opened("clear_refs", directory, pid, O_WRONLY)
    do throws(PlatformError) {
      let number = file.descriptor
      _ = try retryingCall("write \(root)/\(pid)/clear_refs") { write(number, "3", 1) }
    } catch { throw goneIfEnded(error, directory) }
  }

  /// Of the environment that the process's program was started with; what it changed since is not seen. Nil when it is not set.
  public func variable(_ name: String, of pid: Int32) throws(PlatformError) -> [UInt8]? {
    let directory = try directory(of: pid)
    let key = Array("\(name)=".utf8)
    let environment = try contents("environ", directory, pid, limit: Self.environmentLimit)
    return environment.split(separator: 0).first { $0.starts(with: key) }.map { Array($0.dropFirst(key.count)) }
  }

  // MARK: Files of one process

  /// Pins the process: reads through it fail with `gone` after its end, even if the PID is given out again.
  func directory(of pid: Int32) throws(PlatformError) -> OpenFile {
    do throws(PlatformError) { return try openPath("\(root)/\(pid)", MLOS_O_PATH | O_DIRECTORY) } catch {
      throw error.code == .notFound ? PlatformError(.gone, errno: error.errno, context: error.context) : error
    }
  }

  func contents(
    _ name: String, _ directory: borrowing OpenFile, _ pid: Int32, limit: Int = ProcFS.smallLimit, expected: Int = 4096
  ) throws(PlatformError) -> [UInt8] {
    let file = try opened(name, directory, pid, O_RDONLY)
    do throws(PlatformError) { return try file.contents(limit: limit, expected: expected, "read \(root)/\(pid)/\(name)") } catch {
      throw goneIfEnded(error, directory)
    }
  }

  private func opened(
    _ name: String, _ directory: borrowing OpenFile, _ pid: Int32, _ flags: Int32
  ) throws(PlatformError) -> OpenFile {
    do throws(PlatformError) { return try openPath(name, in: directory, flags | O_NONBLOCK) } catch {
      var error = error
      error.context = "open \(root)/\(pid)/\(name)"
      throw goneIfEnded(error, directory)
    }
  }

  /// The kernel says ENOENT, ESRCH, EACCES or EPERM of a process that just ended, by file; what it says of `stat` decides.
  private func goneIfEnded(_ error: PlatformError, _ directory: borrowing OpenFile) -> PlatformError {
    guard error.code == .notFound || error.code == .notPermitted || error.code == .gone else { return error }
    guard faccessat(directory.descriptor, "stat", F_OK, 0) != 0 else { return error }
    return PlatformError(.gone, errno: error.errno, context: error.context)
  }

  func stat(of pid: Int32) throws(PlatformError) -> StatLine {
    let file: OpenFile
    do throws(PlatformError) { file = try openPath("\(root)/\(pid)/stat", O_RDONLY | O_NONBLOCK) } catch {
      throw error.code == .notFound ? PlatformError(.gone, errno: error.errno, context: error.context) : error
    }
    return try StatLine(file.contents(limit: Self.smallLimit, expected: 1024, "read \(root)/\(pid)/stat"))
  }
}

extension ProcFS {
  /// Unit of processor and start times: sysconf(_SC_CLK_TCK), 100 on all known systems.
  public static let ticksPerSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
  /// Bytes in a page.
  public static let pageSize = UInt64(max(4096, sysconf(Int32(_SC_PAGESIZE))))

  /// When the machine started, in seconds since 1970: CLOCK_REALTIME less CLOCK_BOOTTIME, taken once so that start times
  /// of processes stay what they are when the clock is adjusted.
  public static let bootTime: Double = seconds(CLOCK_REALTIME) - seconds(CLOCK_BOOTTIME)

  /// Start ticks of a process to seconds since 1970.
  public static func secondsSince1970(startTicks: UInt64) -> Double {
    bootTime + Double(startTicks) / Double(ticksPerSecond)
  }

  /// CLOCK_MONOTONIC nanoseconds to seconds since 1970, by the offset between both clocks now.
  public static func secondsSince1970(monotonicNanoseconds time: UInt64) -> Double {
    seconds(CLOCK_REALTIME) - seconds(CLOCK_MONOTONIC) + Double(time) / 1e9
  }

  private static func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    // These clocks exist on every supported kernel; the call cannot fail.
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
