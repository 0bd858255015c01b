import Model

/// How many modules a process without an agent has, and when to count them again.
struct ModuleCount: Hashable {
  /// Processes counted for one listing, at most: some 50 us each, a millisecond for one of thousands of mappings.
  static let countedAtOnce = 64

  private(set) var modules: Int?
  private var virtual = Bytes.zero

  /// What is mapped has changed when the size of it has.
  func isDue(virtual now: Bytes) -> Bool { modules == nil || now != virtual }

  mutating func take(_ modules: Int, virtual: Bytes) {
    self.modules = modules
    self.virtual = virtual
  }
}

extension Supervisor {
  /// Counts for those that have no table of an agent's and are mapped otherwise than before.
  func countModules() {
    let due = processes.values.filter { $0.segment == nil && $0.modules.isDue(virtual: $0.facts.virtual) }
      .sorted { ($0.modules.modules == nil ? 0 : 1, $0.facts.identity) < ($1.modules.modules == nil ? 0 : 1, $1.facts.identity) }
    for process in due.prefix(ModuleCount.countedAtOnce) {
      do throws(InspectionError) {
        let count = try inspector.moduleCount(of: process.facts.identity.pid)
        processes[process.facts.identity.pid]?.modules.take(count, virtual: process.facts.virtual)
      } catch {
        // As with what is shared: the listing stands without it.
        counters.unreadableProcesses += 1
      }
    }
  }
}
