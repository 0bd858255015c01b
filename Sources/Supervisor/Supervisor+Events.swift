import Model

/// Someone who waits for an event.
struct EventWaiter {
  var after: UInt64
  var pid: Int32?
  var limit: Int
  var continuation: CheckedContinuation<EventsPage, Never>
}

extension Supervisor {
  /// More at a time are answered at once with what there is.
  static var waiterLimit: Int { 1_000 }

  /// True while someone follows: the rings are then looked at more often.
  public var isFollowed: Bool { !waiters.isEmpty }

  public func events(after: UInt64?, limit: Int, wait: Double, pid: Int32?) async -> EventsPage {
    for id in processes.keys.sorted() { drainEvents(of: id, at: now()) }
    let page = history.page(after: after, limit: limit, pid: pid)
    guard page.events.isEmpty, page.lost == 0, wait > 0, !isClosed, waiters.count < Self.waiterLimit else { return page }
    let number = nextWaiter
    nextWaiter += 1
    let timeout = Task { [weak self] in
      try await Task.sleep(for: .seconds(wait))
      await self?.release(number)
    }
    defer { timeout.cancel() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        waiters[number] = EventWaiter(after: page.next, pid: pid, limit: limit, continuation: continuation)
      }
    } onCancel: {
      Task { await self.release(number) }
    }
  }

  /// Answers everyone who waits and lets no one wait from now on, for a shutdown.
  public func close() {
    isClosed = true
    endHeapProfiles()
    for number in waiters.keys.sorted() { release(number) }
  }

  private func release(_ number: UInt64) {
    guard let waiter = waiters.removeValue(forKey: number) else { return }
    waiter.continuation.resume(returning: history.page(after: waiter.after, limit: waiter.limit, pid: waiter.pid))
  }

  func wakeWaiters() {
    for (number, waiter) in waiters.sorted(by: { $0.key < $1.key }) {
      let page = history.page(after: waiter.after, limit: waiter.limit, pid: waiter.pid)
      guard !page.events.isEmpty || page.lost > 0 else {
        waiters[number]?.after = page.next
        continue
      }
      waiters[number] = nil
      waiter.continuation.resume(returning: page)
    }
  }

  /// Takes what the agent has written since the last time.
  func drainEvents(of pid: Int32, at moment: Moment) {
    guard let process = processes[pid], let segment = process.segment else { return }
    let (events, next, lost) = segment.events(from: process.eventCursor)
    processes[pid]?.eventCursor = next
    processes[pid]?.ringSeen = moment.monotonic
    guard !events.isEmpty || lost > 0 else { return }
    // The number is the agent's word and may be anything.
    if lost > Plausible.growth(since: process.ringSeen, at: moment.monotonic) {
      noteLie(of: pid, "\(lost) events since the last look", at: moment)
    } else if lost > 0 {
      counters.eventsDropped += lost
      record(
        .lost, pid: pid, name: process.facts.name, at: moment.wall,
        detail: "\(lost) events were overwritten before they were read")
    }
    let named = modules(for: events, segment)
    let packages =
      named.isEmpty || !lookUps.take(at: moment.monotonic)
      ? [:] : files.packages(for: Set(named.values.map(\.path)), of: pid, program: process.facts.executable)
    for event in events {
      let module = event.module.flatMap { named[$0] }
      let path = module?.path
      processes[pid]?.untold.take(event)
      if event.kind == .loaded, let module,
        processes[pid]?.untold.isTold(inode: module.inode ?? 0, path: module.path) == true
      {
        continue
      }
      record(
        Self.kind(event.kind), pid: pid, name: process.facts.name,
        at: moment.wallTime(ofMonotonic: min(event.time, moment.monotonic)),
        thread: event.thread, subject: path.map { printable($0) } ?? (event.text.isEmpty ? nil : printable(event.text)),
        isSubjectCut: path == nil && event.isTextCut, package: path.flatMap { packages[$0]?.name }, detail: Self.detail(event))
      if event.kind == .fork { follow(fork: event, of: process, at: moment) }
    }
    wakeWaiters()
  }

  private func modules(for events: [AgentEvent], _ segment: any SegmentReading) -> [UInt32: AgentModule] {
    guard events.contains(where: { $0.module != nil }), let report = segment.report() else { return [:] }
    return Dictionary(report.modules.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Tells of loads that the agent cannot tell of, and remembers them for the listings.
  func noteUntoldLoads(_ pid: Int32, _ mappings: [Mapping], at moment: Moment) {
    guard let process = processes[pid], process.untold.isDue(at: moment.monotonic), let report = process.segment?.report()
    else { return }
    let found = processes[pid]?.untold.find(in: mappings, besides: report.modules) ?? []
    guard !found.isEmpty else { return }
    let packages =
      lookUps.take(at: moment.monotonic)
      ? files.packages(for: Set(found.map(\.file.path)), of: pid, program: process.facts.executable) : [:]
    for (file, time) in found {
      record(
        .loaded, pid: pid, name: process.facts.name, at: moment.wallTime(ofMonotonic: min(time, moment.monotonic)),
        subject: file.displayPath, package: packages[file.path]?.name, detail: "seen in /proc, not told by the agent")
    }
    wakeWaiters()
  }

  /// A forked worker has the agent but connects only when it has something to do: until then /proc shows it.
  private func follow(fork event: AgentEvent, of parent: WatchedProcess, at moment: Moment) {
    guard let child = Int32(exactly: event.argument), child > 0, processes[child] == nil,
      processes.count < options.processLimit
    else { return }
    // The number is the parent's word: it is believed only as far as /proc agrees.
    guard let facts = try? inspector.facts(of: child), facts.parent == parent.facts.identity.pid, facts.user == parent.facts.user
    else {
      return
    }
    adopt(facts, at: moment, detail: "forked by \(parent.facts.identity.pid)")
  }

  private static func kind(_ kind: AgentEvent.Kind) -> EventRecord.Kind {
    switch kind {
    case .dlopen: .dlopen
    case .loaded: .loaded
    case .dlclose: .dlclose
    case .unloaded: .unloaded
    case .kept: .kept
    case .fork: .fork
    case .exec: .exec
    case .state: .state
    }
  }

  private static func detail(_ event: AgentEvent) -> String? {
    switch event.kind {
    case .dlopen: "flags 0x" + String(UInt32(truncatingIfNeeded: event.argument), radix: 16)
    case .dlclose: event.argument == 0 ? nil : "returned \(event.argument)"
    case .fork: "child \(event.argument)"
    case .kept: "still mapped after dlclose"
    case .state: "state \(event.argument >> 32), reason \(event.argument & 0xFFFF_FFFF)"
    // When it succeeds there is another program, whose agent attaches; of one that fails nothing more is heard.
    case .exec: event.argument == 0 ? "asked for" : "asked for by child \(event.argument)"
    case .loaded, .unloaded: nil
    }
  }
}
