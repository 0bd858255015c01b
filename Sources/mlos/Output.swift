import CLinux
import Glibc

/// Standard output and standard error, unbuffered: what was printed is out, even if the next thing is a signal.
enum Output {
  /// Whether the command was started without a standard output. Written once, first thing in the process.
  nonisolated(unsafe) static var isClosed = false

  /// A pipe that nobody reads any more ends the command without a word, as `mlos ps | head -1` wants it.
  static func print(_ lines: [String]) {
    write(lines.map { $0 + "\n" }.joined())
  }

  static func write(_ text: String) {
    refuseWhenClosed()
    switch writeAll(text, to: STDOUT_FILENO) {
    case 0: return
    case EPIPE: exit(0)
    case let number: Failure(status: .broken, message: "cannot write: \(String(cString: strerror(number)))").exit()
    }
  }

  /// "mlos: ..." on standard error.
  static func complain(_ message: String) { _ = writeAll("mlos: \(message)\n", to: STDERR_FILENO) }

  /// A line on standard error as it is.
  static func report(_ line: String) { _ = writeAll(line + "\n", to: STDERR_FILENO) }

  /// An indented second line on standard error.
  static func note(_ message: String) { _ = writeAll("      \(message)\n", to: STDERR_FILENO) }

  /// A line on standard error that the next one takes the place of; empty to take it away.
  static func progress(_ text: String) {
    let columns = Int(mlos_linux_terminal_columns(STDERR_FILENO))
    // Where it would go on in a second line, that one would stay.
    let shown = columns > 0 ? DisplayWidth.cut(text, to: columns - 1, keepingEnd: false) : text
    _ = writeAll("\r\u{1B}[K\(shown)", to: STDERR_FILENO)
  }

  /// Ignores SIGPIPE, so that a closed pipe is an error number. Not for `run`: the program would inherit it. Ends a command whose
  /// output cannot go anywhere before it does anything.
  static func prepare() {
    signal(SIGPIPE, SIG_IGN)
    refuseWhenClosed()
  }

  private static func refuseWhenClosed() {
    if isClosed { Failure(status: .broken, message: "cannot write: standard output is closed").exit() }
  }

  /// Ends the command without a word as soon as nobody reads standard output any more, also while it waits for something
  /// to print.
  static func endWhenAbandoned() {
    // Not Thread, which is Foundation's: with it comes ICU, 40 MB.
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { _ in
        var state = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        while true {
          let count = poll(&state, 1, -1)
          if count > 0, state.revents & Int16(POLLERR) != 0 { _exit(0) }
          guard count < 0, errno == EINTR else { return nil }
        }
      }, nil)
    if status == 0 { pthread_detach(thread) }
  }

  /// errno, 0 for success.
  private static func writeAll(_ text: String, to descriptor: Int32) -> Int32 {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN:
        // The terminal is shared with a program that made it non-blocking.
        var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&state, 1, -1)
      case let number: return number
      }
    }
    return 0
  }
}
