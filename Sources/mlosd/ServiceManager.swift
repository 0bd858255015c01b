import Glibc

/// sd_notify(3)'s protocol: one datagram with lines `KEY=VALUE` to $NOTIFY_SOCKET. Does nothing when not started by systemd.
struct ServiceManager: Sendable {
  private let address: [UInt8]?
  /// Half of what systemd allows between two signs of life; nil when it does not watch.
  let watchdogSeconds: Double?

  init(environment: [String: String]) {
    address = environment["NOTIFY_SOCKET"].flatMap { path in
      guard path.hasPrefix("/") || path.hasPrefix("@"), path.utf8.count < 108 else { return nil }
      return Array(path.utf8)
    }
    let watched = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
    watchdogSeconds = watched ? environment["WATCHDOG_USEC"].flatMap(Double.init).map { $0 / 2e6 } : nil
  }

  func notify(_ lines: String) {
    guard var path = address else { return }
    // A leading @ stands for the NUL of an abstract address.
    if path[0] == UInt8(ascii: "@") { path[0] = 0 }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    var target = sockaddr_un()
    target.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: path) }
    let size = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
    let message = Array(lines.utf8)
    _ = withUnsafePointer(to: &target) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL), $0, size)
      }
    }
  }
}
