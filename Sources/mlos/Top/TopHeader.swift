import Client
import Wire

/// What stands above the table.
extension TopModel {
  /// The most important first: as many are shown as there is room for.
  ///
  /// - Parameter window: The rows on screen, where not all are.
  func header(_ terminal: Terminal, count: Int, window: Range<Int>?, at time: Double, clock: (Double) -> String) -> [String] {
    var lines = [title(count: count, window: window, clock: clock).text(terminal), figures().text(terminal)]
    lines.append(trouble(terminal, at: time) ?? background().text(terminal))
    return lines
  }

  /// 2 s: a supervisor that is alive answers in a fraction of one.
  private static let patience = 2.0

  /// Nil when there are news and what is shown is still there.
  func trouble(_ terminal: Terminal, at time: Double) -> String? {
    var candidates: [String] = []
    if let failure {
      let length = Phrases.duration(time - failure.since)
      let next = isPaused ? "" : "; retrying"
      if case .notReachable(_, let reason) = failure.error {
        candidates = [
          "no supervisor for \(length): \(reason)\(next)", "no supervisor for \(length)\(next)", "no supervisor\(next)",
          "no supervisor",
        ]
      } else {
        candidates = ["\(failure.error)\(next)", "no answer for \(length)\(next)", "no answer"]
      }
    } else if let asked, time - asked >= Self.patience {
      let length = Phrases.duration(time - asked)
      candidates = ["the supervisor has not answered for \(length)", "no answer for \(length)", "no answer"]
    } else if isGone {
      let who = if case .process(let pid, let name) = page { "\(name) (\(pid))" } else { "process \(only ?? 0)" }
      candidates = ["\(who) has ended or is not watched any more", "\(who) is gone", "gone"]
    }
    guard !candidates.isEmpty else { return nil }
    let texts = candidates.map { PlainText.of($0) }
    let fitting = texts.first { DisplayWidth.of($0) <= terminal.columns ?? .max } ?? texts[texts.count - 1]
    let text = terminal.columns.map { DisplayWidth.cut(fitting, to: $0, keepingEnd: false) } ?? fitting
    return Emphasis.bad.applied(to: text, terminal)
  }

  private func title(count: Int, window: Range<Int>?, clock: (Double) -> String) -> TopLine {
    var line = TopLine()
    switch page {
    case .processes:
      let all = processes.count
      let words = Phrases.count(all, "process", "processes")
      line.add(count == all ? words : "\(count) of \(words)", rank: 0, .heading)
    case .packages, .process:
      let all = shownPackages.map(\.packages.count)
      let words = all.map { Phrases.count($0, "package", "packages") } ?? "packages"
      let owner: String? = if case .process(let pid, let name) = page { " of \(name) (\(pid))" } else { only.map { " of \($0)" } }
      line.add(PlainText.of((count == all ?? count ? words : "\(count) of \(words)") + (owner ?? "")), rank: 0, .heading)
    }
    line.add("by \(list.order.rawValue)\(list.isReversed ? ", reversed" : "")", rank: 3)
    if !list.filter.isEmpty { line.add("with \"\(PlainText.of(list.filter))\"", rank: 2, .warning) }
    if isPaused {
      line.add("paused", rank: 1, .warning)
    } else {
      line.add("every \(Self.interval(interval))", rank: 5)
    }
    if let window { line.add("\(window.lowerBound + 1)-\(window.upperBound) shown", rank: 4) }
    if let reading { line.add(clock(reading.processes.takenAt), rank: 6, .faint) }
    return line
  }

  /// Sums over the processes, or the figures of the one whose packages are shown.
  private func figures() -> TopLine {
    var line = TopLine()
    guard reading != nil else { return line }
    var all = processes
    if case .process(let pid, _) = page { all = all.filter { $0.row.pid == pid } }
    let totals = TopTotals(all)
    func text(_ figure: String, _ unknown: Int) -> String {
      unknown > 0 && unknown < totals.processes ? "\(figure) (\(unknown) not known)" : figure
    }
    line.add("resident \(Phrases.bytes(totals.residentBytes))", rank: 0)
    line.add(
      text("private \(totals.privateBytes.value.map { Phrases.bytes($0) } ?? "-")", totals.privateBytes.unknown), rank: 3)
    let growth = totals.heapGrowth.value.map { $0.rounded() == 0 ? " (0 B/s)" : " (\(TopTable.signed($0))/s)" } ?? ""
    line.add(
      text("heap \(totals.liveHeapBytes.value.map { Phrases.bytes($0) } ?? "-")\(growth)", totals.liveHeapBytes.unknown), rank: 1)
    line.add("alloc \(TopTable.bytes(totals.allocatedBytesPerSecond.value))/s", rank: 2)
    return line
  }

  private func background() -> TopLine {
    var line = TopLine()
    guard let reading else { return line }
    if let pid = scope.pid, let answer = shownPackages, let process = answer.processes.first(where: { $0.pid == pid }) {
      let share = Phrases.share(process.packagedFileBackedResidentBytes, of: process.fileBackedResidentBytes)
      line.add("packages hold \(share) of \(Phrases.bytes(process.fileBackedResidentBytes)) file-backed", rank: 0)
      line.add("\(Phrases.bytes(process.anonymousResidentBytes)) anonymous", rank: 1)
      return line
    }
    let status = reading.status
    line.add("supervisor \(Phrases.bytes(status.ownResidentBytes))", rank: 0)
    line.add("\(TopTable.percent(supervisorPercent)) % CPU", rank: 1)
    line.add("up \(Phrases.duration(status.uptimeSeconds))", rank: 2)
    line.add(Phrases.count(status.agents, "agent", "agents"), rank: 3)
    line.add("\(status.adopted) adopted", rank: 4)
    return line
  }

  /// "0.2 s", "5 s".
  static func interval(_ seconds: Double) -> String {
    let text = Phrases.decimal(seconds, places: 2)
    return (text.hasSuffix(".00") ? String(text.dropLast(3)) : text.hasSuffix("0") ? String(text.dropLast()) : text) + " s"
  }
}
