import Model
import Policy

/// What is known of the free heap of one process, and when it was last asked to give it back.
struct HeapWatch {
  /// 60 s: no second trim before, unless there is more.
  static let pause: UInt64 = 60_000_000_000
  /// An hour: the pause doubles up to it while an agent refuses, or an idle program without a thread of its does not answer.
  static let longestPause: UInt64 = 3_600_000_000_000
  /// 1 MiB more free heap than at the last trim is worth another one.
  static let growth = Bytes.mebibytes(1)

  struct Trim {
    var at: UInt64
    /// What was still free then, and resident; nil when it was not known.
    var free: Bytes?
    var resident: Bytes?
    /// It was carried out: what is free still lies between blocks, and does not come back by another one.
    var isDone: Bool
  }

  /// Resident in the allocator's heaps at the last look; nil where it is not known.
  private(set) var resident: Bytes?
  /// Of live blocks that have a mapping of their own, at the last look; nil where that cannot be read.
  private(set) var mapped: Bytes?
  private(set) var trim: Trim?
  /// Trims in a row that were not carried out.
  private var vain: UInt64 = 0

  /// - Parameter allocator: As the agent tells; nil without one that counts.
  mutating func take(_ mappings: [Mapping], allocator: String?, mapped: Bytes? = nil) {
    self.mapped = mapped
    resident = allocator == "glibc" ? GlibcHeaps.resident(mappings) : nil
  }

  mutating func note(_ trim: Trim) {
    self.trim = trim
    vain = trim.isDone ? 0 : vain + 1
  }

  /// Less free between blocks than after the trim: that much is used again.
  mutating func lowerFloor(_ heap: HeapCounters?) {
    guard let free = free(heap), let floor = trim?.free, free < floor else { return }
    trim?.free = free
  }

  func free(_ heap: HeapCounters?) -> Bytes? {
    guard let resident, let taken = heap.flatMap({ GlibcHeaps.taken(by: $0, mapped: mapped ?? .zero) }) else { return nil }
    return resident - taken
  }

  /// What a trim would bring; nil when it is not known.
  func bytes(_ heap: HeapCounters?) -> Bytes? {
    guard let free = free(heap) else { return nil }
    guard let trim, trim.isDone else { return free }
    return trim.free.map { free - $0 } ?? free
  }

  /// Why it is not to be asked now.
  func busy(_ heap: HeapCounters?, at now: UInt64) -> String? {
    guard let trim, now &- trim.at < min(Self.pause << (min(max(vain, 1), 8) - 1), Self.longestPause) else { return nil }
    guard let free = free(heap), let before = trim.free, free >= before + Self.growth else { return "trimmed-a-moment-ago" }
    return nil
  }

  /// What has come back to its heaps since the last trim.
  var refaulted: Bytes? {
    guard let resident, let left = trim?.resident else { return nil }
    return resident - left
  }
}

extension Supervisor {
  /// Free heap of a process as a unit; nil where nobody could give it back.
  func heapUnit(of pid: Int32, at moment: Moment) -> UnitObservation? {
    guard let process = processes[pid], case .agent(_, let segment) = process.link, segment.abilities.contains(.reclaim) else {
      return nil
    }
    let heap = believable(segment.heap(), of: pid, at: moment)
    processes[pid]?.heap.lowerFloor(heap)
    let watch = processes[pid]?.heap ?? process.heap
    let active = process.lastActiveAt.map { moment.monotonic &- UInt64(max(0, moment.wall - $0) * 1e9) }
    // What an active program has free it takes again in a moment.
    let busy = watch.busy(heap, at: moment.monotonic) ?? (isActive(pid, at: moment) ? "active" : nil)
    return UnitObservation(
      ReclaimUnit(.heap, process.facts.name, in: process.facts.identity), busy: busy,
      lastUsed: active.map { Instant(nanoseconds: $0) },
      loadedAt: process.lastUse.beganAt.map { Instant(nanoseconds: $0) }, bytes: watch.bytes(heap), refaulted: watch.refaulted)
  }

  /// Takes what was read of its mappings anyway.
  func noteHeap(_ pid: Int32, _ mappings: [Mapping], at moment: Moment) {
    guard let segment = processes[pid]?.segment else { return }
    let identity = processes[pid]?.facts.identity
    let summary = segment.summary()
    let heap = counted(summary.state, summary.heap, of: pid, at: moment)
    let allocator = heap == nil ? nil : summary.allocator
    let mapped = allocator == "glibc" ? identity.flatMap { try? inspector.mappedBlocks(of: $0, in: mappings) } : nil
    processes[pid]?.heap.take(mappings, allocator: allocator, mapped: mapped)
  }

  /// An allocator was asked to give back what it holds.
  func noteTrim(_ report: RungReport, of pid: Int32, _ mappings: [Mapping], at moment: Moment) {
    guard let segment = processes[pid]?.segment else { return }
    noteHeap(pid, mappings, at: moment)
    guard let watch = processes[pid]?.heap else { return }
    processes[pid]?.heap.note(
      HeapWatch.Trim(
        at: moment.monotonic, free: watch.free(segment.heap()), resident: watch.resident, isDone: report.refusal == nil))
  }
}
