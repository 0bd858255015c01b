import Model

/// A table before it is laid out: a heading, and cells of which the first names the policy.
public struct Grid: Hashable, Sendable {
  public var head: [String]
  public var rows: [[String]]

  /// As Markdown has it: names to the left, numbers to the right.
  public func markdown() -> String {
    let widths = head.indices.map { column in rows.reduce(head[column].count) { max($0, $1[column].count) } }
    func line(_ cells: [String]) -> String {
      let padded = cells.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + space : space + cell
      }
      return "| " + padded.joined(separator: " | ") + " |\n"
    }
    let rule = "|" + head.indices.map { ($0 == 0 ? "---" : "---:") + "|" }.joined() + "\n"
    return line(head) + rule + rows.map(line).joined()
  }
}

extension Comparison {
  /// `bound` is what no schedule undercuts; `held` the average; `over` the time over the limit.
  public var grid: Grid {
    Grid(
      head: ["policy", "limit", "reload s", "bound s", "reloads", "hits", "held", "over s", "thrash", "busy", "refused"],
      rows: rows.map { row in
        let measures = row.measures
        return [
          row.policy, Self.percent(row.limitShare), Self.fixed(measures.reloadSeconds, 1),
          row.bound.map { Self.fixed($0, 1) } ?? "-", "\(measures.reloads)",
          measures.uses > 0 ? Self.percent(Double(measures.hits) / Double(measures.uses)) : "-", held(measures.byteSeconds),
          Self.fixed(measures.secondsOverLimit, 0), "\(measures.thrash)", "\(measures.busyEvictions)", "\(measures.refusedUses)",
        ]
      })
  }

  /// What each policy needs at the byte-seconds of the reference, and by how much that is more (+) or less (-) than it does.
  public var equalMemoryGrid: Grid {
    var rows: [[String]] = []
    var lastShare: Double?
    for row in equalMemory {
      let held = held(row.byteSeconds)
      // The reference itself before the others of each limit.
      if lastShare != row.limitShare {
        rows.append(
          [
            row.reference, Self.percent(row.limitShare), held, Self.fixed(row.referenceReloadSeconds, 1),
            "\(row.referenceReloads)",
            "", "",
          ])
      }
      lastShare = row.limitShare
      rows.append(
        [
          row.policy, Self.percent(row.limitShare), held, row.reloadSeconds.map { Self.fixed($0, 1) } ?? "-",
          row.reloads.map { Self.fixed($0, 1) } ?? "-",
          Self.more(row.reloadSeconds, than: row.referenceReloadSeconds), row.secondsOverLimit.map { Self.fixed($0, 0) } ?? "-",
        ])
    }
    return Grid(head: ["policy", "limit", "held", "reload s", "reloads", "more", "over s"], rows: rows)
  }

  /// The same, added up over the limits.
  public var equalMemorySumGrid: Grid {
    let sums = equalMemorySums
    return Grid(
      head: ["policy", "reload s", "reloads", "more"],
      rows: sums.enumerated().map { index, sum in
        [
          sum.policy, sum.reloadSeconds.map { Self.fixed($0, 1) } ?? "-", sum.reloads.map { Self.fixed($0, 1) } ?? "-",
          index == 0 ? "" : Self.more(sum.reloadSeconds, than: sums[0].reloadSeconds ?? 0),
        ]
      })
  }

  private func held(_ byteSeconds: Double) -> String {
    "\(duration > 0 ? Bytes(UInt64(byteSeconds / duration)) : .zero)"
  }

  private static func more(_ seconds: Double?, than reference: Double) -> String {
    guard let seconds, reference > 0 else { return "-" }
    let change = seconds / reference - 1
    return (change < 0 ? "" : "+") + percent(change)
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

  /// `25 %`
  public static func percent(_ share: Double) -> String { fixed(share * 100, 0) + " %" }

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
        ("interpolated_reloads", number(row.reloads)), ("reference_reloads", "\(row.referenceReloads)"),
      ]
      result += "{\(trace),\(fields.map { "\"\($0)\":\($1)" }.joined(separator: ","))}\n"
    }
    for sum in equalMemorySums {
      let fields: [(String, String)] = [
        ("policy", JSONLine.quoted(sum.policy)), ("equal_to", JSONLine.quoted(equalMemory[0].reference)),
        ("summed_reload_seconds", number(sum.reloadSeconds)), ("summed_reloads", number(sum.reloads)),
      ]
      result += "{\(trace),\(fields.map { "\"\($0)\":\($1)" }.joined(separator: ","))}\n"
    }
    return result
  }
}
