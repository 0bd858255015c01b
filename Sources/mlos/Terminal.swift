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
    wrapped(text, indent: 2).map { emphasis.applied(to: $0, self) }
  }

  /// The text in as many lines as it takes, those after the first indented.
  func wrapped(_ text: String, indent: Int) -> [String] {
    columns.map { DisplayWidth.wrapped(text, to: $0, indent: indent) } ?? [text]
  }

  /// Pieces of one line, cut at its end where the terminal is too narrow for all.
  func line(_ pieces: [(text: String, emphasis: Emphasis)]) -> String {
    let isWhole = columns.map { columns in pieces.reduce(0) { $0 + DisplayWidth.of($1.text) } <= columns } ?? true
    var left = isWhole ? Int.max : columns ?? .max
    var line = ""
    for (text, emphasis) in pieces where left > 0 {
      let width = DisplayWidth.of(text)
      // "…" needs a column: a piece that ends at the last one is cut too when another follows.
      let shown = isWhole || width < left ? text : DisplayWidth.cut(text + "…", to: left, keepingEnd: false)
      line += emphasis.applied(to: shown, self)
      left -= isWhole ? 0 : DisplayWidth.of(shown)
      if !isWhole, width >= DisplayWidth.of(shown), shown != text { break }
    }
    return line
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
