import Model

extension Supervisor {
  public func status() async -> StatusSnapshot {
    let moment = now()
    var heap: Bytes?
    var resident: Bytes?
    var agents = 0
    var modules = 0
    for pid in processes.keys.sorted() {
      guard refresh(pid, at: moment), let process = processes[pid] else { continue }
      resident = (resident ?? .zero) + process.facts.resident
      guard let summary = process.segment?.summary() else { continue }
      agents += 1
      note(modulesDropped: summary.modulesDropped, of: pid, at: moment)
      if let counted = counted(summary.state, summary.heap, of: pid, at: moment) { heap = (heap ?? .zero) + counted.live }
      modules += summary.modulesLoaded
    }
    countModules()
    modules += processes.values.reduce(0) { $0 + ($1.segment == nil ? $1.modules.modules ?? 0 : 0) }
    return StatusSnapshot(
      startedAt: startedAt, now: moment.wall, isEphemeral: options.isEphemeral, agents: agents,
      adopted: processes.count - agents, modules: modules, resident: resident, liveHeap: heap,
      own: try? inspector.facts(of: ownPID), counters: counters, pressure: pressureSnapshot(moment))
  }

  /// Reads the module table, and counts what did not fit in it since the reading before.
  private func report(of pid: Int32, at moment: Moment) -> AgentReport? {
    guard var report = processes[pid]?.segment?.report() else { return nil }
    note(modulesDropped: report.modulesDropped, of: pid, at: moment)
    report.modulesDropped = min(report.modulesDropped, processes[pid]?.modulesDropped ?? 0)
    return report
  }

  public func processes() async -> ProcessesSnapshot {
    let moment = now()
    for pid in processes.keys.sorted() { _ = refresh(pid, at: moment) }
    measureSharing(at: moment)
    countModules()
    return ProcessesSnapshot(
      takenAt: moment.wall, processes: processes.sorted { $0.key < $1.key }.map { snapshot($0.value, moment) })
  }

  func snapshot(_ process: WatchedProcess, _ moment: Moment) -> ProcessSnapshot {
    let agent = process.segment?.summary()
    return ProcessSnapshot(
      facts: process.facts, startedAt: startedAt(process.facts.identity, moment),
      processorSeconds: Double(process.facts.processorTicks) / ticksPerSecond,
      agent: agent, modulesLoaded: agent?.modulesLoaded ?? process.modules.modules,
      heap: agent.flatMap { counted($0.state, $0.heap, of: process.facts.identity.pid, at: moment) },
      allocationsPerSecond: process.rate.allocationsPerSecond, allocatedBytesPerSecond: process.rate.bytesPerSecond,
      lastActiveAt: process.lastActiveAt, sharing: process.sharing.figures, activity: activity(of: process, agent, moment),
      givenBack: process.givenBack)
  }

  /// 5 s: a server that is asked something every second or two is not idle between the questions.
  static var activeSeconds: Double { 5 }

  private func activity(of process: WatchedProcess, _ agent: AgentSummary?, _ moment: Moment) -> ProcessActivity? {
    let pid = process.facts.identity.pid
    if reclaiming.contains(pid) { return .reclaiming(rungUnderWay[pid]) }
    if process.facts.state == "T" || process.facts.state == "t" { return .stopped }
    if let agent, agent.state != .invalid, agent.busyRegions > 0 { return .busy(regions: agent.busyRegions) }
    guard process.lastActiveAt != nil else { return nil }
    return isActive(pid, at: moment) ? .active : .idle
  }

  /// It has done something a moment ago.
  func isActive(_ pid: Int32, at moment: Moment) -> Bool {
    processes[pid]?.lastActiveAt.map { moment.wall - $0 < Self.activeSeconds } ?? false
  }

  public func modules(of pid: Int32) async throws(CommandError) -> ModulesSnapshot {
    let moment = now()
    let view = try view(of: pid, at: moment)
    var modules: [ModuleSnapshot] = []
    for (index, object) in view.inventory.objects.enumerated() where object.isModule {
      let loads = view.loads(of: object)
      modules.append(
        ModuleSnapshot(
          file: object.file, package: view.package(of: object.file), isLoaded: true,
          agents: object.agents, elf: view.elf[index], usage: object.usage,
          firstLoadedAt: loads.first.map { moment.wallTime(ofMonotonic: $0) },
          lastLoadedAt: loads.last.map { moment.wallTime(ofMonotonic: $0) }, unloadedAt: nil,
          lastUsedAt: view.lastUsed(object, moment),
          neededBy: view.graph.dependents[index].map { view.inventory.objects[$0].file.displayPath }))
    }
    for gone in view.inventory.unloaded {
      let seen = view.seenModules[gone.id]
      let file =
        seen?.file ?? FileReference(device: gone.device ?? 0, inode: gone.inode ?? 0, path: gone.path, isDeleted: false)
      modules.append(
        ModuleSnapshot(
          file: file, package: view.package(of: file), isLoaded: false, agents: [gone], elf: seen?.elf,
          usage: MemoryUsage(), firstLoadedAt: moment.wallTime(ofMonotonic: gone.firstLoad),
          lastLoadedAt: moment.wallTime(ofMonotonic: gone.lastLoad),
          unloadedAt: gone.unload.map { moment.wallTime(ofMonotonic: $0) },
          lastUsedAt: gone.unload.map { moment.wallTime(ofMonotonic: $0) }, neededBy: []))
    }
    return ModulesSnapshot(
      takenAt: moment.wall, facts: view.facts, hasAgent: view.report != nil, modules: modules,
      dropped: view.report?.modulesDropped ?? 0, otherNamespaces: view.report?.otherNamespaces)
  }

  public func packages(of pid: Int32?) async throws(CommandError) -> PackagesSnapshot {
    let moment = now()
    var views: [ProcessView] = []
    if let pid {
      views = [try view(of: pid, at: moment)]
    } else {
      for pid in processes.keys.sorted() {
        // One unreadable process must not hide the others; it is counted.
        if let view = try? view(of: pid, at: moment) { views.append(view) }
      }
    }
    return PackagesSnapshot(takenAt: moment.wall, packages: group(views, moment), coverage: views.map { $0.coverage() })
  }

  private func group(_ views: [ProcessView], _ moment: Moment) -> [PackageSnapshot] {
    var packages: [PackageIdentity: PackageSnapshot] = [:]
    for view in views {
      for (identity, holding) in view.holdings(moment) {
        var package =
          packages[identity]
          ?? PackageSnapshot(identity: identity, modules: 0, usage: MemoryUsage(), lastUsedAt: nil, neededBy: [], holders: [])
        package.modules = max(package.modules, holding.row.modules)
        package.usage += holding.row.usage
        package.lastUsedAt = [package.lastUsedAt, holding.row.lastUsedAt].compactMap(\.self).max()
        package.neededBy = Set(package.neededBy).union(holding.neededBy).sorted()
        package.holders.append(holding.row)
        packages[identity] = package
      }
    }
    return packages.values.sorted { $0.identity < $1.identity }
  }

  func view(of pid: Int32, at moment: Moment) throws(CommandError) -> ProcessView {
    guard processes[pid] != nil, refresh(pid, at: moment) else {
      throw .notWatched(pid: pid, watched: processes.keys.sorted())
    }
    let mappings: [Mapping]
    do throws(InspectionError) {
      mappings = try inspector.mappings(of: pid)
    } catch {
      counters.unreadableProcesses += 1
      switch error {
      case .gone:
        forget(pid)
        throw .notWatched(pid: pid, watched: processes.keys.sorted())
      case .notPermitted(let why): throw .notPermitted(why)
      case .unreadable(let why): throw .unreadable(why)
      }
    }
    noteProgramChange(pid, mappings)
    noteUntoldLoads(pid, mappings, at: moment)
    noteHeap(pid, mappings, at: moment)
    guard let view = view(of: pid, mappings, at: moment) else {
      throw .notWatched(pid: pid, watched: processes.keys.sorted())
    }
    return view
  }

  /// Joins mappings that were just read with everything else that is known. Nil when the process is watched no more.
  func view(of pid: Int32, _ mappings: [Mapping], at moment: Moment) -> ProcessView? {
    guard let process = processes[pid] else { return nil }
    let report = report(of: pid, at: moment)
    let inventory = Inventory(mappings: mappings, agentModules: report?.modules ?? [])
    var elf: [ElfFacts?] = []
    for object in inventory.objects {
      guard object.isModule else {
        elf.append(nil)
        continue
      }
      do throws(InspectionError) {
        elf.append(try files.elf(object.file, of: pid))
      } catch {
        counters.unreadableFiles += 1
        elf.append(nil)
      }
    }
    processes[pid]?.remember(inventory, elf)
    let seen = processes[pid]?.seen(of: inventory.unloaded) ?? [:]
    let paths = Set(inventory.objects.map(\.file.path)).union(inventory.unloaded.map { seen[$0.id]?.file.path ?? $0.path })
    return ProcessView(
      facts: process.facts, report: report, heap: report.flatMap { counted($0.state, $0.heap, of: pid, at: moment) },
      inventory: inventory, elf: elf,
      packageOfPath: files.packages(for: paths, of: pid, program: process.facts.executable), lastUse: process.lastUse,
      untold: process.untold, seenModules: seen)
  }
}
