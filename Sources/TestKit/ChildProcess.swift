import Glibc

/// A program started by a test; ended and reaped with the value at the latest.
public final class ChildProcess: Sendable {
  /// Its PID; not reused before `end`.
  public let pid: Int32
  private let input: Int32
  private let output: Int32

  /// Starts a program found in PATH with pipes for input and output; nil when it cannot be started.
  public init?(_ arguments: [String]) {
    var toChild: [Int32] = [0, 0]
    var fromChild: [Int32] = [0, 0]
    guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else { fatalError("pipe: errno \(errno)") }
    for end in toChild + fromChild { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    let strings = arguments.map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    var child: pid_t = 0
    let result = posix_spawnp(&child, arguments[0], &actions, nil, strings, environ)
    close(toChild[0])
    close(fromChild[1])
    pid = child
    input = toChild[1]
    output = fromChild[0]
    if result != 0 { return nil }
  }

  /// Waits for the child to write something, and gives it.
  public func read() -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = Glibc.read(output, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }

  /// Writes to its input.
  public func write(_ text: String) {
    var bytes = Array(text.utf8)
    _ = Glibc.write(input, &bytes, bytes.count)
  }

  /// Kills and reaps it: afterwards its PID is gone.
  public func end() {
    kill(pid, SIGKILL)
    while waitpid(pid, nil, 0) == -1, errno == EINTR {}
  }

  deinit {
    // A second kill could hit another process: waitid tells whether this is still our child.
    var information = siginfo_t()
    if pid > 0, waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT) == 0 { end() }
    close(input)
    close(output)
  }
}
