import Glibc
import Wire

/// One event of `mlos events` as text.
enum EventLine {
  /// Kinds the API names; `--kind` accepts no others.
  static let kinds = [
    "attached", "detached", "adopted", "dlopen", "loaded", "dlclose", "unloaded", "kept", "fork", "exec", "state", "exited",
    "lost",
  ]

  /// - Parameter clock: Seconds since 1970 as a time of day.
  static func text(_ event: EventRow, _ terminal: Terminal, clock: (Double) -> String) -> String {
    let kind = event.kind.count < 8 ? event.kind + String(repeating: " ", count: 8 - event.kind.count) : event.kind
    let emphasis: Emphasis =
      switch event.kind {
      case "attached", "adopted", "loaded": .good
      case "unloaded", "exited": .warning
      case "lost": .bad
      default: .plain
      }
    let time = clock(event.at)
    // The date and the fraction go first where there is little room.
    let isNarrow = (terminal.columns ?? .max) < 60 && time.count == 23
    var pieces: [(text: String, emphasis: Emphasis)] = [
      (isNarrow ? String(time.dropFirst(11).prefix(8)) : time, .faint), ("\(event.processName)(\(event.pid))", .plain),
      (kind, emphasis),
    ]
    let rest = [event.package.value.map { "[\($0)]" }, event.detail.value.map { "(\($0))" }].compactMap(\.self)
    if let whole = event.subject.value {
      let subject = event.subjectIsCut ? whole + "…" : whole
      let others = (pieces.map(\.text) + rest).reduce(0) { $0 + DisplayWidth.of($1) + 2 }
      let room = terminal.columns.map { max($0 - others, 16) } ?? .max
      pieces.append((DisplayWidth.cut(subject, to: room, keepingEnd: true), .plain))
    }
    pieces += rest.map { ($0, .plain) }
    return terminal.line(
      pieces.enumerated().flatMap { $0.offset == 0 ? [$0.element] : [(text: "  ", emphasis: .plain), $0.element] })
  }

  /// Local time with milliseconds: "2026-11-21 09:41:07.123".
  static func localTime(_ seconds: Double) -> String {
    guard seconds.isFinite, abs(seconds) < 1e11 else { return "-" }
    let milliseconds = Int64((seconds * 1000).rounded(.down))
    var time = time_t(milliseconds >= 0 ? milliseconds / 1000 : (milliseconds - 999) / 1000)
    var parts = tm()
    guard localtime_r(&time, &parts) != nil else { return "-" }
    func padded(_ value: Int32, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
    let rest = Int32(milliseconds - Int64(time) * 1000)
    return "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2)) "
      + "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2)).\(padded(rest, 3))"
  }
}
