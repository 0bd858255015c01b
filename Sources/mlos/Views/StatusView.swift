import Wire

/// `mlos status`.
struct StatusView {
  var answer: StatusAnswer

  func lines(_ terminal: Terminal) -> [String] {
    let processorTime = answer.ownProcessorSeconds.value.map(Phrases.processorTime) ?? "-"
    let facts: [(String, String)] = [
      ("supervisor", "mlosd \(answer.version), process \(answer.pid), user \(answer.user)"),
      ("running for", Phrases.duration(answer.uptimeSeconds)),
      ("ends by itself", answer.isEphemeral ? "when the last process it watches is gone" : "no"),
      ("agents' socket", answer.agentSocket), ("control socket", answer.controlSocket),
      ("watches", "\(Phrases.count(answer.agents, "agent", "agents")), \(answer.adopted) adopted"),
      ("modules", "\(answer.modules)"), ("resident", Phrases.bytes(answer.residentBytes)),
      ("live heap", Phrases.bytes(answer.liveHeapBytes)),
      ("journal", journal), ("pressure", pressure),
      ("own use", "\(Phrases.bytes(answer.ownResidentBytes)) resident, \(processorTime) of processor time"),
    ]
    let width = facts.reduce(0) { max($0, $1.0.count) }
    // Room for a value beside its name; else it goes below.
    let isWide = (terminal.columns ?? .max) >= width + 26
    let lines = facts.flatMap { name, value in
      let heading = Emphasis.heading.applied(to: name, terminal)
      guard isWide else { return [heading] + terminal.wrapped("  " + value, indent: 2) }
      let margin = String(repeating: " ", count: width - name.count + 2)
      // Wrapped with the name in place, so that all lines of the value begin in one column.
      let whole = terminal.wrapped(name + margin + value, indent: width + 2)
      return ["\(heading)\(whole[0].dropFirst(name.count))"] + whole.dropFirst()
    }
    return lines + troubles.flatMap { terminal.footnote("\($0.count) \($0.words)", .warning) }
  }

  private var pressure: String {
    let pressure = answer.pressure
    let armed = pressure.triggers.filter { $0.state == "armed" }
    var words =
      armed.isEmpty
      ? "looked at every \(Phrases.duration(pressure.checkSeconds))" : "told by " + armed.map(\.path).joined(separator: ", ")
    for trigger in pressure.triggers where trigger.state == "refused" || trigger.state == "lost" {
      words += "; \(trigger.source): \(trigger.problem.value ?? trigger.state)"
    }
    if pressure.events > 0 {
      words +=
        "; \(Phrases.count(Int(clamping: pressure.events), "event", "events")), the last "
        + Phrases.ago(pressure.lastEventAt, now: answer.startedAt + answer.uptimeSeconds)
    }
    return (pressure.isPressed ? "memory is short; " : "") + words
  }

  private var journal: String {
    guard let journal = answer.journal.value else { return "none" }
    var words = "\(journal.path), "
    switch journal.condition {
    case "writing": words += Phrases.bytes(journal.bytes)
    case let condition: words += "\(condition): \(journal.problem.value ?? "-"); \(journal.queuedRows) rows wait"
    }
    return words + (journal.lostRows > 0 ? "; \(Phrases.count(Int(clamping: journal.lostRows), "row", "rows")) lost" : "")
  }

  /// What was refused or dropped; nothing when all is well.
  private var troubles: [(count: UInt64, words: String)] {
    let counters = answer.counters
    return [
      (counters.sessionsRefused, "sessions refused"),
      (counters.sessionsWithoutDescriptor, "of them because the supervisor may open no more files: raise its limit"),
      (counters.framesRefused, "frames refused"),
      (counters.segmentsRefused, "segments refused"),
      (counters.segmentsLying, "segments told what cannot be: overwritten by their programs"),
      (answer.pressure.bell.value?.refused ?? 0, "programs that wanted to hear of pressure were refused, or did not listen"),
      (counters.eventsDropped, "events dropped"),
      (counters.modulesDropped, "modules dropped"), (counters.unreadableProcesses, "processes could not be read"),
      (counters.unreadableFiles, "files could not be read"),
    ].filter { $0.0 > 0 }
  }
}
