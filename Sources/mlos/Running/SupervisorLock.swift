import CLinux
import Glibc

/// The lock file of a supervisor, beside its sockets: who holds it wrote its process ID there.
enum SupervisorLock {
  /// A pidfd of the supervisor that serves the folder, alive; nil when there is none or it is not known. The caller closes it.
  static func holder(_ directory: String) -> Int32? {
    let file = open("\(directory)/mlosd.lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 16)
    let count = pread(file, &buffer, buffer.count, 0)
    let digits = buffer.prefix(max(count, 0)).prefix { (0x30...0x39).contains($0) }
    guard let pid = Int32(String(decoding: digits, as: UTF8.self)), pid > 0 else { return nil }
    let descriptor = mlos_linux_pidfd_open(pid, 0)
    guard descriptor >= 0 else { return nil }
    // One that has ended has a pidfd as long as nobody takes note of its end.
    var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&state, 1, 0) == 0 else {
      close(descriptor)
      return nil
    }
    return descriptor
  }
}

/// Tells that names or files in a folder changed, inotify(7).
struct FolderWatch: ~Copyable {
  private let descriptor: Int32

  /// Nil when the folder cannot be watched.
  init?(_ directory: String) {
    descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
    guard descriptor >= 0 else { return nil }
    let mask = UInt32(IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE)
    guard inotify_add_watch(descriptor, directory, mask) >= 0 else { return nil }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Waits for a change since the last call or the end of the process behind `pidfd`; false when the time was over first.
  func awaitChange(orEndOf pidfd: Int32, milliseconds: Int32) -> Bool {
    var states = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0),
    ]
    guard milliseconds > 0, poll(&states, 2, milliseconds) != 0 else { return false }
    var events = [UInt8](repeating: 0, count: 4096)
    while read(descriptor, &events, events.count) > 0 {}
    return true
  }
}
