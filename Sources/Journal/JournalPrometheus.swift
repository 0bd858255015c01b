/// Totals in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4).
public enum PrometheusExport {
  /// - Parameter health: Adds how the journal itself is doing; nil leaves that out.
  public static func text(_ totals: JournalTotals, health: JournalHealth? = nil) -> String {
    var text = ""
    let all = totals.all
    family(&text, "mlos_unloading_unloads_total", "counter", "Unloads that were tried.", [("", "\(all.unloads)")])
    family(
      &text, "mlos_unloading_successful_total", "counter", "Unloads after which memory came back.", [("", "\(all.successful)")])
    family(&text, "mlos_unloading_failed_total", "counter", "Unloads after which no memory came back.", [("", "\(all.failed)")])
    family(
      &text, "mlos_unloading_freed_bytes_total", "counter", "Bytes that came back, as measured.", [("", "\(all.freed.count)")])
    family(&text, "mlos_unloading_seconds_total", "counter", "Seconds that unloads took.", [("", number(all.seconds))])
    if let last = all.lastTime {
      family(
        &text, "mlos_unloading_last_timestamp_seconds", "gauge", "When the last unload ended, since 1970.",
        [("", number(last))])
    }
    family(
      &text, "mlos_unloading_reason_total", "counter", "Unloads that were tried, by why.",
      totals.byReason.map { ("{reason=\"\(label($0.name))\"}", "\($0.totals.unloads)") })
    guard let health else { return text }
    family(
      &text, "mlos_journal_lost_rows_total", "counter", "Rows of the history that were lost since the start.",
      [("", "\(health.lostRows)")])
    family(&text, "mlos_journal_queued_rows", "gauge", "Rows that wait to be written.", [("", "\(health.queuedRows)")])
    family(
      &text, "mlos_journal_writing", "gauge", "1 while the history is written, else 0.",
      [("", health.condition == .writing ? "1" : "0")])
    if let bytes = health.bytes {
      family(&text, "mlos_journal_bytes", "gauge", "Size of the history on the disk.", [("", "\(bytes)")])
    }
    return text
  }

  private static func family(
    _ text: inout String, _ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: String)]
  ) {
    guard !samples.isEmpty else { return }
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    for sample in samples { text += "\(name)\(sample.labels) \(sample.value)\n" }
  }

  /// A label's value: backslash, quote and line feed are escaped; other control characters, which no reader expects, become `?`.
  private static func label(_ value: String) -> String {
    var result = ""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}": result += "?"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    return value.isFinite ? "\(value)" : value < 0 ? "-Inf" : "+Inf"
  }
}
