import Glibc
import Model

/// Finds out how much of the memory of several processes is equal: pages are hashed, and looked up among those of the processes
/// before. Reads what is in memory, only when it is called, and never more than its limits.
public struct PageComparison: Sendable {
  public struct Limits: Sendable {
    /// 512 MiB of a process.
    public var processBytes: UInt64 = 512 << 20
    /// 64 MiB of a process, where there is not enough for all of it: a sample of 16,384 pages is right to within 0.8 % of its
    /// process in 95 of 100.
    public var sampleBytes: UInt64 = 64 << 20
    /// 1 GiB in all; 262,144 hashes, some 12 MiB here while it goes on.
    public var totalBytes: UInt64 = 1 << 30
    /// 3 s in all: at 1 GB/s and more three times what it takes.
    public var seconds = 3.0

    public init() {}
  }

  private let proc: ProcFS
  private let limits: Limits

  public init(procRoot: String = "/proc", limits: Limits = Limits()) {
    proc = ProcFS(root: procRoot)
    self.limits = limits
  }

  /// Blocks for at most `seconds` and the time of one reading. A process that ends meanwhile is no error.
  public func compare(_ programs: [ComparedProgram]) -> [ComparisonReading] {
    let end = monotonicTime() &+ UInt64(limits.seconds * 1e9)
    var budget = limits.totalBytes / ProcFS.pageSize
    return programs.compactMap { compare($0, until: end, &budget) }
  }

  private func compare(_ program: ComparedProgram, until end: UInt64, _ budget: inout UInt64) -> ComparisonReading? {
    let isOver = { monotonicTime() >= end }
    /// Which process had the content first.
    var owners: [Int: Int] = [:]
    var reading = ComparisonReading(
      program: program.program, processes: [], pageSize: Bytes(ProcFS.pageSize), refused: 0, isPartial: false)
    for (position, process) in program.processes.enumerated() {
      guard budget > 0, !isOver() else {
        reading.isPartial = true
        break
      }
      guard let pages = try? ProcessPages.open(proc, process.identity) else {
        reading.refused += 1
        continue
      }
      let most = share(of: budget, among: program.processes.count - position)
      let stride = stride(process, limit: most)
      let index = reading.processes.count
      var equal: [Int: UInt64] = [:]
      let outcome = pages.read(process.ranges, stride: stride, limit: most, isOver: isOver) { page in
        guard let hash = Self.hash(page) else { return }
        switch owners[hash] {
        case nil: owners[hash] = index
        case index?: break
        case let owner?: equal[owner, default: 0] += 1
        }
      }
      budget -= min(budget, outcome.read)
      // What is left out of one is not found in those after it.
      reading.isPartial = reading.isPartial || !outcome.isComplete || (stride > 1 && position < program.processes.count - 1)
      guard outcome.read > 0 else { continue }
      reading.processes.append(
        ComparisonReading.Process(identity: process.identity, pages: outcome.pages, sampled: outcome.read, equal: equal))
    }
    return reading.processes.isEmpty && reading.refused == 0 && !reading.isPartial ? nil : reading
  }

  /// Pages that may be read of the next process: the first is read as a whole where that is possible, those after it get equal parts
  /// of what is left.
  private func share(of budget: UInt64, among rest: Int) -> UInt64 {
    let page = ProcFS.pageSize
    let isFirst = budget == limits.totalBytes / page
    let part = isFirst ? budget : max(budget / UInt64(max(rest, 1)), limits.sampleBytes / page)
    return min(budget, part, limits.processBytes / page)
  }

  /// So that the limit suffices for the whole process, by what smaps said of it.
  private func stride(_ process: ComparedProcess, limit: UInt64) -> UInt64 {
    max(1, (process.resident.count / ProcFS.pageSize + limit - 1) / max(1, limit))
  }

  /// Nil for a page that is one word over and over: zeros and fill patterns are nobody's model. The hash is SipHash with this
  /// process's own key: nobody can make pages that only look equal.
  static func hash(_ page: UnsafeRawBufferPointer) -> Int? {
    let words = page.count / 8
    guard words > 0 else { return nil }
    let first = page.loadUnaligned(as: UInt64.self)
    guard (1..<words).contains(where: { page.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) != first }) else {
      return nil
    }
    var hasher = Hasher()
    hasher.combine(bytes: page)
    return hasher.finalize()
  }
}
