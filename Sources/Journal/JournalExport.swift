import Model

/// What a cell of an export holds.
public enum ExportValue: Hashable, Sendable {
  /// Not known.
  case null
  case text(String)
  case integer(Int64)
  case unsigned(UInt64)
  case real(Double)

  init(_ value: String?) { self = value.map { .text($0) } ?? .null }
  init(_ value: Double?) { self = value.map { .real($0) } ?? .null }
  init(_ value: Bytes?) { self = value.map { .unsigned($0.count) } ?? .null }
  init(_ value: Int64?) { self = value.map { .integer($0) } ?? .null }
  init(_ value: UInt64?) { self = value.map { .unsigned($0) } ?? .null }
}

/// A row that can be exported. The names and their order are the format's: new ones come at the end.
public protocol ExportableRow {
  static var exportColumns: [String] { get }
  /// As many as there are columns.
  var exportValues: [ExportValue] { get }
}

/// Rows as text. Pure: no file, no clock.
public enum JournalExport {
  /// One object a line, each line ended. What is not known, and what JSON has no number for, is null.
  public static func jsonLines<Row: ExportableRow>(_ rows: [Row]) -> String {
    var text = ""
    for row in rows {
      text += "{"
      for (index, (name, value)) in zip(Row.exportColumns, row.exportValues).enumerated() {
        text += "\(index == 0 ? "" : ",")\"\(name)\":\(json(value))"
      }
      text += "}\n"
    }
    return text
  }

  /// RFC 4180 with a header: lines end in CR LF. What is not known is empty. Control characters are written as `\n`, `\t`, `\r` or
  /// `\u001b`, a backslash as `\\`, so that every row is one line.
  public static func csv<Row: ExportableRow>(_ rows: [Row]) -> String {
    var text = Row.exportColumns.joined(separator: ",") + "\r\n"
    for row in rows { text += row.exportValues.map(csv).joined(separator: ",") + "\r\n" }
    return text
  }

  private static func json(_ value: ExportValue) -> String {
    switch value {
    case .null: "null"
    case .text(let text): "\"\(escaped(text, alsoQuotes: true))\""
    case .integer(let number): "\(number)"
    case .unsigned(let number): "\(number)"
    case .real(let number): number.isFinite ? "\(number)" : "null"
    }
  }

  private static func csv(_ value: ExportValue) -> String {
    switch value {
    case .null: return ""
    case .integer(let number): return "\(number)"
    case .unsigned(let number): return "\(number)"
    case .real(let number): return number.isFinite ? "\(number)" : ""
    case .text(let text):
      let plain = escaped(text, alsoQuotes: false)
      guard plain.utf8.contains(where: { $0 == 0x22 || $0 == 0x2C }) else { return plain }
      var quoted = "\""
      for scalar in plain.unicodeScalars {
        if scalar == "\"" { quoted += "\"" }
        quoted.unicodeScalars.append(scalar)
      }
      return quoted + "\""
    }
  }

  /// As JSON does; the control characters behind ASCII too, which some terminals obey.
  private static func escaped(_ text: String, alsoQuotes: Bool) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\"" where alsoQuotes: result += "\\\""
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

extension ReclaimUnit {
  fileprivate static let exportColumns = ["unit", "kind", "pid", "start_ticks"]
  fileprivate var exportValues: [ExportValue] {
    [
      .text(name), .text(kind.rawValue), ExportValue(process.map { Int64($0.pid) }),
      ExportValue(process?.startTicks as UInt64?),
    ]
  }
}

extension Requester {
  fileprivate static let exportColumns = ["requester", "requester_uid", "requester_pid"]
  fileprivate var exportValues: [ExportValue] {
    [.text(name), ExportValue(uid.map { Int64($0) }), ExportValue(pid.map { Int64($0) })]
  }
}

extension DecisionRecord: ExportableRow {
  public static var exportColumns: [String] {
    ["id", "time", "cycle"] + ReclaimUnit.exportColumns + [
      "verdict", "reason", "text", "rule", "predicted_bytes", "idle_seconds", "timeout_seconds", "strategy", "bytes",
      "reload_seconds", "reuse_probability", "regret", "score", "class", "memory_used", "memory_limit", "memory_source",
      "memory_stall", "memory_wanted",
    ] + Requester.exportColumns
  }

  public var exportValues: [ExportValue] {
    let own: [ExportValue] = [
      .text(verdict.rawValue), .text(reason), .text(text), ExportValue(rule), ExportValue(predicted),
      ExportValue(figures.idleSeconds), .real(figures.timeoutSeconds), .text(figures.strategy), ExportValue(figures.bytes),
      ExportValue(figures.reloadSeconds), .real(figures.reuseProbability), .real(figures.regret), ExportValue(figures.score),
      .text(figures.unitClass.rawValue), ExportValue(memory?.used), ExportValue(memory?.limit), ExportValue(memory?.source),
      ExportValue(memory?.stall), ExportValue(memory?.wanted),
    ]
    return [.integer(id), .real(time), .unsigned(cycle)] + unit.exportValues + own + requester.exportValues
  }
}

extension OutcomeRecord: ExportableRow {
  public static var exportColumns: [String] {
    ["id", "time", "decision"] + ReclaimUnit.exportColumns + [
      "result", "freed_bytes", "seconds", "obstacle", "stayed", "reason", "text",
    ]
  }

  public var exportValues: [ExportValue] {
    [.integer(id), .real(time), ExportValue(decision)] + unit.exportValues + [
      .text(result.rawValue), ExportValue(freed), .real(seconds), ExportValue(obstacle), .text(stayed.joined(separator: "; ")),
      .text(reason), .text(text),
    ]
  }
}

extension ConfigurationChange: ExportableRow {
  public static var exportColumns: [String] {
    ["id", "time", "key", "old", "new", "origin"] + Requester.exportColumns
  }

  public var exportValues: [ExportValue] {
    [.integer(id), .real(time), .text(key), ExportValue(old), ExportValue(new), .text(origin)] + requester.exportValues
  }
}

extension MetricPoint: ExportableRow {
  public static var exportColumns: [String] { ["start", "resolution", "count", "avg", "min", "max", "sum", "last"] }

  public var exportValues: [ExportValue] {
    [
      .real(start), .real(resolution), .integer(count), .real(value(.average)), .real(value(.minimum)), .real(value(.maximum)),
      .real(value(.sum)), .real(value(.last)),
    ]
  }
}
