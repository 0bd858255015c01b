import Logging
import Model

/// What a connecting agent brought, every part verified with the kernel by the caller.
public struct SessionOpening: Sendable {
  public var id: SessionID
  /// From SO_PEERCRED.
  public var pid: Int32
  public var user: UInt32
  public var segment: any SegmentReading
  /// Nil when nothing can be asked of it.
  public var commands: (any AgentCommanding)?

  public init(
    id: SessionID, pid: Int32, user: UInt32, segment: any SegmentReading, commands: (any AgentCommanding)? = nil
  ) {
    self.commands = commands
    self.id = id
    self.pid = pid
    self.user = user
    self.segment = segment
  }
}

/// Called by the agents' socket thread; each call waits until the supervisor has taken it.
public protocol SessionSink: Sendable {
  /// Nil when the session was taken, else the reason for the REJECT.
  func agentAttached(_ opening: SessionOpening) -> String?
  /// The socket closed. `hasExited`: the kernel says the process has ended.
  func agentDetached(_ id: SessionID, hasExited: Bool)
  func processExited(_ pid: Int32, session: SessionID)
  /// - Parameter seconds: By the agent's own clock.
  func answered(_ id: SessionID, request: UInt32, _ outcome: CommandOutcome, seconds: Double)
  func refused(_ what: Refusal, count: Int)
}

extension SessionSink {
  public func refused(_ what: Refusal) { refused(what, count: 1) }
}

/// What was turned away, for the counters.
public enum Refusal: Sendable {
  case session, frame, segment
  /// A session, for want of descriptors of our own.
  case withoutDescriptor
}

extension Supervisor: SessionSink {
  public nonisolated func agentAttached(_ opening: SessionOpening) -> String? {
    synchronously { $0.attach(opening) }
  }
  public nonisolated func agentDetached(_ id: SessionID, hasExited: Bool) {
    synchronously { $0.detach(id, hasExited: hasExited) }
  }
  public nonisolated func processExited(_ pid: Int32, session: SessionID) {
    synchronously { supervisor in
      guard supervisor.sessions[session] == pid else { return }
      supervisor.forget(pid)
    }
  }
  public nonisolated func answered(_ id: SessionID, request: UInt32, _ outcome: CommandOutcome, seconds: Double) {
    synchronously { supervisor in
      supervisor.questions.end(Questions.Key(session: id, request: request), with: .outcome(outcome, seconds: seconds))
      supervisor.heapAnswered(id, request: request, outcome)
    }
  }
  public nonisolated func refused(_ what: Refusal, count: Int) {
    synchronously { supervisor in
      switch what {
      case .session: supervisor.counters.sessionsRefused += UInt64(count)
      case .withoutDescriptor:
        supervisor.counters.sessionsRefused += UInt64(count)
        supervisor.counters.sessionsWithoutDescriptor += UInt64(count)
      case .frame: supervisor.counters.framesRefused += UInt64(count)
      case .segment: supervisor.counters.segmentsRefused += UInt64(count)
      }
    }
  }
}

extension Supervisor {
  private func attach(_ opening: SessionOpening) -> String? {
    let moment = now()
    let facts: ProcessFacts
    do throws(InspectionError) {
      facts = try inspector.facts(of: opening.pid)
    } catch {
      counters.unreadableProcesses += 1
      counters.sessionsRefused += 1
      return "process \(opening.pid) cannot be read: \(error)"
    }
    var process: WatchedProcess
    if let known = processes[opening.pid], known.facts.identity == facts.identity {
      // The same process again: it lost us, or executed another program. What was observed of its files stays true.
      if case .agent(let old, _) = known.link {
        sessions[old] = nil
        questions.end(allOf: old)
        endHeapProfile(of: opening.pid, session: old, .detached)
      }
      drainEvents(of: opening.pid, at: moment)
      process = processes[opening.pid] ?? known
      process.facts = facts
      // The ring of a segment that is known goes on where it was left: what was read of it is in the history.
      if process.segment?.inode != opening.segment.inode {
        process.takeNewSegment(began: began(facts.identity, moment))
      }
      process.link = .agent(opening.id, opening.segment)
      process.cacheLimitTold = nil
    } else {
      if processes[opening.pid] != nil { forget(opening.pid) }
      guard processes.count < options.processLimit else {
        counters.sessionsRefused += 1
        return "limit of \(options.processLimit) watched processes reached (agents.limit)"
      }
      process = WatchedProcess(
        link: .agent(opening.id, opening.segment), facts: facts, nextScan: firstScan(moment),
        began: began(facts.identity, moment))
    }
    processes[opening.pid] = process
    sessions[opening.id] = opening.pid
    heap.commands[opening.id] = opening.commands
    hasWatched = true
    counters.sessionsAccepted += 1
    record(.attached, pid: opening.pid, name: facts.name, at: moment.wall, subject: facts.executable.map { printable($0) })
    drainEvents(of: opening.pid, at: moment)
    tellCacheLimit(to: opening.pid)
    wakeWaiters()
    logger.debug("agent attached", metadata: about(opening.pid, ["name": "\(facts.name)"]))
    return nil
  }

  /// What every log line about a process carries; the session is the correlation id of one agent's connection.
  func about(_ pid: Int32, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
    var metadata = more
    metadata["pid"] = "\(pid)"
    if let process = processes[pid], case .agent(let id, _) = process.link { metadata["session"] = "\(id.number)" }
    return metadata
  }

  func firstScan(_ moment: Moment) -> UInt64 {
    // The first scan starts the observation and is due at once.
    options.observeInterval == nil ? .max : moment.monotonic
  }

  private func detach(_ id: SessionID, hasExited: Bool) {
    heap.commands[id] = nil
    questions.end(allOf: id)
    guard let pid = sessions.removeValue(forKey: id), let process = processes[pid] else { return }
    endHeapProfile(of: pid, session: id, hasExited ? .exited : .detached)
    guard case .agent(let current, let segment) = process.link, current == id else { return }
    drainEvents(of: pid, at: now())
    if hasExited {
      forget(pid)
    } else {
      processes[pid]?.link = .detached(segment)
      record(.detached, pid: pid, name: process.facts.name, at: now().wall, detail: "connection closed, process lives")
      wakeWaiters()
      lookForProgramChange(pid)
    }
    logger.debug("agent detached", metadata: ["pid": "\(pid)", "session": "\(id.number)", "exited": "\(hasExited)"])
  }

  /// The process has ended: takes its last events and drops it.
  func forget(_ pid: Int32) {
    drainEvents(of: pid, at: now())
    guard let process = processes.removeValue(forKey: pid) else { return }
    if case .agent(let id, _) = process.link {
      sessions[id] = nil
      heap.commands[id] = nil
      questions.end(allOf: id)
      endHeapProfile(of: pid, session: id, .exited)
    }
    record(.exited, pid: pid, name: process.facts.name, at: now().wall)
    wakeWaiters()
  }

  /// Watches a process that has no agent.
  public func adopt(_ pid: Int32) async throws(CommandError) -> (process: ProcessSnapshot, isNew: Bool) {
    let moment = now()
    if processes[pid] != nil, refresh(pid, at: moment), let process = processes[pid] { return (snapshot(process, moment), false) }
    let facts: ProcessFacts
    do throws(InspectionError) {
      facts = try inspector.facts(of: pid)
      guard facts.executable != nil || !facts.commandLine.isEmpty else {
        throw InspectionError.unreadable("process \(pid) is a kernel thread or has ended: it has no memory of its own")
      }
      // Without this right nothing but the list could be shown.
      _ = try inspector.mappings(of: pid)
    } catch {
      switch error {
      case .gone: throw .noSuchProcess(pid: pid)
      case .notPermitted(let why): throw .notPermitted(why)
      case .unreadable(let why): throw .unreadable(why)
      }
    }
    guard processes.count < options.processLimit else {
      throw .limitReached("limit of \(options.processLimit) watched processes reached (agents.limit)")
    }
    let process = adopt(facts, at: moment, detail: "asked for")
    countModules()
    return (snapshot(processes[pid] ?? process, moment), true)
  }

  @discardableResult
  func adopt(
    _ facts: ProcessFacts, at moment: Moment, detail: String, link: WatchedProcess.Link = .adopted
  ) -> WatchedProcess {
    let process = WatchedProcess(
      link: link, facts: facts, nextScan: firstScan(moment), began: began(facts.identity, moment))
    processes[facts.identity.pid] = process
    hasWatched = true
    record(
      .adopted, pid: facts.identity.pid, name: facts.name, at: moment.wall, subject: facts.executable.map { printable($0) },
      detail: detail)
    wakeWaiters()
    return process
  }
}
