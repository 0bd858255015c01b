import Model
import Supervisor
import Wire

// Snapshots of the supervisor as the control API's JSON.

extension ProcessRow {
  init(_ process: ProcessSnapshot) {
    let facts = process.facts
    // Counts of an agent that does not count are not known, whatever stands in its slots.
    let heap = process.heap
    self.init(
      pid: facts.identity.pid, parent: facts.parent, user: facts.user, name: facts.name, commandLine: facts.commandLine,
      source: process.agent == nil ? "adopted" : "agent", agentState: Known(process.agent?.state.rawValue),
      agentReason: Known(process.agent?.reason), allocator: Known(process.agent?.allocator), threads: facts.threads,
      startedAt: process.startedAt, processorSeconds: process.processorSeconds, residentBytes: facts.resident.count,
      residentAnonymousBytes: facts.residentAnonymous.count,
      residentFileBytes: (facts.residentFile + facts.residentShared).count, swapBytes: facts.swap.count,
      proportionalBytes: Known(process.sharing?.usage.proportional.count),
      privateBytes: Known(process.sharing?.usage.privateBytes.count), sharingMeasuredAt: Known(process.sharing?.measuredAt),
      liveHeapBytes: Known(heap?.live.count), liveHeapApproximate: heap?.isApproximate ?? false,
      allocations: Known(heap?.allocations), frees: Known(heap?.frees),
      allocationsPerSecond: Known(heap == nil ? nil : process.allocationsPerSecond),
      allocatedBytesPerSecond: Known(heap == nil ? nil : process.allocatedBytesPerSecond),
      modulesLoaded: Known(process.modulesLoaded), lastActiveAt: Known(process.lastActiveAt),
      activity: Known(process.activity?.word), reclaimRung: Known(process.activity?.rung?.rawValue),
      busyRegions: Known(process.agent?.busyRegions), givenBackBytes: process.givenBack.bytes.count,
      givenBackAt: Known(process.givenBack.lastAt))
  }
}

extension ProcessActivity {
  fileprivate var word: String {
    switch self {
    case .reclaiming: "reclaiming"
    case .busy: "busy"
    case .stopped: "stopped"
    case .active: "active"
    case .idle: "idle"
    }
  }

  fileprivate var rung: ReclaimRung? {
    guard case .reclaiming(let rung) = self else { return nil }
    return rung
  }
}

extension StatusAnswer {
  init(_ status: StatusSnapshot, _ service: ServiceFacts, journal: JournalStatus?) {
    var counters = Counters()
    counters.sessionsAccepted = status.counters.sessionsAccepted
    counters.sessionsRefused = status.counters.sessionsRefused
    counters.sessionsWithoutDescriptor = status.counters.sessionsWithoutDescriptor
    counters.framesRefused = status.counters.framesRefused
    counters.segmentsRefused = status.counters.segmentsRefused
    counters.segmentsLying = status.counters.segmentsLying
    counters.eventsDropped = status.counters.eventsDropped
    counters.modulesDropped = status.counters.modulesDropped
    counters.unreadableProcesses = status.counters.unreadableProcesses
    counters.unreadableFiles = status.counters.unreadableFiles
    self.init(
      version: service.version, pid: service.pid, user: service.user, startedAt: status.startedAt,
      uptimeSeconds: status.now - status.startedAt, agentSocket: service.agentSocket, controlSocket: service.controlSocket,
      isEphemeral: status.isEphemeral, agents: status.agents, adopted: status.adopted, modules: status.modules,
      residentBytes: Known(status.resident?.count), liveHeapBytes: Known(status.liveHeap?.count),
      ownResidentBytes: Known(status.own?.resident.count),
      ownProcessorSeconds: Known(status.own.map { Double($0.processorTicks) / service.ticksPerSecond }), counters: counters,
      journal: Known(journal), pressure: PressureStatus(status.pressure))
  }
}

extension ModulesAnswer {
  init(_ snapshot: ModulesSnapshot) {
    self.init(
      takenAt: snapshot.takenAt, pid: snapshot.facts.identity.pid, name: snapshot.facts.name,
      source: snapshot.hasAgent ? "agent" : "adopted", modules: snapshot.modules.map { ModuleRow($0) },
      modulesDropped: snapshot.dropped, otherNamespaces: Known(snapshot.otherNamespaces?.rawValue))
  }
}

extension ModuleRow {
  init(_ module: ModuleSnapshot) {
    var pinned: [String] = []
    if module.elf?.isNoDelete == true { pinned.append("nodelete") }
    if module.elf?.hasUniqueSymbols == true { pinned.append("unique-symbol") }
    let buildID = ([module.elf?.buildID].compactMap(\.self) + module.agents.map(\.buildID)).first { !$0.isEmpty }
    let isReported = !module.agents.isEmpty
    self.init(
      path: module.file.displayPath, package: module.package.name, packageKind: module.package.kind,
      state: module.isLoaded ? "loaded" : "unloaded", isDeleted: module.file.isDeleted,
      device: Known(module.file.device == 0 ? nil : module.file.device),
      inode: Known(module.file.inode == 0 ? nil : module.file.inode),
      buildId: Known(buildID.map(hexadecimal)), soname: Known(module.elf?.soname.map { printable($0.utf8) }),
      loadAddress: Known(module.agents.first?.loadAddress),
      namespaces: Known(isReported ? module.agents.map(\.nameSpace).sorted() : nil),
      dlopenCount: Known(isReported ? total(module.agents.map(\.dlopenCount)) : nil),
      dlcloseCount: Known(isReported ? total(module.agents.map(\.dlcloseCount)) : nil),
      firstLoadedAt: Known(module.firstLoadedAt),
      lastLoadedAt: Known(module.lastLoadedAt), unloadedAt: Known(module.unloadedAt), lastUsedAt: Known(module.lastUsedAt),
      neededBy: module.neededBy, pinnedBy: pinned, threadLocalBytes: Known(module.elf?.threadLocalStorage?.count),
      executableBytes: Known(module.elf?.executableSize.count), readOnlyBytes: Known(module.elf?.readOnlySize.count),
      writableBytes: Known(module.elf?.writableSize.count),
      memory: MemoryRow(module.usage))
  }
}

extension PackagesAnswer {
  init(_ snapshot: PackagesSnapshot) {
    self.init(
      takenAt: snapshot.takenAt,
      packages: snapshot.packages.map { package in
        PackageRow(
          name: package.identity.name, kind: package.identity.kind, version: Known(package.identity.version),
          modules: package.modules, memory: MemoryRow(package.usage), lastUsedAt: Known(package.lastUsedAt),
          neededBy: package.neededBy,
          holders: package.holders.map {
            PackageHolder(
              pid: $0.pid, processName: $0.processName, modules: $0.modules, memory: MemoryRow($0.usage),
              lastUsedAt: Known($0.lastUsedAt))
          })
      },
      processes: snapshot.coverage.map {
        PackageCoverage(
          pid: $0.pid, processName: $0.processName, memory: MemoryRow($0.usage), fileBackedResidentBytes: $0.fileBacked.count,
          packagedFileBackedResidentBytes: $0.packagedFileBacked.count, anonymousResidentBytes: $0.anonymous.count,
          liveHeapBytes: Known($0.liveHeap?.count))
      })
  }
}

extension EventsAnswer {
  init(_ page: EventsPage) {
    self.init(
      events: page.events.map {
        EventRow(
          sequence: $0.sequence, at: $0.at, pid: $0.pid, processName: $0.processName, kind: $0.kind.rawValue,
          thread: Known($0.thread), subject: Known($0.subject), package: Known($0.package), detail: Known($0.detail),
          subjectIsCut: $0.isSubjectCut)
      }, next: page.next, lost: page.lost)
  }
}

/// The numbers are the agent's word: what overflows stays at the largest.
private func total(_ counts: [UInt32]) -> UInt32 {
  counts.reduce(0) { sum, next in
    let (value, overflow) = sum.addingReportingOverflow(next)
    return overflow ? .max : value
  }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
