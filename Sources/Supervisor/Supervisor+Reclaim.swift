import Logging
import Model
import Policy

extension Supervisor {
  /// Gives memory back, one rung after the other over all processes that are meant, and measures what came of it.
  public func reclaim(_ request: ReclaimRequest) async throws(CommandError) -> ReclaimSnapshot {
    let start = now()
    if case .process(let pid) = request.target { await untilFree(pid) }
    var climbers = try climbers(for: request, at: start)
    let memory = meter?.pressure()
    let free = climbers.filter { $0.report.refusal == nil }.map(\.pid)
    reclaiming.formUnion(free)
    defer {
      reclaiming.subtract(free)
      for pid in free { rungUnderWay[pid] = nil }
    }
    let numbers = begin(climbers, request, memory, at: start)
    if request.isDryRun {
      for index in climbers.indices where climbers[index].report.refusal == nil { predict(&climbers[index], request) }
    } else {
      await climb(&climbers, request)
    }
    let end = now()
    for climber in climbers where !request.isDryRun { noteGivenBack(climber.report, at: end) }
    let snapshot = ReclaimSnapshot(
      takenAt: start.wall, seconds: Double(end.monotonic - start.monotonic) / 1e9, isDryRun: request.isDryRun,
      memoryBefore: memory, memoryAfter: meter?.pressure(), reports: climbers.map(\.report).sorted { $0.process < $1.process })
    for (climber, number) in zip(climbers, numbers) { finish(climber.report, number, request, at: end) }
    return snapshot
  }

  /// 5 s: most of what is given back by itself is over in less.
  private static var longestWait: UInt64 { 5_000_000_000 }

  private func untilFree(_ pid: Int32) async {
    let start = now().monotonic
    while reclaiming.contains(pid), now().monotonic &- start < Self.longestWait { await pause(0.05) }
  }

  private func noteGivenBack(_ report: ReclaimReport, at moment: Moment) {
    guard let freed = report.freedOfUnit, freed > .zero, processes[report.process.pid]?.facts.identity == report.process else {
      return
    }
    processes[report.process.pid]?.givenBack.bytes += freed
    processes[report.process.pid]?.givenBack.lastAt = moment.wall
  }

  // MARK: Who is meant

  private func climbers(for request: ReclaimRequest, at moment: Moment) throws(CommandError) -> [Climber] {
    switch request.target {
    case .process(let pid):
      guard processes[pid] != nil, refresh(pid, at: moment) else {
        throw .notWatched(pid: pid, watched: processes.keys.sorted())
      }
      if reclaiming.contains(pid) { throw .busy("memory of process \(pid) is being given back already") }
      return [climber(pid, package: nil, files: nil)]
    case .everything, .processes:
      let meant: Set<Int32>? = if case .processes(let pids) = request.target { pids } else { nil }
      return processes.keys.sorted().filter { meant?.contains($0) != false && refresh($0, at: moment) }.map { pid in
        var climber = climber(pid, package: nil, files: nil)
        if reclaiming.contains(pid) { climber.report.refusal = "under-way" }
        return climber
      }
    case .package(let name, let pids):
      return try holders(of: name, in: pids, request, at: moment)
    }
  }

  private func climber(_ pid: Int32, package: String?, files: Set<LastUse.FileKey>?) -> Climber {
    let facts = processes[pid]!.facts
    var climber = Climber(
      files: files, report: ReclaimReport(process: facts.identity, processName: facts.name, package: package))
    if case .agent(let session, let segment)? = processes[pid]?.link {
      climber.session = session
      climber.abilities = segment.abilities
      climber.hasThread = segment.hasControlThread
    }
    return climber
  }

  /// Processes that hold a package of this name, or a module: by its path, or its file's name.
  private func holders(
    of name: String, in pids: Set<Int32>?, _ request: ReclaimRequest, at moment: Moment
  ) throws(CommandError) -> [Climber] {
    for pid in (pids ?? []).sorted() {
      guard processes[pid] != nil, refresh(pid, at: moment) else {
        throw .notWatched(pid: pid, watched: processes.keys.sorted())
      }
    }
    var found: [Climber] = []
    var names: Set<String> = []
    var packages: Set<String> = [name]
    for candidate in processes.keys.sorted() where pids?.contains(candidate) ?? true {
      guard let view = try? view(of: candidate, at: moment) else { continue }
      var files: Set<LastUse.FileKey> = []
      for object in view.inventory.objects {
        let package = view.package(of: object.file)
        names.insert(package.name)
        if object.isModule { names.insert(baseName(object.file.path)) }
        guard package.name == name || baseName(object.file.path) == name || object.file.displayPath == name else { continue }
        packages.insert(package.name)
        files.insert(LastUse.FileKey(device: object.file.device, inode: object.file.inode))
      }
      guard !files.isEmpty, processes[candidate] != nil else { continue }
      var climber = climber(candidate, package: name, files: files)
      if reclaiming.contains(candidate) { climber.report.refusal = "under-way" }
      found.append(climber)
    }
    if !request.isForced { for package in packages.sorted() { try checkAllowed(package) } }
    guard !found.isEmpty else {
      throw .noSuchUnit(name, nearest: nearestName(to: name, among: names.sorted()))
    }
    return found
  }

  private func checkAllowed(_ package: String) throws(CommandError) {
    let preference = unloading.policy.settings.preferences[package] ?? UnitPreference()
    if let rule = unloading.setByRules.denials[package] {
      throw .denied(
        "'\(package)' is to stay: the rule '\(rule)' denies unloading it (mlos rules disable \(rule) ends that, --force passes over it)"
      )
    }
    if preference.allowUnload == false {
      throw .denied(
        "'\(package)' is to stay: its user denies unloading it (mlos prefer \(package) none takes that back, --force passes over it)"
      )
    }
    if preference.unitClass == .critical {
      throw .denied("'\(package)' is critical: it is never unloaded (--force passes over it)")
    }
  }

  // MARK: What would come back

  private func predict(_ climber: inout Climber, _ request: ReclaimRequest) {
    guard let mappings = try? inspector.mappings(of: climber.pid) else {
      climber.report.refusal = "unreadable"
      return
    }
    measure(&climber, mappings, isBefore: true)
    guard request.rungs.contains(.modulePages) else { return }
    let pages = droppable(mappings, of: climber, inUse: [])
    climber.report.predicted = pages.resident
    climber.report.rungs = [
      RungReport(rung: .modulePages, refusal: "dry-run", before: climber.report.before, remainders: pages.remainders)
    ]
  }

  /// Totals of the process, and of the files that are meant.
  func measure(_ climber: inout Climber, _ mappings: [Mapping], isBefore: Bool) {
    var total = MemoryUsage()
    var package = MemoryUsage()
    for mapping in mappings {
      total += mapping.usage
      if case .file(let file) = mapping.backing, climber.files != nil, climber.holds(file) { package += mapping.usage }
    }
    if isBefore {
      climber.report.before = total
      if climber.files != nil { climber.report.packageBefore = package }
    } else {
      climber.report.after = total
      if climber.files != nil { climber.report.packageAfter = package }
    }
  }

  func droppable(_ mappings: [Mapping], of climber: Climber, inUse: Set<LastUse.FileKey>) -> DroppablePages {
    let paths = Set(
      mappings.compactMap { mapping -> [UInt8]? in
        if case .file(let file) = mapping.backing { file.path } else { nil }
      })
    let owners = files.packages(for: paths, of: climber.pid, program: processes[climber.pid]?.facts.executable)
    return DroppablePages(
      mappings, of: climber,
      isInUse: { mapping in
        guard case .file(let file) = mapping.backing else { return false }
        return inUse.contains(LastUse.FileKey(device: file.device, inode: file.inode))
      },
      isRuntime: { owners[$0.path]?.kind == .runtime }, obstacle: { self.pages?.obstacle(of: $0, in: climber.pid) })
  }
}
