/// Why a trace was refused, and in which line. Nothing of a refused trace is used.
public struct TraceError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Fault: Hashable, Sendable {
    case empty
    /// The last line has no end: the recorder was stopped while it wrote.
    case tornLastLine
    case fileTooLarge(limit: Int)
    case lineTooLong(limit: Int)
    case notUTF8
    case syntax(column: Int, expected: String)
    /// Not `mlos.trace/1`; what it says.
    case format(String)
    case unknownKey(String)
    case missingKey(String)
    case repeatedKey(String)
    /// A value of the wrong type.
    case type(key: String, expected: String)
    case outOfRange(key: String, allowed: String)
    case badName(String)
    case unknownKind(String)
    case unknownUnit(String)
    case repeatedUnit(String)
    case unitAfterEvent
    case timeBackwards(previous: Double)
    case pastTheEnd(duration: Double)
    case tooMany(String, limit: Int)
  }

  /// From 1.
  public var line: Int
  public var fault: Fault

  public init(line: Int, _ fault: Fault) {
    self.line = line
    self.fault = fault
  }

  /// `line 7: unknown unit 'tourch'`.
  public var description: String { "line \(line): \(text)" }

  private var text: String {
    switch fault {
    case .empty: "the trace is empty"
    case .tornLastLine: "the last line is torn: it does not end"
    case .fileTooLarge(let limit): "the trace is larger than \(limit) bytes"
    case .lineTooLong(let limit): "longer than \(limit) bytes"
    case .notUTF8: "not UTF-8"
    case .syntax(let column, let expected): "column \(column): expected \(expected)"
    case .format(let found): "the format is '\(found)', not '\(Trace.format)'"
    case .unknownKey(let key): "unknown key '\(key)'"
    case .missingKey(let key): "'\(key)' is missing"
    case .repeatedKey(let key): "'\(key)' is there twice"
    case .type(let key, let expected): "'\(key)' must be \(expected)"
    case .outOfRange(let key, let allowed): "'\(key)' must be \(allowed)"
    case .badName(let key): "'\(key)' must be 1 to \(Trace.Limit.nameBytes) bytes without control characters"
    case .unknownKind(let kind): "unknown kind '\(kind)'"
    case .unknownUnit(let name): "unknown unit '\(name)'"
    case .repeatedUnit(let name): "unit '\(name)' is there twice"
    case .unitAfterEvent: "a unit after the first event"
    case .timeBackwards(let previous): "the time goes backwards, after \(previous) s"
    case .pastTheEnd(let duration): "after the end of the trace, \(duration) s"
    case .tooMany(let what, let limit): "more than \(limit) \(what)"
    }
  }
}
