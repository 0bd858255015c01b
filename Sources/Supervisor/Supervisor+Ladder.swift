import Model

extension Supervisor {
  /// 10 s: a program may be stopped by the system for so long.
  static var reclaimAnswerLimit: Double { 10 }
  /// 1.5 s: an agent without a control thread looks for commands once a second, if its program allocates; an idle one's never does.
  static var threadlessAnswerLimit: Double { 1.5 }
  /// 0.2 s: what a server touches for a request it touches within it, and a person does not notice it.
  static var useSampleSeconds: Double { 0.2 }

  /// Rung by rung over all of them: files that several map are only given back when all let go.
  func climb(_ climbers: inout [Climber], _ request: ReclaimRequest) async {
    for index in climbers.indices where climbers[index].report.refusal == nil {
      guard let mappings = try? inspector.mappings(of: climbers[index].pid) else {
        climbers[index].report.refusal = "unreadable"
        continue
      }
      measure(&climbers[index], mappings, isBefore: true)
      noteUse(of: climbers[index].pid, mappings)
    }
    for rung in request.rungs.sorted() {
      if rung == .modulePages {
        await dropPages(&climbers, request)
      } else if rung == .controlGroup {
        let meant = Set(climbers.filter { $0.report.refusal == nil }.map(\.pid))
        for index in climbers.indices where climbers[index].report.refusal == nil {
          let missing = request.wanted.map { $0 - freed(climbers) }
          await reclaimGroup(&climbers[index], missing, meant: meant)
        }
      } else if request.wanted == nil {
        climbers = await atOnce(rung, climbers, request)
      } else {
        // One after the other: enough may have come back before the last.
        for index in climbers.indices where climbers[index].report.refusal == nil {
          await carryOut(rung, &climbers[index], request)
          if let wanted = request.wanted, freed(climbers) >= wanted { break }
        }
      }
      if let wanted = request.wanted, freed(climbers) >= wanted { break }
    }
    for index in climbers.indices where climbers[index].report.before != nil {
      guard let mappings = try? inspector.mappings(of: climbers[index].pid), !mappings.isEmpty else {
        climbers[index].report.refusal = climbers[index].report.refusal ?? "process-ended"
        continue
      }
      measure(&climbers[index], mappings, isBefore: false)
      if let trim = climbers[index].report.rungs.first(where: { $0.rung == .trim }) {
        noteTrim(trim, of: climbers[index].pid, mappings, at: now())
      }
      climbers[index].report.seconds = climbers[index].report.rungs.reduce(0) { $0 + $1.seconds }
      passOverOwnUse(of: climbers[index].pid)
    }
  }

  /// 8 programs at most work on one rung at the same time: who waits for one that comes to no safe point lets others go on.
  private static var climbersAtOnce: Int { 8 }

  private func atOnce(_ rung: ReclaimRung, _ climbers: [Climber], _ request: ReclaimRequest) async -> [Climber] {
    var result = climbers
    var waiting = climbers.indices.filter { climbers[$0].report.refusal == nil }[...]
    await withTaskGroup(of: (Int, Climber).self) { group in
      func begin(_ index: Int) {
        let climber = climbers[index]
        group.addTask {
          var climber = climber
          await self.carryOut(rung, &climber, request)
          return (index, climber)
        }
      }
      for index in waiting.prefix(Self.climbersAtOnce) { begin(index) }
      waiting = waiting.dropFirst(Self.climbersAtOnce)
      for await (index, climber) in group {
        result[index] = climber
        if let next = waiting.popFirst() { begin(next) }
      }
    }
    return result
  }

  /// What the program itself has used so far; the bits stay.
  private func noteUse(of pid: Int32, _ mappings: [Mapping]) {
    guard let process = processes[pid], process.lastUse.hasBegun, let facts = try? inspector.facts(of: pid),
      facts.identity == process.facts.identity, process.lastUse.isWorthScanning(processorTicks: facts.processorTicks)
    else { return }
    processes[pid]?.lastUse.note(mappings, at: now().monotonic)
  }

  /// The agent reads the headers of what it drops, and collectors and callbacks run in the program: none of that is a use of it. What
  /// the program used in the same moment goes with it, and is seen when it is used again.
  private func passOverOwnUse(of pid: Int32) {
    guard processes[pid]?.lastUse.hasBegun == true, let facts = try? inspector.facts(of: pid),
      (try? inspector.clearReferenced(of: pid)) != nil
    else { return }
    processes[pid]?.lastUse.passOver(processorTicks: facts.processorTicks)
  }

  /// So far, by the rungs' own measurements.
  private func freed(_ climbers: [Climber]) -> Bytes {
    climbers.reduce(.zero) { $0 + $1.report.rungs.reduce(.zero) { $0 + ($1.freed ?? .zero) } }
  }

  /// One rung in one process that needs no other's help.
  private func carryOut(_ rung: ReclaimRung, _ climber: inout Climber, _ request: ReclaimRequest) async {
    let begin = now()
    var report = RungReport(rung: rung)
    if let refusal = obstacle(to: rung, climber, request) {
      report.refusal = refusal
      climber.report.rungs.append(report)
      return
    }
    rungUnderWay[climber.pid] = rung
    defer { rungUnderWay[climber.pid] = nil }
    report.before = try? inspector.totals(of: climber.pid)
    if rung == .heapPages {
      report.refusal = await pageOutHeap(climber, request)
    } else if rung == .equalPages, let session = climber.session {
      await merge(climber, session, into: &report)
    } else if rung == .closedModules, let session = climber.session {
      await evict(climber, session, into: &report)
    } else if let session = climber.session, let command = command(rung, climber, request) {
      let patience = rung == .collect ? Double(request.collectMilliseconds) / 1e3 : 0
      let limit = climber.hasThread ? Self.reclaimAnswerLimit : Self.threadlessAnswerLimit
      take(await ask(session, command, within: limit + patience), into: &report)
      if report.refusal == "not-answered", !climber.hasThread { report.refusal = "no-control-thread" }
    }
    report.after = try? inspector.totals(of: climber.pid)
    report.seconds = Double(now().monotonic - begin.monotonic) / 1e9
    climber.report.rungs.append(report)
  }

  private func command(_ rung: ReclaimRung, _ climber: Climber, _ request: ReclaimRequest) -> AgentCommand? {
    switch rung {
    case .callbacks: .reclaim(request.wanted ?? Bytes(.max), milliseconds: 2_000)
    case .collect: .collect(milliseconds: request.collectMilliseconds)
    case .trim: .trim
    case .closedModules, .modulePages, .equalPages, .controlGroup, .heapPages: nil
    }
  }

  /// Closes for good what the program has closed, one by one: each has reasons of its own to stay.
  private func evict(_ climber: Climber, _ session: SessionID, into report: inout RungReport) async {
    let modules = processes[climber.pid]?.segment?.report()?.modules ?? []
    let kept = modules.filter { module in
      guard module.isKept, let device = module.device, let inode = module.inode else { return false }
      return climber.files?.contains(LastUse.FileKey(device: device, inode: inode)) ?? true
    }
    guard !kept.isEmpty else {
      report.refusal = "none-closed"
      return
    }
    var unmapped: UInt64 = 0
    var seconds = 0.0
    for module in kept.sorted(by: { $0.id < $1.id }) {
      var one = RungReport(rung: .closedModules)
      take(
        await ask(
          session, .evict(module: module.id), within: climber.hasThread ? Self.reclaimAnswerLimit : Self.threadlessAnswerLimit),
        into: &one)
      seconds += one.agentSeconds ?? 0
      unmapped += one.count ?? 0
      guard let refusal = one.refusal else { continue }
      report.remainders.append(ReclaimRemainder(name: printable(module.path), reason: named(refusal, modules)))
      // One that does not answer will not answer for the next one either.
      if one.agentSeconds == nil { break }
    }
    report.agentSeconds = seconds
    report.count = unmapped
    if unmapped == 0 { report.refusal = report.remainders.first?.reason }
  }

  /// `needed-by:module-7` with the name of that module.
  private func named(_ refusal: String, _ modules: [AgentModule]) -> String {
    let mark = "needed-by:module-"
    guard refusal.hasPrefix(mark), let id = UInt32(refusal.dropFirst(mark.count)),
      let module = modules.first(where: { $0.id == id })
    else { return refusal }
    return "needed-by:\(baseName(module.path))"
  }

  func take(_ answer: AgentAnswer, into report: inout RungReport) {
    switch answer {
    case .outcome(.done(let value), let seconds):
      report.agentSeconds = seconds
      report.count = UInt64(exactly: value)
    case .outcome(.failed(let value), let seconds):
      report.agentSeconds = seconds
      report.refusal = AgentRefusal.word(value)
    case .outcome(.unsupported, _): report.refusal = "agent-too-old"
    case .notAnswered: report.refusal = "not-answered"
    case .connectionEnded: report.refusal = "connection-ended"
    }
  }

  /// Why a rung cannot be tried in this process; nil when it can.
  private func obstacle(to rung: ReclaimRung, _ climber: Climber, _ request: ReclaimRequest) -> String? {
    guard let process = processes[climber.pid], process.facts.identity == climber.report.process else { return "process-ended" }
    if (try? inspector.isRunning(climber.report.process)) == false { return "process-ended" }
    if rung == .heapPages {
      guard climber.files == nil else { return "not-of-a-package" }
      guard let free = pages?.freeSwap(), free > .zero else { return "no-swap" }
      return nil
    }
    if rung == .equalPages, let obstacle = obstacleToMerging(climber, request) { return obstacle }
    let needed: AgentAbilities =
      switch rung {
      case .closedModules: .moduleCache
      case .callbacks: .callbacks
      case .collect, .trim, .modulePages, .equalPages, .controlGroup, .heapPages: .reclaim
      }
    guard climber.session != nil else {
      if case .adopted = process.link { return "no-agent" }
      return "agent-not-connected"
    }
    guard climber.abilities.contains(needed) else { return "agent-too-old" }
    if let state = (try? inspector.facts(of: climber.pid))?.state, state == "T" || state == "t" { return "stopped" }
    return nil
  }

  // MARK: Pages of files

  /// In every process first; then, from outside, where that was not possible; then the files' copies that nobody maps any more.
  private func dropPages(_ climbers: inout [Climber], _ request: ReclaimRequest) async {
    let begin = now()
    let pids = climbers.filter { $0.report.refusal == nil }.map(\.pid)
    for pid in pids { rungUnderWay[pid] = .modulePages }
    defer { for pid in pids { rungUnderWay[pid] = nil } }
    let used = request.isForced ? [:] : await filesInUse(climbers)
    var dropped: [LastUse.FileKey: (file: FileReference, pid: Int32)] = [:]
    var reports: [Int: RungReport] = [:]
    for index in climbers.indices where climbers[index].report.refusal == nil {
      let climber = climbers[index]
      var report = RungReport(rung: .modulePages)
      guard let process = processes[climber.pid], process.facts.identity == climber.report.process,
        let mappings = try? inspector.mappings(of: climber.pid)
      else {
        report.refusal = "process-ended"
        reports[index] = report
        continue
      }
      report.before = mappings.reduce(into: MemoryUsage()) { $0 += $1.usage }
      let pages = droppable(mappings, of: climber, inUse: used[climber.pid] ?? [])
      report.remainders = pages.remainders
      climbers[index].report.predicted = pages.resident
      await drop(pages, in: climber, &report)
      for entry in pages.segments + pages.files {
        dropped[LastUse.FileKey(device: entry.file.device, inode: entry.file.inode)] = (entry.file, climber.pid)
      }
      reports[index] = report
    }
    if request.dropsCache {
      // In the order of their keys: a dictionary's own is another one each time.
      for key in dropped.keys.sorted(by: { ($0.device, $0.inode) < ($1.device, $1.inode) }) {
        if let (file, pid) = dropped[key] { _ = self.pages?.dropCache(of: file, in: pid) }
      }
    }
    for (index, report) in reports {
      var report = report
      finish(&report, climbers[index], since: begin)
      climbers[index].report.rungs.append(report)
    }
  }

  private func finish(_ report: inout RungReport, _ climber: Climber, since begin: Moment) {
    report.after = try? inspector.totals(of: climber.pid)
    report.seconds = Double(now().monotonic - begin.monotonic) / 1e9
  }

  private func drop(_ pages: DroppablePages, in climber: Climber, _ report: inout RungReport) async {
    var outside = pages.files.map(\.range)
    if let session = climber.session, climber.abilities.contains(.reclaim), climber.hasThread {
      var seconds = 0.0
      var index = 0
      while index < pages.segments.count {
        let one = pages.segments[index]
        let other = index + 1 < pages.segments.count ? pages.segments[index + 1] : nil
        index += 2
        var asked = [one] + (other.map { [$0] } ?? [])
        var answer = await ask(session, .drop(one.range, other?.range), within: Self.reclaimAnswerLimit)
        if case .outcome(.failed, let spent) = answer, asked.count == 2 {
          // One of the two was refused, and which is not said: each by itself.
          seconds += spent
          answer = await ask(session, .drop(one.range, nil), within: Self.reclaimAnswerLimit)
          note(answer, &seconds, one, &outside, &report)
          answer = await ask(session, .drop(asked[1].range, nil), within: Self.reclaimAnswerLimit)
          asked.removeFirst()
        }
        note(answer, &seconds, asked[0], &outside, &report)
        if answer == .connectionEnded || answer == .notAnswered { break }
      }
      report.agentSeconds = seconds
    } else {
      outside += pages.segments.map(\.range)
    }
    guard !outside.isEmpty, let reclaimer = self.pages else { return }
    do throws(InspectionError) {
      try reclaimer.pageOut(outside, of: climber.report.process)
    } catch {
      let reason =
        switch error {
        case .gone: "process-ended"
        case .notPermitted: "not-permitted"
        case .unreadable: "kernel"
        }
      if pages.segments.isEmpty || climber.session == nil || !climber.hasThread { report.refusal = report.refusal ?? reason }
      report.remainders.append(ReclaimRemainder(reason: reason))
    }
  }

  private func note(
    _ answer: AgentAnswer, _ seconds: inout Double, _ entry: (range: AddressRange, file: FileReference, resident: Bytes),
    _ outside: inout [AddressRange], _ report: inout RungReport
  ) {
    switch answer {
    case .outcome(.done, let spent): seconds += spent
    case .outcome(.failed(let value), let spent):
      seconds += spent
      // No library's segment: a file that is mapped for its content. From outside it may go all the same.
      if UInt32(truncatingIfNeeded: value) == 6 {
        outside.append(entry.range)
      } else {
        report.remainders.append(
          ReclaimRemainder(name: entry.file.displayPath, reason: AgentRefusal.word(value), bytes: entry.resident))
      }
    case .outcome(.unsupported, _): report.refusal = "agent-too-old"
    case .notAnswered: report.refusal = "not-answered"
    case .connectionEnded: report.refusal = "connection-ended"
    }
  }

  /// Files that a process touches while it is watched for a moment. One that computes nothing touches nothing: it is not waited for.
  private func filesInUse(_ climbers: [Climber]) async -> [Int32: Set<LastUse.FileKey>] {
    var watched: [Int32] = []
    for climber in climbers where climber.report.refusal == nil {
      guard let facts = try? inspector.facts(of: climber.pid), let process = processes[climber.pid] else { continue }
      guard !process.lastUse.hasBegun || process.lastUse.isWorthScanning(processorTicks: facts.processorTicks) else { continue }
      processes[climber.pid]?.facts.processorTicks = facts.processorTicks
      noteUse(of: climber.pid)
      watched.append(climber.pid)
    }
    guard !watched.isEmpty else { return [:] }
    await pause(Self.useSampleSeconds)
    var used: [Int32: Set<LastUse.FileKey>] = [:]
    for pid in watched {
      guard let mappings = try? inspector.mappings(of: pid) else { continue }
      processes[pid]?.lastUse.note(mappings, at: now().monotonic)
      for mapping in mappings where mapping.usage.referenced > .zero {
        guard case .file(let file) = mapping.backing else { continue }
        used[pid, default: []].insert(LastUse.FileKey(device: file.device, inode: file.inode))
      }
    }
    return used
  }

  /// Takes what the referenced bits tell before they are cleared for another question.
  private func noteUse(of pid: Int32) {
    let moment = now()
    guard let process = processes[pid], let mappings = try? inspector.mappings(of: pid) else { return }
    processes[pid]?.lastUse.scan(mappings, processorTicks: process.facts.processorTicks, at: moment.monotonic)
    try? inspector.clearReferenced(of: pid)
  }

  // MARK: Pages that only a swap can hold

  /// - Returns: Why nothing was done, in a word.
  private func pageOutHeap(_ climber: Climber, _ request: ReclaimRequest) async -> String? {
    guard let mappings = try? inspector.mappings(of: climber.pid) else { return "unreadable" }
    let cold = mappings.filter { mapping in
      guard case .anonymous(let label) = mapping.backing, !label.hasPrefix("stack"), mapping.usage.resident > .zero else {
        return false
      }
      return request.isForced || mapping.usage.referenced == .zero
    }
    guard !cold.isEmpty else { return "in-use" }
    do throws(InspectionError) {
      try pages?.pageOut(cold.map { AddressRange(start: $0.start, end: $0.end) }, of: climber.report.process)
      return nil
    } catch .gone {
      return "process-ended"
    } catch .notPermitted {
      return "not-permitted"
    } catch {
      return "kernel"
    }
  }
}
