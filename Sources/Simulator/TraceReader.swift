import Model

extension Trace {
  /// Reads a whole trace, or says in which line what is wrong. Takes time in proportion to the bytes, and nothing beyond `Limit`.
  public init(reading bytes: [UInt8]) throws(TraceError) {
    guard !bytes.isEmpty else { throw TraceError(line: 1, .empty) }
    guard bytes.count <= Limit.fileBytes else { throw TraceError(line: 1, .fileTooLarge(limit: Limit.fileBytes)) }
    var reader = TraceReader()
    var start = 0
    var number = 1
    while start < bytes.count {
      let rest = bytes[start...]
      guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
        throw TraceError(line: number, rest.count > Limit.lineBytes ? .lineTooLong(limit: Limit.lineBytes) : .tornLastLine)
      }
      guard end - start <= Limit.lineBytes else { throw TraceError(line: number, .lineTooLong(limit: Limit.lineBytes)) }
      try reader.read(bytes[start..<end], line: number)
      start = end + 1
      number += 1
    }
    self = try reader.finish()
  }
}

/// Takes line after line. What comes first decides what may follow: the header, then units, then events.
private struct TraceReader {
  private var header: Trace.Header?
  private var units: [Trace.Unit] = []
  private var indexes: [String: Int] = [:]
  private var events: [Trace.Event] = []

  mutating func read(_ bytes: ArraySlice<UInt8>, line: Int) throws(TraceError) {
    var fields = Fields(try JSONLine(bytes, line: line), line: line)
    guard let header else {
      self.header = try readHeader(&fields)
      return
    }
    if fields.contains("unit") {
      try readUnit(&fields)
    } else {
      try readEvent(&fields, header)
    }
  }

  consuming func finish() throws(TraceError) -> Trace {
    // A file with a line has a header.
    guard let header else { throw TraceError(line: 1, .empty) }
    return Trace(header: header, units: units, events: events)
  }

  private func readHeader(_ fields: inout Fields) throws(TraceError) -> Trace.Header {
    let format = try fields.string("format")
    guard format == Trace.format else { throw fields.fault(.format(String(format.prefix(40)))) }
    let header = Trace.Header(
      source: try fields.name("source"), recorder: try fields.name("recorder"), machine: try fields.name("machine"),
      duration: try fields.number("duration", in: 0...Trace.Limit.seconds))
    try fields.finish()
    return header
  }

  private mutating func readUnit(_ fields: inout Fields) throws(TraceError) {
    guard events.isEmpty else { throw fields.fault(.unitAfterEvent) }
    guard units.count < Trace.Limit.units else { throw fields.fault(.tooMany("units", limit: Trace.Limit.units)) }
    let name = try fields.name("unit")
    guard indexes[name] == nil else { throw fields.fault(.repeatedUnit(name)) }
    let kindText = try fields.string("kind")
    guard let kind = ReclaimUnit.Kind(rawValue: kindText) else { throw fields.fault(.unknownKind(String(kindText.prefix(40)))) }
    let count = try fields.number("bytes", in: 1...Double(Trace.Limit.unitBytes))
    guard count == count.rounded() else { throw fields.fault(.outOfRange(key: "bytes", allowed: "a whole number")) }
    let reload = try fields.number("reload", in: 0...Trace.Limit.reloadSeconds)
    var needs: [Int] = []
    for need in try fields.strings("needs") {
      // Only what came before: no circle can be written.
      guard let index = indexes[need] else { throw fields.fault(.unknownUnit(String(need.prefix(40)))) }
      guard !needs.contains(index) else { throw fields.fault(.repeatedUnit(need)) }
      needs.append(index)
    }
    try fields.finish()
    indexes[name] = units.count
    units.append(Trace.Unit(name, kind: kind, bytes: Bytes(UInt64(count)), reloadSeconds: reload, needs: needs))
  }

  private mutating func readEvent(_ fields: inout Fields, _ header: Trace.Header) throws(TraceError) {
    guard events.count < Trace.Limit.events else { throw fields.fault(.tooMany("events", limit: Trace.Limit.events)) }
    let time = try fields.number("t", in: 0...Trace.Limit.seconds)
    if let last = events.last, time < last.time { throw fields.fault(.timeBackwards(previous: last.time)) }
    guard time <= header.duration else { throw fields.fault(.pastTheEnd(duration: header.duration)) }
    let name = try fields.string("use")
    guard let unit = indexes[name] else { throw fields.fault(.unknownUnit(String(name.prefix(40)))) }
    let busy = fields.contains("busy") ? try fields.number("busy", in: 0...Trace.Limit.seconds) : 0
    try fields.finish()
    events.append(Trace.Event(time: time, unit: unit, busy: busy))
  }
}

/// The members of a line, taken one by one; what is left over at the end is unknown.
private struct Fields {
  private var members: [(key: String, value: JSONLine.Value)]
  private let line: Int

  init(_ json: JSONLine, line: Int) {
    members = json.members
    self.line = line
  }

  func fault(_ fault: TraceError.Fault) -> TraceError { TraceError(line: line, fault) }
  func contains(_ key: String) -> Bool { members.contains { $0.key == key } }

  private mutating func take(_ key: String) throws(TraceError) -> JSONLine.Value {
    guard let index = members.firstIndex(where: { $0.key == key }) else { throw fault(.missingKey(key)) }
    return members.remove(at: index).value
  }

  mutating func string(_ key: String) throws(TraceError) -> String {
    guard case .string(let text) = try take(key) else { throw fault(.type(key: key, expected: "a string")) }
    return text
  }

  mutating func name(_ key: String) throws(TraceError) -> String {
    let text = try string(key)
    let isShown = text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    guard !text.isEmpty, text.utf8.count <= Trace.Limit.nameBytes, isShown else { throw fault(.badName(key)) }
    return text
  }

  mutating func number(_ key: String, in range: ClosedRange<Double>) throws(TraceError) -> Double {
    guard case .number(let value) = try take(key) else { throw fault(.type(key: key, expected: "a number")) }
    guard range.contains(value) else {
      throw fault(.outOfRange(key: key, allowed: "\(range.lowerBound) to \(range.upperBound)"))
    }
    return value
  }

  /// A list that may be left out.
  mutating func strings(_ key: String) throws(TraceError) -> [String] {
    guard contains(key) else { return [] }
    guard case .strings(let list) = try take(key) else { throw fault(.type(key: key, expected: "a list of strings")) }
    return list
  }

  func finish() throws(TraceError) {
    if let first = members.first { throw fault(.unknownKey(String(first.key.prefix(40)))) }
  }
}
