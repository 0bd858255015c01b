import Foundation
import Glibc
import Logging

/// Where log lines go: standard error or a file that is opened again on `reopen` (after rotation). Lines are written whole; a full
/// disk loses lines, not the daemon, and the loss is said when there is room again.
final class LogOutput: @unchecked Sendable {
  enum Format: String { case json, text }

  private let lock = NSLock()
  private var path: String
  private var descriptor: Int32
  private var format: Format
  private var lost: UInt64 = 0

  init(path: String, format: Format) throws(StartError) {
    self.path = path
    self.format = format
    descriptor = path.isEmpty ? STDERR_FILENO : try Self.open(path)
  }

  private static func open(_ path: String) throws(StartError) -> Int32 {
    let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o640)
    guard descriptor >= 0 else {
      throw StartError("log file \(path) cannot be opened: \(String(cString: strerror(errno))) (log.file)")
    }
    return descriptor
  }

  /// Opens the file anew, or another one. On failure the old one stays.
  func reopen(path new: String, format newFormat: Format) throws(StartError) {
    let fresh = new.isEmpty ? STDERR_FILENO : try Self.open(new)
    lock.lock()
    defer { lock.unlock() }
    if descriptor != STDERR_FILENO { close(descriptor) }
    descriptor = fresh
    path = new
    format = newFormat
  }

  func write(_ entry: LogEntry) {
    lock.lock()
    defer { lock.unlock() }
    if lost > 0 {
      let note = LogEntry(
        level: .warning, label: "mlosd.log", message: "log lines were lost", metadata: ["lines": "\(lost)"], time: entry.time)
      if put(note) { lost = 0 }
    }
    if !put(entry) { lost += 1 }
  }

  private func put(_ entry: LogEntry) -> Bool {
    let line = Array((format == .json ? entry.json : entry.text).utf8)
    return Glibc.write(descriptor, line, line.count) == line.count
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
    return line.replacingOccurrences(of: "\n", with: "\\n") + "\n"
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
final class LogLevels: @unchecked Sendable {
  private let lock = NSLock()
  private var level: Logger.Level
  init(_ level: Logger.Level) { self.level = level }
  var current: Logger.Level {
    get { lock.withLock { level } }
    set { lock.withLock { level = newValue } }
  }
}

/// Why the daemon does not start: one line for the person who started it.
struct StartError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
