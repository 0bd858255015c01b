import Model

/// One process at one moment: mappings, agent, ELF facts and packages joined.
struct ProcessView {
  let facts: ProcessFacts
  let report: AgentReport?
  /// Nil when it is not counted, or cannot be what is told.
  let heap: HeapCounters?
  let inventory: Inventory
  /// Beside `inventory.objects`.
  let elf: [ElfFacts?]
  let packageOfPath: [[UInt8]: PackageIdentity]
  let lastUse: LastUse
  let untold: UntoldLoads
  /// Of those in the agent's table that are mapped no more: what they were.
  let seenModules: [UInt32: SeenModule]
  let graph: DependencyGraph

  init(
    facts: ProcessFacts, report: AgentReport?, heap: HeapCounters?, inventory: Inventory, elf: [ElfFacts?],
    packageOfPath: [[UInt8]: PackageIdentity], lastUse: LastUse, untold: UntoldLoads,
    seenModules: [UInt32: SeenModule]
  ) {
    self.facts = facts
    self.report = report
    self.heap = heap
    self.inventory = inventory
    self.elf = elf
    self.packageOfPath = packageOfPath
    self.lastUse = lastUse
    self.untold = untold
    self.seenModules = seenModules
    graph = DependencyGraph(zip(inventory.objects, elf).map { (baseName($0.file.path), $1) })
  }

  func package(of file: FileReference) -> PackageIdentity {
    packageOfPath[file.path] ?? PackageIdentity(name: baseName(file.path), kind: .file)
  }

  func lastUsed(_ object: Inventory.Object, _ moment: Moment) -> Double? {
    lastUsed(object).map { moment.wallTime(ofMonotonic: $0) }
  }

  /// CLOCK_MONOTONIC.
  func lastUsed(_ object: Inventory.Object) -> UInt64? {
    // A library that was there at the start was mapped, not chosen: its load says nothing about use.
    let told = object.agents.filter { !$0.wasThereAtStart }.map(\.lastLoad).max()
    return lastUse.time(of: object.file, loadedAt: told ?? untold.time(of: object.file))
  }

  /// When it was first and last loaded, CLOCK_MONOTONIC; nil when nobody saw it.
  func loads(of object: Inventory.Object) -> (first: UInt64?, last: UInt64?) {
    let untold = untold.time(of: object.file)
    return (object.agents.map(\.firstLoad).min() ?? untold, object.agents.map(\.lastLoad).max() ?? untold)
  }

  struct Holding {
    var row: PackageHolding
    var neededBy: Set<String> = []
  }

  /// What each package holds here.
  func holdings(_ moment: Moment) -> [PackageIdentity: Holding] {
    var holdings: [PackageIdentity: Holding] = [:]
    for (index, object) in inventory.objects.enumerated() {
      let identity = package(of: object.file)
      var holding =
        holdings[identity]
        ?? Holding(
          row: PackageHolding(pid: facts.identity.pid, processName: facts.name, modules: 0, usage: MemoryUsage(), lastUsedAt: nil)
        )
      holding.row.usage += object.usage
      if object.isModule { holding.row.modules += 1 }
      holding.row.lastUsedAt = [holding.row.lastUsedAt, lastUsed(object, moment)].compactMap(\.self).max()
      for dependent in graph.dependents[index] {
        let other = package(of: inventory.objects[dependent].file)
        if other != identity { holding.neededBy.insert(other.name) }
      }
      holdings[identity] = holding
    }
    return holdings
  }

  func coverage() -> CoverageSnapshot {
    var packaged = Bytes.zero
    for object in inventory.objects where package(of: object.file).kind != .file { packaged += object.usage.fileBacked }
    return CoverageSnapshot(
      pid: facts.identity.pid, processName: facts.name, usage: inventory.total, fileBacked: inventory.fileBacked,
      packagedFileBacked: packaged, anonymous: inventory.remainder.resident,
      liveHeap: heap?.live)
  }
}
