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
      lines.append(
        "\(emphasis.applied(to: word, terminal))  \(Emphasis.heading.applied(to: finding.subject, terminal)): \(finding.found)")
      if let consequence = finding.consequence { lines.append("         \(consequence)") }
      if let remedy = finding.remedy { lines.append("         do: \(remedy)") }
    }
    func count(_ verdict: Finding.Verdict) -> Int { findings.count { $0.verdict == verdict } }
    lines.append(
      Emphasis.faint.applied(
        to: "\(count(.works)) work, \(count(.limited)) limited, \(count(.missing)) missing, \(count(.unknown)) unknown", terminal)
    )
    return lines
  }

  /// Whether `--strict` fails.
  var hasMissing: Bool { findings.contains { $0.verdict == .missing } }
}
