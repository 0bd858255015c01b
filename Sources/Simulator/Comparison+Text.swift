import Model

extension Comparison {
  public enum Style: Hashable, Sendable { case plain, markdown }

  private static let columns = [
    "policy", "limit", "reload s", "bound s", "reloads", "hits", "held", "over s", "thrash", "busy", "refused",
  ]

  /// The rows as a table. `bound` is what no schedule undercuts; `held` the average; `over` the time over the limit.
  public func table(_ style: Style = .plain) -> String {
    Self.render(
      Self.columns,
      rows.map { row in
        let measures = row.measures
        let held = duration > 0 ? Bytes(UInt64(measures.byteSeconds / duration)) : .zero
        return [
          row.policy, Self.percent(row.limitShare), Self.fixed(measures.reloadSeconds, 1),
          row.bound.map { Self.fixed($0, 1) } ?? "-", "\(measures.reloads)",
          measures.uses > 0 ? Self.percent(Double(measures.hits) / Double(measures.uses)) : "-", "\(held)",
          Self.fixed(measures.secondsOverLimit, 0), "\(measures.thrash)", "\(measures.busyEvictions)", "\(measures.refusedUses)",
        ]
      }, style)
  }

  /// What each policy needs at the byte-seconds of the reference, and by how much that is more (+) or less (-).
  public func equalMemoryTable(_ style: Style = .plain) -> String {
    Self.render(
      [
        "policy", "limit of \(equalMemory.first?.reference ?? "-")", "held", "reload s",
        "\(equalMemory.first?.reference ?? "-") s", "more", "over s",
      ],
      equalMemory.map { row in
        let held = duration > 0 ? Bytes(UInt64(row.byteSeconds / duration)) : .zero
        let more = row.reloadSeconds.flatMap { seconds -> String? in
          guard row.referenceReloadSeconds > 0 else { return nil }
          let change = seconds / row.referenceReloadSeconds - 1
          return (change < 0 ? "" : "+") + Self.percent(change)
        }
        return [
          row.policy, Self.percent(row.limitShare), "\(held)", row.reloadSeconds.map { Self.fixed($0, 1) } ?? "-",
          Self.fixed(row.referenceReloadSeconds, 1), more ?? "-", row.secondsOverLimit.map { Self.fixed($0, 0) } ?? "-",
        ]
      }, style)
  }

  private static func render(_ head: [String], _ rows: [[String]], _ style: Style) -> String {
    let widths = head.indices.map { column in rows.reduce(head[column].count) { max($0, $1[column].count) } }
    func line(_ cells: [String]) -> String {
      let padded = cells.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        // Names to the left, numbers to the right.
        return column == 0 ? cell + space : space + cell
      }
      switch style {
      case .markdown: return "| " + padded.joined(separator: " | ") + " |\n"
      case .plain: return padded.joined(separator: "  ") + "\n"
      }
    }
    var result = line(head)
    if style == .markdown {
      result += "|" + head.indices.map { ($0 == 0 ? "---" : "---:") + "|" }.joined() + "\n"
    }
    for row in rows { result += line(row) }
    return result
  }

  /// Rounded half away from zero. Values are of seconds and percent: far within what 64 bits hold.
  static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    let scale = digits == 0 ? 1.0 : (1...digits).reduce(1.0) { power, _ in power * 10 }
    let scaled = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && scaled != 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(scaled)" }
    let fraction = "\(scaled % Int64(scale))"
    return "\(sign)\(scaled / Int64(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
  }

  private static func percent(_ share: Double) -> String { fixed(share * 100, 0) + " %" }

  /// One JSON object a line. What is not known is null.
  public func jsonLines() -> String {
    func number(_ value: Double?) -> String { value.map { $0.isFinite ? "\($0)" : "null" } ?? "null" }
    let trace = "\"trace\":\(JSONLine.quoted(source))"
    var result = ""
    for row in rows {
      let measures = row.measures
      let fields: [(String, String)] = [
        ("policy", JSONLine.quoted(row.policy)), ("limit_share", number(row.limitShare)), ("limit_bytes", "\(row.limit.count)"),
        ("uses", "\(measures.uses)"), ("hits", "\(measures.hits)"), ("loads", "\(measures.loads)"),
        ("reloads", "\(measures.reloads)"), ("reload_seconds", number(measures.reloadSeconds)),
        ("first_load_seconds", number(measures.firstLoadSeconds)), ("limit_bound_seconds", number(row.limitBound)),
        ("memory_bound_seconds", number(row.memoryBound)), ("evictions", "\(measures.evictions)"),
        ("byte_seconds", number(measures.byteSeconds)), ("peak_bytes", "\(measures.peak.count)"),
        ("seconds_over_limit", number(measures.secondsOverLimit)),
        ("byte_seconds_over_limit", number(measures.byteSecondsOverLimit)), ("busy_evictions", "\(measures.busyEvictions)"),
        ("needed_evictions", "\(measures.neededEvictions)"), ("bytes_beyond_target", "\(measures.beyondTarget.count)"),
        ("thrash", "\(measures.thrash)"), ("refused_uses", "\(measures.refusedUses)"),
      ]
      result += "{\(trace),\(fields.map { "\"\($0)\":\($1)" }.joined(separator: ","))}\n"
    }
    for row in equalMemory {
      let fields: [(String, String)] = [
        ("policy", JSONLine.quoted(row.policy)), ("equal_to", JSONLine.quoted(row.reference)),
        ("limit_share", number(row.limitShare)), ("byte_seconds", number(row.byteSeconds)),
        ("reload_seconds", number(row.reloadSeconds)), ("reference_reload_seconds", number(row.referenceReloadSeconds)),
      ]
      result += "{\(trace),\(fields.map { "\"\($0)\":\($1)" }.joined(separator: ","))}\n"
    }
    return result
  }
}
