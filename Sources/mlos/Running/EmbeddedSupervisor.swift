import CLinux
import Glibc

/// Starts a supervisor for a program when none is there.
enum EmbeddedSupervisor {
  /// What the supervisor writes to the descriptor of `--ready-fd` once both sockets accept connections; that it closes the
  /// descriptor without is the sign of failure.
  static let readyByte = UInt8(ascii: "1")
  /// Descriptor it finds open: after the three standard ones.
  static let readyDescriptor = 3
  /// 10 s: a hundred times what a start takes on a slow, busy machine.
  static let patience = Duration.seconds(10)

  /// Where `mlosd` may be, best first.
  static func candidates(executable: String?, path: String?) -> [String] {
    let directory = executable.flatMap { path in path.lastIndex(of: "/").map { String(path[..<$0]) } }
    let search = (path ?? "").split(separator: ":").filter { $0.hasPrefix("/") }.map { "\($0)/mlosd" }
    return (directory.map { ["\($0)/mlosd", "\($0)/../sbin/mlosd", "\($0)/../libexec/mlos/mlosd"] } ?? []) + search
      + ["/usr/sbin/mlosd", "/usr/libexec/mlos/mlosd"]
  }

  /// - Parameter configuration: What `--config` named.
  static func arguments(socket: String, configuration: String?, keepAlive: Bool) -> [String] {
    ["mlosd"] + (keepAlive ? [] : ["--ephemeral"]) + (configuration.map { ["--config", $0] } ?? [])
      + ["--socket", socket, "--ready-fd", "\(readyDescriptor)"]
  }

  /// Of the environment it gets: a supervisor does not watch itself, and what a service manager told the program is not for it,
  /// or it would announce that the program is ready.
  static func environment(_ inherited: [[UInt8]], preload: [UInt8]?) -> [[UInt8]] {
    ProcessImage.environment(
      inherited,
      setting: [
        ("LD_PRELOAD", AgentLibrary.withoutAgent(preload)), ("NOTIFY_SOCKET", nil), ("WATCHDOG_USEC", nil), ("WATCHDOG_PID", nil),
      ])
  }

  /// Starts `executable` and waits until it is ready.
  ///
  /// - Parameter isReachable: Whether a supervisor answers; asked when the new one gave up, since another may have won.
  static func start(
    executable: String, arguments: [String], socket: String, environment: [[UInt8]], isReachable: () -> Bool
  ) throws(Problem) {
    let directory = parent(of: socket)
    try prepare(directory)
    let logPath = "\(directory)/mlosd.log"
    let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard log >= 0 else { throw Problem("\(logPath) cannot be written: \(String(cString: strerror(errno)))") }
    defer { close(log) }
    let logStart = lseek(log, 0, SEEK_END)
    var ends: [Int32] = [0, 0]
    // pipe2(2) is not to be had in Swift; nobody else forks here meanwhile.
    guard pipe(&ends) == 0 else { throw Problem("pipe: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    defer { close(ends[0]) }
    let failure = withCStrings(arguments.map { Array($0.utf8) }) { arguments in
      withCStrings(environment) { environment in
        mlos_linux_spawn_detached(executable, arguments, environment, log, ends[1])
      }
    }
    close(ends[1])
    guard failure == 0 else { throw Problem("\(executable) cannot be started: \(String(cString: strerror(failure)))") }
    switch awaitReady(ends[0], patience: patience) {
    case .ready: return
    case .overdue: throw Problem("\(executable) was not ready within \(patience); its log is \(logPath)")
    case .closed:
      if isReachable() { return }
      let words = tail(of: logPath, from: logStart)
      throw Problem("\(executable) ended without getting ready" + (words.isEmpty ? "" : ":\n" + words))
    }
  }

  enum Readiness: Equatable { case ready, closed, overdue }

  /// Waits for the byte, the end of the pipe or the end of `patience`.
  static func awaitReady(_ descriptor: Int32, patience: Duration) -> Readiness {
    let clock = ContinuousClock()
    let deadline = clock.now + patience
    while true {
      let left = clock.now.duration(to: deadline)
      guard left > .zero else { return .overdue }
      var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      // Rounded up, so that the last turn does not spin.
      let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1
      guard poll(&state, 1, Int32(clamping: milliseconds)) > 0 else { continue }
      var byte: UInt8 = 0
      let count = read(descriptor, &byte, 1)
      if count < 0, errno == EINTR { continue }
      return count == 1 && byte == readyByte ? .ready : .closed
    }
  }

  /// Makes the directory of the sockets; one that somebody else can write is refused, for whoever can swap the socket decides
  /// what the agent obeys.
  private static func prepare(_ directory: String) throws(Problem) {
    if mkdir(directory, geteuid() == 0 ? 0o755 : 0o700) != 0, errno != EEXIST {
      throw Problem("\(directory) cannot be made: \(String(cString: strerror(errno)))")
    }
    var status = stat()
    guard stat(directory, &status) == 0 else { throw Problem("\(directory): \(String(cString: strerror(errno)))") }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw Problem("\(directory) is not a directory") }
    let isSticky = status.st_mode & S_ISVTX != 0
    guard status.st_uid == geteuid() || status.st_uid == 0, status.st_mode & 0o022 == 0 || isSticky else {
      throw Problem("\(directory) is not safe for a socket: others can write there, or own it")
    }
  }

  /// Last lines of what was added to the log since `start`, indented.
  private static func tail(of path: String, from start: off_t) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    let limit = 4096
    let first = max(start, lseek(descriptor, 0, SEEK_END) - off_t(limit))
    let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, used in
      used = max(pread(descriptor, buffer.baseAddress, limit, first), 0)
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(5).map { "  \($0)" }.joined(separator: "\n")
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
    return String(path[..<slash])
  }
}
