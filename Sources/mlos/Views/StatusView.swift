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
      ("own use", "\(Phrases.bytes(answer.ownResidentBytes)) resident, \(processorTime) of processor time"),
    ]
    let width = facts.reduce(0) { max($0, $1.0.count) }
    let lines = facts.map { name, value in
      Emphasis.heading.applied(to: name, terminal) + String(repeating: " ", count: width - name.count + 2) + value
    }
    return lines
      + troubles.map { Emphasis.warning.applied(to: "\($0.count) \($0.words)", terminal) }
  }

  /// What was refused or dropped; nothing when all is well.
  private var troubles: [(count: UInt64, words: String)] {
    let counters = answer.counters
    return [
      (counters.sessionsRefused, "sessions refused"), (counters.framesRefused, "frames refused"),
      (counters.segmentsRefused, "segments refused"), (counters.eventsDropped, "events dropped"),
      (counters.modulesDropped, "modules dropped"), (counters.unreadableProcesses, "processes could not be read"),
      (counters.unreadableFiles, "files could not be read"),
    ].filter { $0.0 > 0 }
  }
}
