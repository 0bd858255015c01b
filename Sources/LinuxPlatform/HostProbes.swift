import CLinux
import Glibc
import Model

/// System calls that tell what the running kernel allows, each harmless and without a trace. 0 or more: it works, and how
/// far; below 0: minus errno. Tests put their own in.
struct HostProbes: Sendable {
  /// pidfd_open(2) on this process.
  var pidfdOpen: @Sendable () -> Int
  /// process_madvise(2) on this process with no ranges.
  var processMadvise: @Sendable () -> Int
  /// prctl(PR_GET_MEMORY_MERGE).
  var memoryMerge: @Sendable () -> Int
  /// Landlock's version.
  var landlock: @Sendable () -> Int
  /// prctl(PR_GET_SECCOMP).
  var seccomp: @Sendable () -> Int
  /// Registers the pressure trigger that the supervisor would on a file, and takes it back at once by closing it; its window in
  /// microseconds.
  var pressureTrigger: @Sendable (_ path: String) -> Int
  /// Soft and hard limit of open files.
  var openFiles: @Sendable () -> (soft: UInt64, hard: UInt64)
  /// Effective user.
  var user: @Sendable () -> UInt32
  /// gnu_get_libc_version(3).
  var libcVersion: @Sendable () -> String

  private static func outcome(_ result: Int) -> Int { result < 0 ? -Int(errno) : result }

  static let live = HostProbes(
    pidfdOpen: {
      let descriptor = mlos_linux_pidfd_open(getpid(), 0)
      let result = outcome(Int(descriptor))
      if descriptor >= 0 { close(descriptor) }
      return min(result, 0)
    },
    processMadvise: {
      let descriptor = mlos_linux_pidfd_open(getpid(), 0)
      guard descriptor >= 0 else { return -Int(errno) }
      defer { close(descriptor) }
      // MADV_COLD: for no range at all.
      return outcome(mlos_linux_process_madvise(descriptor, nil, 0, 20))
    },
    memoryMerge: { outcome(Int(mlos_linux_memory_merge())) },
    landlock: { outcome(Int(mlos_linux_landlock_version())) },
    seccomp: { outcome(Int(mlos_linux_seccomp_mode())) },
    pressureTrigger: { path in
      do throws(PlatformError) {
        return Int(try PressureTrigger.best(on: path).trigger.windowMicroseconds)
      } catch {
        return -Int(error.errno ?? EINVAL)
      }
    },
    openFiles: {
      var limit = rlimit()
      guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return (0, 0) }
      return (UInt64(limit.rlim_cur), UInt64(limit.rlim_max))
    },
    user: { geteuid() },
    libcVersion: { String(cString: mlos_linux_libc_version()) })
}
