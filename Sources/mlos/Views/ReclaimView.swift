import Model
import Wire

/// What came of `unload`, `trim` and `gc`.
struct ReclaimView {
  var answer: ReclaimAnswer

  /// Libraries that stayed, of one process.
  static let shown = 8

  func lines(_ terminal: Terminal) -> [String] {
    var lines: [String] = []
    for process in answer.processes {
      lines += terminal.wrapped(headline(process), indent: 2).map { emphasis(process).applied(to: $0, terminal) }
      lines += table(process).map { $0.lines(terminal) } ?? []
      lines += stayed(process).flatMap { terminal.wrapped("  " + $0, indent: 4) }
      lines.append("")
    }
    return lines + terminal.footnote(summary)
  }

  private func emphasis(_ process: ReclaimRow) -> Emphasis { process.success || answer.dryRun ? .heading : .warning }

  private func headline(_ process: ReclaimRow) -> String {
    let place = "\(process.name) (\(process.pid))"
    let whose = process.package.value.map { "\($0) in \(place)" } ?? place
    if answer.dryRun {
      if let refusal = process.obstacle.value { return "\(whose): nothing would be tried: \(ReclaimWords.reason(refusal))" }
      return "\(whose) would give back up to \(Phrases.bytes(process.predictedBytes)) of clean pages"
    }
    guard process.success, let freed = process.freedBytes.value else {
      return "\(whose) gave nothing back: \(ReclaimWords.reason(process.obstacle.value ?? "not-measured"))"
    }
    let expected = process.predictedBytes.value.map { "; \(Phrases.bytes($0)) of clean pages were expected" } ?? ""
    return "\(whose) gave back \(Phrases.bytes(freed)) in \(Phrases.decimal(process.seconds, places: 2)) s\(expected)"
  }

  private func table(_ process: ReclaimRow) -> Table? {
    let rungs = process.rungs.filter { !ReclaimWords.isBesideThePoint($0.refusal.value) }
    guard !rungs.isEmpty else { return nil }
    return Table(
      columns: [
        .text("  RUNG", minimum: 16), .number("GAVE BACK"), .number("RESIDENT", drop: 2), .number("PROPORTIONAL", drop: 3),
        .number("PRIVATE", drop: 1), .number("TIME", drop: 4), .text("NOTE", minimum: 10, drop: 5),
      ],
      rows: rungs.map { rung in
        [
          Table.Cell("  " + ReclaimWords.rung(rung.rung)),
          Table.Cell(rung.refusal.value == nil ? Phrases.bytes(rung.freedBytes) : "-"),
          Table.Cell(Phrases.bytes(Known(rung.after.value?.residentBytes))),
          Table.Cell(Phrases.bytes(Known(rung.after.value?.proportionalBytes))),
          Table.Cell(Phrases.bytes(Known(rung.after.value?.privateBytes))),
          Table.Cell("\(Phrases.decimal((rung.agentSeconds.value ?? rung.seconds) * 1e3, places: 1)) ms"),
          Table.Cell(note(rung), .faint),
        ]
      })
  }

  private func note(_ rung: ReclaimRungRow) -> String {
    if let refusal = rung.refusal.value { return ReclaimWords.reason(refusal) }
    guard let count = rung.count.value else { return "" }
    switch rung.rung {
    case "collect": return "\(Phrases.count(Int(clamping: count), "object", "objects")) collected"
    case "closed-modules": return "\(Phrases.count(Int(clamping: count), "library", "libraries")) unmapped"
    case "control-group": return "the group holds \(Phrases.bytes(count)) less"
    case "equal-pages": return "\(Phrases.bytes(count)) kept once with equal pages"
    case "callbacks": return "the program says \(Phrases.bytes(count))"
    default: return ""
    }
  }

  private func stayed(_ process: ReclaimRow) -> [String] {
    let all = process.rungs.flatMap(\.stayed).filter { !$0.name.isEmpty }
      .sorted { ($1.bytes.value ?? 0, $0.name) < ($0.bytes.value ?? 0, $1.name) }
    var lines = all.prefix(Self.shown).map {
      "stayed: \($0.name), \(Phrases.bytes($0.bytes)): \(ReclaimWords.reason($0.reason))"
    }
    if all.count > Self.shown { lines.append("and \(all.count - Self.shown) more (--json lists them)") }
    return lines
  }

  private var summary: String {
    if answer.dryRun { return "a dry run: nothing was touched" }
    let freed = answer.freedBytes.value.map { "\(Phrases.bytes($0)) came back over all, shared pages counted once" }
    guard let before = answer.usedBeforeBytes.value, let after = answer.usedAfterBytes.value else {
      return freed ?? "what came back over all could not be measured"
    }
    return (freed ?? "not everything could be measured")
      + "; in use \(Phrases.bytes(before)) before, \(Phrases.bytes(after)) after"
  }
}

/// The words of the truth report as people read them.
enum ReclaimWords {
  static func rung(_ name: String) -> String {
    switch name {
    case "closed-modules": "closed libraries"
    case "callbacks": "its own callbacks"
    case "collect": "Python's collector"
    case "trim": "allocator"
    case "module-pages": "pages of files"
    case "equal-pages": "equal pages"
    case "control-group": "its control group"
    case "heap-pages": "swap"
    default: name
    }
  }

  /// Of rungs that do not apply to this program.
  static func isBesideThePoint(_ refusal: String?) -> Bool {
    refusal.map(ReclaimReport.isInapplicable) ?? false
  }

  static func reason(_ word: String) -> String {
    let parts = word.split(separator: ":", maxSplits: 1)
    let detail = parts.count > 1 ? String(parts[1]) : ""
    return switch parts.first.map(String.init) ?? word {
    case "supervisor-ended": "the supervisor ended before it was measured"
    case "denied": "its user denies it"
    case "not-there": "it was gone already"
    case "no-agent": "it runs without the agent (start it with mlos run)"
    case "agent-not-connected": "its agent is not connected"
    case "agent-too-old": "its agent is of an older version: start the program again"
    case "not-answered": "its agent did not answer in time"
    case "no-control-thread": "its agent has no thread of its own there, and the program does not run"
    case "connection-ended": "the connection to its agent ended"
    case "process-ended": "it has ended"
    case "stopped": "the process is stopped"
    case "under-way": "something is being given back there already"
    case "unreadable": "its memory cannot be read"
    case "in-use": detail.isEmpty ? "in use a moment ago (--force takes it all the same)" : "the program marks it busy"
    case "no-swap": "there is no swap to hold it"
    case "unavailable": "this system cannot: \(unavailable(detail))"
    case "not-equal-yet": "nothing equal was found so far; the kernel goes on looking"
    case "not-asked-for": "only a rule asks for it"
    case "no-python": "there is no Python in it"
    case "no-safe-point": "the main thread waits in a system call; the collector runs when it returns"
    case "too-soon": "asked again too soon; allowed in \(detail)"
    case "no-purge-call": "its allocator has no call for it"
    case "not-permitted": "the system does not permit it: mlosd needs the right to trace the process"
    case "seccomp": "a seccomp filter forbids new system calls"
    case "remote-file-system": "its file lies on a file system that may be gone when it is wanted back"
    case "file-replaced": "its file was deleted or replaced"
    case "nothing-resident": "nothing of it was in memory that could go"
    case "nodelete": "it is linked never to be unloaded"
    case "unique-symbol": "unique symbols of it are bound"
    case "tls-destructor": "a thread has thread-local objects of it to destroy"
    case "needed-by": "\(detail) needs it"
    case "thread-inside": "thread \(detail) is inside it"
    case "thread-started": "thread \(detail) was started from it"
    case "signal-handler": "it handles signal \(detail)"
    case "exit-handler": "it has functions to call at exit"
    case "key-destructor": "it has functions to call when threads end"
    case "family": "libraries of its kind (\(detail)) do not survive it"
    case "kernel": "the kernel refused (\(detail.isEmpty ? "see the log" : detail))"
    default: word
    }
  }

  private static func unavailable(_ what: String) -> String {
    switch what {
    case "no-ksm": "the kernel is built without merging of equal pages (KSM)"
    case "ksm-off": "the kernel merges no equal pages (/sys/kernel/mm/ksm/run is not 1)"
    case "no-cgroup-v2": "there are no control groups of version 2"
    case "no-memory-controller": "control groups of version 2 do not count memory here"
    case "no-memory-reclaim": "the kernel has no memory.reclaim (Linux 5.19)"
    case "not-writable": "memory.reclaim cannot be written"
    case "group-unreadable": "its control group cannot be read"
    case "group-not-seen": "its control group is not seen from here"
    case "group-changed": "it changed its control group meanwhile"
    case "group-has-children": "its control group has others below it"
    case "no-amount": "how much is wanted must be said (wanted_bytes)"
    case let shared where shared.hasPrefix("group-shared-with-"):
      "its control group has processes that are not meant (\(shared.dropFirst("group-shared-with-".count)))"
    default: what
    }
  }
}
