import CLinux
import Glibc

/// What standard output can show.
struct Terminal: Equatable {
  /// Columns to lay tables out for; nil for as many as they take.
  var columns: Int?
  var hasColours: Bool

  /// - Parameters:
  ///   - isTerminal: Whether standard output is one.
  ///   - measured: Columns the terminal reports, 0 for none.
  init(isTerminal: Bool, measured: Int, environment: [String: String], noColour: Bool) {
    let wanted = environment["COLUMNS"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    columns = isTerminal ? (measured > 0 ? measured : wanted ?? 80) : nil
    // https://no-color.org: any value but the empty one.
    let refused = noColour || !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
    hasColours = isTerminal && !refused
  }

  /// A line below a table, on several lines where the terminal is too narrow for it.
  func footnote(_ text: String, _ emphasis: Emphasis = .faint) -> [String] {
    let lines = columns.map { DisplayWidth.wrapped(text, to: $0) } ?? [text]
    return lines.map { emphasis.applied(to: $0, self) }
  }

  /// Of this process.
  static func current(environment: [String: String], noColour: Bool) -> Terminal {
    Terminal(
      isTerminal: isatty(STDOUT_FILENO) == 1, measured: Int(mlos_linux_terminal_columns(STDOUT_FILENO)),
      environment: environment, noColour: noColour)
  }
}

/// How a piece of text stands out on a terminal with colours.
enum Emphasis: String {
  case plain = ""
  case heading = "1"
  case faint = "2"
  case good = "32"
  case warning = "33"
  case bad = "31"

  func applied(to text: String, _ terminal: Terminal) -> String {
    terminal.hasColours && self != .plain && !text.isEmpty ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
  }
}
