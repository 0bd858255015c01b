import Glibc

/// What must hold of this process before anything else is done.
enum StartConditions {
  /// 64: some 20 for the supervisor's own work, a few for who asks, and at least one agent's three. With fewer, the event loops of
  /// the control API could not be made, which ends a process without a word.
  static let leastDescriptors: rlim_t = 64

  /// Puts /dev/null in the place of closed standard descriptors.
  static func openStandardDescriptors() {
    while true {
      let descriptor = open("/dev/null", O_RDWR)
      guard (0...STDERR_FILENO).contains(descriptor) else {
        if descriptor > STDERR_FILENO { close(descriptor) }
        return
      }
    }
  }

  /// Raises the soft limit of open files as far as it goes: three descriptors an agent, and 1,024 would end at some 300 of them.
  static func raiseDescriptorLimit() throws(StartError) {
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard getrlimit(kind, &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(kind, &limit)
    guard limit.rlim_max >= leastDescriptors else {
      throw StartError(
        "the limit of open files is \(limit.rlim_max), and at least \(leastDescriptors) are needed: raise it (ulimit -n, LimitNOFILE=)"
      )
    }
  }
}
