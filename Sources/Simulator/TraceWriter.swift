/// The lines of a trace, each with its end, for a recorder that writes as it goes.
extension Trace {
  public static func line(_ header: Header) -> String {
    let names = [("format", format), ("source", header.source), ("recorder", header.recorder), ("machine", header.machine)]
    let texts = names.map { "\"\($0)\":\(JSONLine.quoted($1))" }.joined(separator: ",")
    return "{\(texts),\"duration\":\(number(header.duration))}\n"
  }

  /// - Parameter needs: Names of the units it needs, each written before.
  public static func line(_ unit: Unit, needs: [String]) -> String {
    let list = needs.isEmpty ? "" : ",\"needs\":[\(needs.map(JSONLine.quoted).joined(separator: ","))]"
    let head = "{\"unit\":\(JSONLine.quoted(unit.name)),\"kind\":\"\(unit.kind.rawValue)\",\"bytes\":\(unit.bytes.count)"
    return head + ",\"reload\":\(number(unit.reloadSeconds))\(list)}\n"
  }

  public static func line(time: Double, use name: String, busy: Double) -> String {
    let end = busy > 0 ? ",\"busy\":\(number(busy))" : ""
    return "{\"t\":\(number(time)),\"use\":\(JSONLine.quoted(name))\(end)}\n"
  }

  /// The whole trace; the reader gives back the same.
  public func text() -> String {
    var result = Self.line(header)
    for unit in units { result += Self.line(unit, needs: unit.needs.map { units[$0].name }) }
    for event in events { result += Self.line(time: event.time, use: units[event.unit].name, busy: event.busy) }
    return result
  }

  /// The shortest that reads back as the same; whole numbers without their `.0`.
  private static func number(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 9e15 ? "\(Int64(value))" : "\(value)"
  }
}
