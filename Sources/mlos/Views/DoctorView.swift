import Model
import Wire

/// `mlos doctor --json`.
struct DoctorReport: Codable, Sendable, Hashable {
  static let schema = "mlos.doctor/1"
  var schema = DoctorReport.schema
  var version = Release.version
  var findings: [Finding]
}

/// `mlos doctor`.
struct DoctorView {
  var findings: [Finding]

  func lines(_ terminal: Terminal) -> [String] {
    var lines: [String] = []
    for finding in findings {
      let (word, emphasis): (String, Emphasis) =
        switch finding.verdict {
        case .works: ("works  ", .good)
        case .limited: ("limited", .warning)
        case .missing: ("missing", .bad)
        case .unknown: ("unknown", .faint)
        }
      // On a narrow terminal what follows from it begins further left.
      let indent = (terminal.columns ?? .max) >= 60 ? 9 : 2
      let margin = String(repeating: " ", count: indent)
      // Wrapped without colours, whose codes take no room.
      let head = terminal.wrapped("\(word)  \(finding.subject): \(finding.found)", indent: indent)
      lines.append(emphasis.applied(to: word, terminal) + emphasized(head[0].dropFirst(word.count), finding.subject, terminal))
      lines += head.dropFirst()
      for text in [finding.consequence, finding.remedy.map { "do: \($0)" }].compactMap(\.self) {
        lines += terminal.wrapped(margin + text, indent: indent)
      }
    }
    func count(_ verdict: Finding.Verdict) -> Int { findings.count { $0.verdict == verdict } }
    return lines
      + terminal.footnote(
        "\(count(.works)) work, \(count(.limited)) limited, \(count(.missing)) missing, \(count(.unknown)) unknown")
  }

  /// The subject in a line stands out; nothing does when the line ends within it.
  private func emphasized(_ line: Substring, _ subject: String, _ terminal: Terminal) -> String {
    guard line.hasPrefix("  \(subject)") else { return String(line) }
    return "  " + Emphasis.heading.applied(to: subject, terminal) + line.dropFirst(2 + subject.count)
  }

  /// Whether `--strict` fails.
  var hasMissing: Bool { findings.contains { $0.verdict == .missing } }
}
