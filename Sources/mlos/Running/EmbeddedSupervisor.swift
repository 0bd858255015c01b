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
  /// 30 s: for all of it, other supervisors' starts and ends included.
  static let longestWait = Duration.seconds(30)
  /// What `mlosd` says when it finds the lock of its folder held.
  private static let lostWords = "another supervisor"

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
        ("MEMORY_PRESSURE_WATCH", nil), ("MEMORY_PRESSURE_WRITE", nil),
        // It starts in another directory.
        ("MLOS_CONFIG", ProcessImage.value(of: "MLOS_CONFIG", in: inherited).map { absolutePath($0) }),
      ])
  }

  /// How a supervisor came to be there.
  enum Outcome: Equatable { case started, found }

  /// Starts `executable` and waits until it is ready; waits for another supervisor instead where one is about to be.
  ///
  /// Programs that are started together all come here. One at a time may start a supervisor, the others then find it. A
  /// supervisor that somebody else starts, or one that is about to end, holds the lock of the folder: it is waited for until it
  /// listens or is gone.
  ///
  /// - Parameter isReachable: Whether a supervisor listens.
  static func start(
    executable: String, arguments: [String], socket: String, environment: [[UInt8]], isReachable: () -> Bool
  ) throws(Problem) -> Outcome {
    let deadline = ContinuousClock.now + longestWait
    let directory = parent(of: socket)
    try prepare(directory)
    let logPath = "\(directory)/mlosd.log"
    let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard log >= 0 else { throw Problem("\(logPath) cannot be written: \(String(cString: strerror(errno)))") }
    defer { close(log) }
    // Opened again, for the supervisor shares the description behind `log` and would keep a lock on it.
    let turn = open(logPath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard turn >= 0 else { throw Problem("\(logPath) cannot be read: \(String(cString: strerror(errno)))") }
    defer { close(turn) }
    guard mlos_linux_lock_within(turn, milliseconds(until: deadline)) == 0 else {
      throw Problem("a supervisor that another `mlos run` starts was not ready within \(longestWait); its log is \(logPath)")
    }
    var attempts = 0
    while true {
      if isReachable() { return .found }
      guard ContinuousClock.now < deadline else {
        throw Problem("no supervisor was ready within \(longestWait); the log is \(logPath)")
      }
      let logStart = lseek(log, 0, SEEK_END)
      switch try attempt(executable, arguments, environment, log: log) {
      case .ready: return .started
      case .overdue: throw Problem("\(executable) was not ready within \(patience); its log is \(logPath)")
      case .closed:
        if isReachable() { return .found }
        let words = lastWords(added(to: logPath, from: logStart))
        let hasLost = words.contains { $0.contains(lostWords) }
        guard hasLost, let folder = FolderWatch(directory) else {
          throw Problem(
            "\(executable) ended without getting ready"
              + (words.isEmpty ? "" : ":\n" + words.map { "  \($0)" }.joined(separator: "\n")))
        }
        attempts += 1
        // Watched first, asked then: no change falls between. Without a known holder the lock has most likely become free; after a
        // few starts for nothing its holder is out of sight, and only the folder tells.
        while !isReachable() {
          let holder = SupervisorLock.holder(directory)
          defer { if let holder { close(holder) } }
          guard holder != nil || attempts > 3 else { break }
          guard folder.awaitChange(orEndOf: holder ?? -1, milliseconds: milliseconds(until: deadline)) else {
            throw Problem("another supervisor serves \(directory) and was not ready within \(longestWait); its log is \(logPath)")
          }
        }
      }
    }
  }

  /// One start, waited for.
  private static func attempt(
    _ executable: String, _ arguments: [String], _ environment: [[UInt8]], log: Int32
  ) throws(Problem) -> Readiness {
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
    return awaitReady(ends[0], patience: patience)
  }

  /// Rounded up, so that a last turn does not spin; 0 when it is over.
  private static func milliseconds(until deadline: ContinuousClock.Instant) -> Int32 {
    let left = ContinuousClock.now.duration(to: deadline)
    guard left > .zero else { return 0 }
    return Int32(clamping: left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1)
  }

  enum Readiness: Equatable { case ready, closed, overdue }

  /// Waits for the byte, the end of the pipe or the end of `patience`.
  static func awaitReady(_ descriptor: Int32, patience: Duration) -> Readiness {
    let deadline = ContinuousClock.now + patience
    while true {
      let left = milliseconds(until: deadline)
      guard left > 0 else { return .overdue }
      var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&state, 1, left) > 0 else { continue }
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

  /// What was added to the log since `start`, its end at most.
  private static func added(to path: String, from start: off_t) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    let limit = 4096
    let first = max(start, lseek(descriptor, 0, SEEK_END) - off_t(limit))
    let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, used in
      used = max(pread(descriptor, buffer.baseAddress, limit, first), 0)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The last lines of one that gave up. What it says itself carries its name; between may be what a supervisor logs that ends
  /// just now.
  static func lastWords(_ added: String) -> [String] {
    let lines = added.split(separator: "\n")
    let own = lines.filter { $0.hasPrefix("mlosd: ") }
    return (own.isEmpty ? lines : own).suffix(5).map(String.init)
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
    return String(path[..<slash])
  }
}
