import CLinux
import Glibc

/// The whole terminal, taken and given back. One thread.
final class Screen {
  struct Size: Equatable {
    var columns: Int
    var rows: Int

    /// A terminal that does not know its size: what the environment says, else 80 by 24. Bounded, so that no lie about it
    /// makes a frame of a gigabyte.
    init(measured: (columns: Int, rows: Int), environment: [String: String]) {
      func chosen(_ measured: Int, _ name: String, _ fallback: Int, _ limit: Int) -> Int {
        let wanted = measured > 0 ? measured : environment[name].flatMap { Int($0) } ?? fallback
        return min(max(wanted, 1), limit)
      }
      columns = chosen(measured.columns, "COLUMNS", 80, 2000)
      rows = chosen(measured.rows, "LINES", 24, 1000)
    }
  }

  private enum Sequences {
    /// The other screen, no cursor, lines that are too long end at the edge instead of going on below.
    static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
    /// A console without another screen keeps the last frame, with the prompt below it.
    static let leave: StaticString = "\u{1B}[m\u{1B}[999;1H\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"
    static let eraseToEnd = "\u{1B}[K"
  }

  private let environment: [String: String]
  /// As the terminal was before; it is not read again, since after SIGSTOP it may be ours.
  private var before = termios()
  private var isTaken = false
  /// What is on the screen; empty when that is not known.
  private var lines: [String] = []

  init(environment: [String: String]) throws {
    self.environment = environment
    guard tcgetattr(STDIN_FILENO, &before) == 0 else { throw Self.failure("tcgetattr") }
  }

  var size: Size {
    var (columns, rows): (Int32, Int32) = (0, 0)
    _ = mlos_linux_terminal_size(STDOUT_FILENO, &columns, &rows)
    return Size(measured: (Int(columns), Int(rows)), environment: environment)
  }

  /// Takes the terminal, also one taken already: after a stop nobody knows what was done to it.
  func enter() throws {
    if !isTaken { _ = tcgetattr(STDIN_FILENO, &before) }
    var modes = before
    // Keys at once and unseen; Ctrl-C, Ctrl-Z and Ctrl-\ stay signals; Ctrl-S must not stop the output.
    modes.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
    modes.c_lflag |= tcflag_t(ISIG)
    modes.c_iflag &= ~tcflag_t(IXON | ICRNL | INLCR | IGNCR | ISTRIP)
    withUnsafeMutableBytes(of: &modes.c_cc) {
      $0[Int(VMIN)] = 1
      $0[Int(VTIME)] = 0
    }
    // First the modes: this is where a process in the background is stopped, before it writes over what is there.
    while tcsetattr(STDIN_FILENO, TCSANOW, &modes) != 0 {
      guard errno == EINTR else { throw Self.failure("tcsetattr") }
    }
    isTaken = true
    Sequences.leave.withUTF8Buffer { farewell in
      farewell.withMemoryRebound(to: CChar.self) {
        guard let start = $0.baseAddress else { return }
        mlos_linux_terminal_guard(STDIN_FILENO, &before, STDOUT_FILENO, start)
      }
    }
    lines = []
    write(Sequences.enter)
  }

  /// Gives the terminal back; nothing when it is not taken.
  func leave() {
    guard isTaken else { return }
    isTaken = false
    mlos_linux_terminal_unguard()
    // Modes first: they do not wait for a terminal that takes no output.
    while tcsetattr(STDIN_FILENO, TCSANOW, &before) != 0, errno == EINTR {}
    var state = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
    // 1 s: a terminal that is alive takes thirty bytes at once, and a dead one must not keep the process.
    guard poll(&state, 1, 1000) > 0 else { return }
    Sequences.leave.withUTF8Buffer { _ = Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
  }

  /// The next `draw` writes every line.
  func forget() { lines = [] }

  /// Writes the lines that differ from what is there, in one piece: nothing is erased first, so nothing flickers.
  ///
  /// - Returns: False when the terminal is gone.
  func draw(_ new: [String], columns: Int) -> Bool {
    var text = ""
    for (index, line) in new.enumerated() where lines.count != new.count || lines[index] != line {
      // At the last column there is nothing to erase, and erasing would take the last character.
      let isFull = DisplayWidth.of(Self.withoutEmphasis(line)) >= columns
      text += "\u{1B}[\(index + 1);1H\(line)\(isFull ? "" : Sequences.eraseToEnd)"
    }
    guard !text.isEmpty else { return true }
    if lines.count > new.count { text += "\u{1B}[J" }
    lines = new
    switch write(text) {
    case 0: return true
    case EINTR:
      forget()
      return true
    default: return false
    }
  }

  /// A line without the sequences `Emphasis` puts into it.
  static func withoutEmphasis(_ line: String) -> String {
    guard line.contains("\u{1B}") else { return line }
    var result = ""
    var isSequence = false
    for character in line {
      if character == "\u{1B}" {
        isSequence = true
      } else if !isSequence {
        result.append(character)
      } else if character == "m" {
        isSequence = false
      }
    }
    return result
  }

  /// errno, 0 for success; EINTR when a signal came that ends or stops the process, which must not wait for a terminal that is
  /// slow.
  @discardableResult private func write(_ text: String) -> Int32 {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
        if rest.isEmpty { return 0 }
      } else if errno == EAGAIN {
        // Another program made the terminal non-blocking.
        var state = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
        _ = poll(&state, 1, -1)
      } else if errno != EINTR {
        return errno
      }
      if mlos_linux_signals_waiting() & Signals.urgent != 0 { return EINTR }
    }
    return 0
  }

  private static func failure(_ call: String) -> Failure {
    Failure(status: .broken, message: "the terminal cannot be used: \(call): \(String(cString: strerror(errno)))")
  }
}

/// Signals as bits of a set, bit N for signal N.
enum Signals {
  /// Those that end the program.
  static let ending = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]
  static let caught = ending + [SIGTSTP, SIGCONT, SIGWINCH]
  /// Those for which a frame is left half written.
  static let urgent = (ending + [SIGTSTP]).reduce(UInt64(0)) { $0 | bit($1) }

  static func bit(_ number: Int32) -> UInt64 { 1 << UInt64(number) }
}
