import Glibc
import Logging
import Synchronization

/// Where log lines go: standard error or a file that is opened again on `reopen` (after rotation). Lines are written whole: of one
/// that a full disk took in part, that part is taken back from a file, and the next line begins anew elsewhere. What is lost is
/// lines, not the daemon, and the loss is said when there is room again.
final class LogOutput: Sendable {
  enum Format: String { case json, text }

  private struct State {
    var descriptor: Int32
    var format: Format
    var lost: UInt64 = 0
    /// The last line is there in part: the next one must not continue it.
    var isTorn = false
  }
  private let state: Mutex<State>

  init(path: String, format: Format) throws(StartError) {
    state = Mutex(State(descriptor: try Self.open(path), format: format))
  }

  /// Standard error for an empty path.
  private static func open(_ path: String) throws(StartError) -> Int32 {
    guard !path.isEmpty else { return STDERR_FILENO }
    let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o640)
    guard descriptor >= 0 else {
      throw StartError("log file \(path) cannot be opened: \(String(cString: strerror(errno))) (log.file)")
    }
    return descriptor
  }

  /// Opens the file anew, or another one. On failure the old one stays.
  func reopen(path: String, format: Format) throws(StartError) {
    let fresh = try Self.open(path)
    state.withLock { state in
      if state.descriptor != STDERR_FILENO { close(state.descriptor) }
      state.descriptor = fresh
      state.format = format
    }
  }

  func write(_ entry: LogEntry) {
    state.withLock { state in
      if state.lost > 0 {
        let note = LogEntry(
          level: .warning, label: "mlosd.log", message: "log lines were lost", metadata: ["lines": "\(state.lost)"],
          time: entry.time)
        if Self.put(note, &state) { state.lost = 0 }
      }
      if !Self.put(entry, &state) { state.lost += 1 }
    }
  }

  private static func put(_ entry: LogEntry, _ state: inout State) -> Bool {
    let text = state.format == .json ? entry.json : entry.text
    let line = Array(((state.isTorn ? "\n" : "") + text).utf8)
    let count = Glibc.write(state.descriptor, line, line.count)
    if count > 0 { state.isTorn = count < line.count && !takeBack(count, from: state.descriptor) }
    return count == line.count
  }

  /// Cuts off what was written last. Only from a file that was opened here, where nobody has written since.
  private static func takeBack(_ count: Int, from descriptor: Int32) -> Bool {
    var status = stat()
    guard descriptor != STDERR_FILENO, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      lseek(descriptor, 0, SEEK_CUR) == status.st_size
    else { return false }
    return ftruncate(descriptor, status.st_size - off_t(count)) == 0
  }
}

/// One line of the log.
struct LogEntry {
  var level: Logger.Level
  var label: String
  var message: String
  var metadata: [String: String]
  var time: timespec

  /// One object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, then the metadata.
  var json: String {
    var line = "{\"time\":\"\(timestamp)\",\"level\":\"\(level.rawValue)\",\"logger\":"
    Self.append(label, to: &line)
    line += ",\"message\":"
    Self.append(message, to: &line)
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      line += ","
      Self.append(key, to: &line)
      line += ":"
      Self.append(value, to: &line)
    }
    return line + "}\n"
  }

  var text: String {
    let pairs = metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    let line = "\(timestamp) \(level.rawValue) \(label): \(message)\(pairs)"
    return line.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n") + "\n"
  }

  private var timestamp: String {
    var seconds = time.tv_sec
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
    let date = "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    return "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)Z"
  }

  private static func append(_ text: String, to line: inout String) {
    line += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": line += "\\\""
      case "\\": line += "\\\\"
      case "\n": line += "\\n"
      default:
        if scalar.value < 0x20 {
          let digits = String(scalar.value, radix: 16)
          line += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          line.unicodeScalars.append(scalar)
        }
      }
    }
    line += "\""
  }
}

/// swift-log's face of `LogOutput`. Correlation ids arrive as metadata: `session` for an agent's connection, `hb.request.id` for an
/// HTTP request.
struct OutputLogHandler: LogHandler {
  let output: LogOutput
  let label: String
  let levels: LogLevels
  var metadata: Logger.Metadata = [:]
  /// The level is one for all loggers, so that a reload reaches those handed out already.
  var logLevel: Logger.Level {
    get { levels.current }
    set { levels.current = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    var all: [String: String] = [:]
    for (key, value) in metadata { all[key] = "\(value)" }
    for (key, value) in event.metadata ?? [:] { all[key] = "\(value)" }
    output.write(LogEntry(level: event.level, label: label, message: "\(event.message)", metadata: all, time: time))
  }
}

/// The level in force, changed by a reload.
final class LogLevels: Sendable {
  private let level: Mutex<Logger.Level>
  init(_ level: Logger.Level) { self.level = Mutex(level) }
  var current: Logger.Level {
    get { level.withLock { $0 } }
    set { level.withLock { $0 = newValue } }
  }
}

/// Why the daemon does not start: one line for the person who started it.
struct StartError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
