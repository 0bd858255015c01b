import Model

/// Profiles under way, and how to reach the agents.
struct HeapProfiles {
  var commands: [SessionID: any AgentCommanding] = [:]
  var active: [Int32: ActiveHeapProfile] = [:]
  var nextRequest: UInt32 = 1
}

/// How a profile came to its end.
enum HeapOutcome: Hashable, Sendable {
  case timeOver, stopped, exited, detached, notAnswered, closing
  case refused(CommandOutcome)
}

struct ActiveHeapProfile {
  var session: SessionID
  var request: UInt32
  var asked: HeapRequest
  var recording: any HeapRecording
  /// Kept until it is resumed, once; nil afterwards, while samples and names are still being put together.
  var continuation: CheckedContinuation<HeapOutcome, Never>?
  var timer: Task<Void, Never>?
}

extension Supervisor {
  /// Each takes up to 40 MiB and a quarter of a processor while it goes on.
  static var heapProfileLimit: Int { 4 }
  /// Samples a second: at 6 us each 0.6 % of one of the process's processors.
  static var heapRate: UInt32 { 1_000 }
  /// 10 s: an agent without a control thread answers when its program allocates.
  static var heapAnswerLimit: Double { 10 }
  /// 30 s: names of some hundred libraries take 2 s; longer only where a file system hangs.
  static var heapFinishLimit: Double { 30 }

  public func profileHeap(_ request: HeapRequest) async throws(CommandError) -> HeapSnapshot {
    let moment = now()
    let (process, session, segment, commands) = try heapTarget(request.pid, moment)
    let number = heap.nextRequest
    heap.nextRequest &+= 1
    // Twice the time, for an agent that begins late: this is for a supervisor that hangs or is killed.
    let reserve = UInt64((2 * request.seconds + 2 * Self.heapAnswerLimit) * 1e9)
    guard let heapProfiler else { throw .unavailable("this supervisor makes no heap profiles") }
    let recording: any HeapRecording
    do throws(InspectionError) {
      recording = try heapProfiler.begin(
        request.pid, mean: request.mean, rate: Self.heapRate, deadline: moment.monotonic &+ reserve)
    } catch {
      throw .unreadable("a heap profile cannot be made: \(error)")
    }
    heap.active[request.pid] = ActiveHeapProfile(session: session, request: number, asked: request, recording: recording)
    defer { heap.active[request.pid] = nil }
    let before = segment.heap().allocations
    let outcome: HeapOutcome
    if commands.send(.heapStart, request: number, descriptor: recording.descriptor) {
      outcome = await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          heap.active[request.pid]?.continuation = continuation
          setHeapTimer(request.pid, number, Self.heapAnswerLimit, .notAnswered)
        }
      } onCancel: {
        // Nobody waits for it any more.
        Task { await self.heapTimeOver(request.pid, number, .stopped) }
      }
    } else {
      outcome = .notAnswered
    }
    let counters = segment.heap()
    let end = now()
    _ = commands.send(.heapStop, request: number, descriptor: nil)
    guard let record = await finished(recording) else {
      throw .unavailable("the names for the profile could not be read within \(Int(Self.heapFinishLimit)) s")
    }
    if case .refused(let answer) = outcome { throw .unavailable(Self.refusal(answer, request.pid)) }
    let hasAllocated = counters.allocations > before
    return snapshot(request, process, outcome, record, counters, end, moment, hasAllocated: hasAllocated)
  }

  public func stopHeapProfile(of pid: Int32) async throws(CommandError) -> HeapProgress {
    let progress = try await heapProgress(of: pid)
    if let active = heap.active[pid] { endHeapProfile(of: pid, session: active.session, .stopped) }
    return progress
  }

  public func heapProgress(of pid: Int32) async throws(CommandError) -> HeapProgress {
    guard let active = heap.active[pid] else {
      guard processes[pid] != nil else { throw .notWatched(pid: pid, watched: processes.keys.sorted()) }
      throw .unavailable("no heap profile of process \(pid) is under way")
    }
    let (samples, began) = active.recording.progress
    let time = now().monotonic
    return HeapProgress(
      pid: pid, askedSeconds: active.asked.seconds,
      seconds: began.map { $0 < time ? Double(time - $0) / 1e9 : 0 }, samples: samples)
  }

  /// What a profile needs of a process, or why there can be none.
  private func heapTarget(
    _ pid: Int32, _ moment: Moment
  ) throws(CommandError) -> (WatchedProcess, SessionID, any SegmentReading, any AgentCommanding) {
    guard processes[pid] != nil, refresh(pid, at: moment), let process = processes[pid] else {
      throw .notWatched(pid: pid, watched: processes.keys.sorted())
    }
    let session: SessionID
    let segment: any SegmentReading
    switch process.link {
    case .adopted: throw .unavailable("process \(pid) runs without the agent: start it with mlos run to profile its heap")
    case .detached:
      throw .unavailable(
        "the agent in process \(pid) is not connected: it closed its descriptors, has a seccomp filter, or is idle")
    case .agent(let id, let its): (session, segment) = (id, its)
    }
    guard segment.abilities.contains(.heapProfile), let commands = heap.commands[session] else {
      throw .unavailable("the agent in process \(pid) is too old for heap profiles: start the program again with this version's")
    }
    if let report = segment.report(), report.state != .active {
      throw .unavailable("the agent in process \(pid) does not count its heap: \(report.reason ?? report.state.rawValue)")
    }
    guard heap.active[pid] == nil else { throw .limitReached("a heap profile of process \(pid) is under way already") }
    guard heap.active.count < Self.heapProfileLimit else {
      throw .limitReached("\(Self.heapProfileLimit) heap profiles are under way, the most at a time")
    }
    return (process, session, segment, commands)
  }

  private func setHeapTimer(_ pid: Int32, _ number: UInt32, _ seconds: Double, _ outcome: HeapOutcome) {
    heap.active[pid]?.timer?.cancel()
    heap.active[pid]?.timer = Task { [weak self] in
      try? await Task.sleep(for: .seconds(seconds))
      guard !Task.isCancelled else { return }
      await self?.heapTimeOver(pid, number, outcome)
    }
  }

  private func heapTimeOver(_ pid: Int32, _ number: UInt32, _ outcome: HeapOutcome) {
    guard let active = heap.active[pid], active.request == number else { return }
    endHeapProfile(of: pid, session: active.session, outcome)
  }

  /// The agent's answer to HEAP_START; that to HEAP_STOP tells nothing new.
  func heapAnswered(_ id: SessionID, request: UInt32, _ outcome: CommandOutcome) {
    guard let pid = sessions[id], let active = heap.active[pid], active.session == id, active.request == request,
      active.continuation != nil
    else { return }
    if case .done = outcome {
      setHeapTimer(pid, request, active.asked.seconds, .timeOver)
    } else {
      endHeapProfile(of: pid, session: id, .refused(outcome))
    }
  }

  /// Wakes whoever asked for it. The first reason counts.
  func endHeapProfile(of pid: Int32, session: SessionID, _ outcome: HeapOutcome) {
    guard let active = heap.active[pid], active.session == session, let continuation = active.continuation else { return }
    heap.active[pid]?.continuation = nil
    active.timer?.cancel()
    continuation.resume(returning: outcome)
  }

  func endHeapProfiles() {
    for (pid, active) in heap.active { endHeapProfile(of: pid, session: active.session, .closing) }
  }

  /// Nil when it takes too long.
  private func finished(_ recording: any HeapRecording) async -> HeapRecord? {
    let limit = Self.heapFinishLimit
    return await withCheckedContinuation { continuation in
      let once = OneAnswer(continuation)
      recording.finish { once.give($0) }
      Task {
        try? await Task.sleep(for: .seconds(limit))
        once.give(nil)
      }
    }
  }

  private func snapshot(
    _ request: HeapRequest, _ process: WatchedProcess, _ outcome: HeapOutcome, _ record: HeapRecord, _ counters: HeapCounters,
    _ end: Moment, _ start: Moment, hasAllocated: Bool
  ) -> HeapSnapshot {
    let last = min(record.ended ?? end.monotonic, end.monotonic)
    let first = record.began ?? last
    var exact: HeapExact?
    // What a liar claims to have allocated before may be more than what it has now.
    if record.hasBegun, believable(counters, of: request.pid, at: end) != nil,
      counters.allocations >= record.countersAtStart.allocations,
      counters.bytesAllocated >= record.countersAtStart.bytesAllocated
    {
      exact = HeapExact(
        allocations: counters.allocations - record.countersAtStart.allocations,
        allocatedBytes: counters.bytesAllocated - record.countersAtStart.bytesAllocated, liveBytes: counters.live)
    }
    let paths = Set(record.frames.compactMap { $0.file?.path })
    let owners = files.packages(for: paths, of: request.pid, program: process.facts.executable)
    return HeapSnapshot(
      startedAt: start.wall, pid: request.pid, name: process.facts.name, seconds: first < last ? Double(last - first) / 1e9 : 0,
      askedSeconds: request.seconds, reason: reason(outcome, record, process, hasAllocated), record: record, exact: exact,
      attribution: HeapAttribution(record, packages: owners))
  }

  private func reason(
    _ outcome: HeapOutcome, _ record: HeapRecord, _ process: WatchedProcess, _ hasAllocated: Bool
  ) -> String? {
    switch record.end {
    case .filter: return "the program installed a seccomp filter, after which the agent makes no system calls"
    case .notCounting: return "the agent had to give up counting this heap"
    case .deadline where outcome == .timeOver: break
    case .none, .stopped, .deadline, .disconnected, .unknown: break
    }
    switch outcome {
    case .timeOver: return nil
    case .stopped: return "stopped on request"
    case .exited: return "the process ended"
    case .detached:
      // Of one that is killed the socket closes first.
      if (try? inspector.isRunning(process.facts.identity)) == false { return "the process ended" }
      return "the connection to the agent ended: the process executed another program or closed its descriptors"
    case .closing: return "the supervisor was asked to end"
    case .notAnswered:
      let facts = try? inspector.facts(of: process.facts.identity.pid)
      if facts?.state == "T" || facts?.state == "t" { return "the process is stopped: its agent could not begin" }
      let late = "the agent did not begin within \(Int(Self.heapAnswerLimit)) s: "
      if let filter = facts?.seccomp, filter > 0 {
        return late + "the process has a seccomp filter, behind which it makes no system calls of a new kind"
      }
      // MLOS_TICK_ALLOCATIONS
      return late
        + (hasAllocated
          ? "without a control thread it looks at every 128th allocation of a thread only, and at large ones"
          : "it waits for the program to allocate")
    case .refused: return nil
    }
  }

  private static func refusal(_ answer: CommandOutcome, _ pid: Int32) -> String {
    switch answer {
    case .unsupported:
      return "the agent in process \(pid) is too old for heap profiles: start the program again with this version's"
    case .failed(let code):
      // enum mlos_heap_refusal
      switch code {
      case 1: return "the agent in process \(pid) does not count its heap"
      case 2: return "process \(pid) has a seccomp filter: its agent makes no new system calls"
      case 3: return "process \(pid) could not take the profile's descriptor: its limit of open files is reached"
      case 4: return "the agent in process \(pid) has another layout of heap profiles: it and mlosd are of different versions"
      case 5: return "process \(pid) has no memory left to map the profile"
      case 6: return "a heap profile of process \(pid) is under way, or one of its threads is stuck in the last one"
      default: return "the agent in process \(pid) refused, code \(code)"
      }
    case .done: return "the agent in process \(pid) did not begin"
    }
  }
}
