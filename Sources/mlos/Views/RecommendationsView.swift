import Wire

/// `mlos recommendations`.
struct RecommendationsView {
  var answer: RecommendationsAnswer
  /// Asked about one process: what concerns all unloads is left out.
  var isOfOne = false

  func lines(_ terminal: Terminal) -> [String] {
    var lines: [String] = []
    for row in answer.recommendations {
      let emphasis: Emphasis = row.priority == "high" ? .warning : .heading
      lines += terminal.wrapped("\(row.priority): \(row.message)", indent: 2).map { emphasis.applied(to: $0, terminal) }
      lines += terminal.wrapped("  \(row.suggestion)", indent: 2)
      lines.append("")
    }
    if lines.isEmpty { lines = terminal.wrapped("nothing to recommend", indent: 2) + [""] }
    return lines + looked.flatMap { terminal.footnote($0) }
  }

  /// Nothing found in nothing is no good news: what was looked at belongs to the answer.
  private var looked: [String] {
    let (threads, heaps, copies) = (answer.looked.threads, answer.looked.heaps, answer.looked.copies)
    func unknown(_ count: Int) -> String { count == 0 ? "" : ", \(count) not known" }
    return (isOfOne ? [] : [unloads]) + [
      "threads of \(processes(threads.processes)) watched for \(Phrases.decimal(threads.seconds, places: 1)) s"
        + unknown(threads.unknownProcesses),
      "heaps of \(processes(heaps.processes)) with glibc's malloc and an agent that counts" + unknown(heaps.unknownProcesses),
      "memory of \(copies.comparedProcesses) of \(processes(copies.processes)) compared, \(Phrases.bytes(copies.readBytes)) read"
        + (copies.refusedProcesses == 0 ? "" : ", \(copies.refusedProcesses) could not be read")
        + (copies.isPartial ? ", up to a limit: there may be more" : ""),
    ]
  }

  private func processes(_ count: Int) -> String { Phrases.count(count, "process", "processes") }

  private var unloads: String {
    guard let unloads = answer.looked.unloads.value else { return "unloads: no journal" }
    let span = Phrases.duration(unloads.windowSeconds)
    let few = unloads.unloads < unloads.neededUnloads ? "; nothing is said about fewer than \(unloads.neededUnloads)" : ""
    return "\(Phrases.count(Int(clamping: unloads.unloads), "unload", "unloads")) in the last \(span)\(few)"
  }
}
