import Model
import Policy

/// What was recommended, and from how much.
public struct RecommendationsSnapshot: Sendable {
  public var takenAt: Double
  public var recommendations: [Recommendation]
  /// Names of the processes, for people.
  public var names: [Int32: String]
  /// Nil without a journal.
  public var unloads: UnloadWindow?
  public var figures: RecommendationFigures
}

/// What was measured for recommendations. Figures that could not be had are left out and counted.
public struct RecommendationFigures: Sendable {
  public var takenAt = 0.0
  public var names: [Int32: String] = [:]
  /// How long the threads were watched.
  public var seconds = 0.0
  public var threads: [ThreadObservation] = []
  /// Processes whose threads could not be read twice.
  public var threadsUnknown = 0
  /// With glibc's malloc and an agent that counts.
  public var heaps: [HeapObservation] = []
  public var heapsUnknown = 0
  public var copies: [ComparisonReading] = []
  /// Processes whose memory was worth comparing.
  public var comparable = 0
}

extension Supervisor {
  /// 1 s: long enough for a tenth of it to be ten of the scheduler's longest turns, short enough to wait for.
  static var watchSeconds: Double { 1 }
  /// Processes whose threads are read; of more those with most threads.
  static var watchLimit: Int { 256 }

  public func recommendations(
    of pid: Int32?, unloads: UnloadWindow?
  ) async throws(CommandError) -> RecommendationsSnapshot {
    if let pid, processes[pid] == nil { throw .notWatched(pid: pid, watched: processes.keys.sorted()) }
    let figures = await measured()
    let policy = RecommendationPolicy(settings: unloading.policy.settings)
    let all = policy.recommendations(
      unloads: unloads, threads: figures.threads, heaps: figures.heaps, copies: figures.copies)
    return RecommendationsSnapshot(
      takenAt: figures.takenAt,
      recommendations: all.filter { pid == nil || $0.processes.contains { $0.pid == pid } }, names: figures.names,
      unloads: unloads, figures: figures)
  }

  /// Once for all who ask at the same time: what it costs does not grow with them.
  private func measured() async -> RecommendationFigures {
    if let advising { return await advising.value }
    let task = Task { await measure() }
    advising = task
    return await task.value
  }

  private func measure() async -> RecommendationFigures {
    defer { advising = nil }
    var figures = RecommendationFigures()
    // The threads first: comparing memory takes a processor itself.
    let before = watchedThreads()
    if !before.isEmpty { await pause(Self.watchSeconds) }
    let moment = now()
    figures.takenAt = moment.wall
    var candidates: [CopyCandidate] = []
    let after = readThreads(before, &figures)
    for pid in processes.keys.sorted() { look(at: pid, moment, after[pid], &candidates, &figures) }
    figures.threadsUnknown = processes.count - figures.threads.count
    let programs = CopyCandidate.programs(candidates)
    figures.comparable = programs.reduce(0) { $0 + $1.processes.count }
    if let comparer, !programs.isEmpty { figures.copies = await comparer.compare(programs) }
    return figures
  }

  private func watchedThreads() -> [ThreadTimes] {
    guard let processorMeter else { return [] }
    let pids = processes.values.sorted {
      ($1.facts.threads, $0.facts.identity.pid) < ($0.facts.threads, $1.facts.identity.pid)
    }.prefix(Self.watchLimit).map(\.facts.identity.pid)
    return pids.compactMap { try? processorMeter.threads(of: $0) }
  }

  /// Right after one another, so that all are watched for the same time.
  private func readThreads(
    _ before: [ThreadTimes], _ figures: inout RecommendationFigures
  ) -> [Int32: (before: ThreadTimes, after: ThreadTimes)] {
    guard let processorMeter else { return [:] }
    var read: [Int32: (ThreadTimes, ThreadTimes)] = [:]
    for old in before {
      guard let new = try? processorMeter.threads(of: old.process.pid), new.process == old.process, new.at > old.at else {
        continue
      }
      read[old.process.pid] = (old, new)
      figures.seconds = max(figures.seconds, Double(new.at - old.at) / 1e9)
    }
    return read
  }

  /// One reading of its mappings for all that is asked about a process. One that is gone or unreadable is left out.
  private func look(
    at pid: Int32, _ moment: Moment, _ threads: (before: ThreadTimes, after: ThreadTimes)?, _ candidates: inout [CopyCandidate],
    _ figures: inout RecommendationFigures
  ) {
    guard refresh(pid, at: moment), let process = processes[pid], let mappings = try? inspector.mappings(of: pid),
      let view = view(of: pid, mappings, at: moment)
    else { return }
    let identity = process.facts.identity
    let packages = Set(view.packageOfPath.values.map(\.name)).sorted()
    figures.names[pid] = process.facts.name
    if let threads, threads.after.process == identity, let allowance = allowance(of: threads) {
      figures.threads.append(
        ThreadObservation(
          process: identity, processName: process.facts.name, before: threads.before, after: threads.after,
          allowance: allowance, packages: packages,
          modules: view.inventory.objects.filter(\.isModule).map { baseName($0.file.path) }))
    }
    if let heap = view.heap, process.segment?.summary().allocator == "glibc" {
      figures.heaps.append(
        HeapObservation(
          process: identity, processName: process.facts.name, heap: heap, mappings: mappings, packages: packages))
    } else {
      figures.heapsUnknown += 1
    }
    if let program = process.facts.executable {
      candidates.append(
        CopyCandidate(identity: identity, program: program, user: process.facts.user, mappings: mappings))
    }
  }

  /// Of the threads that ran: those that only wait may be bound elsewhere.
  private func allowance(of threads: (before: ThreadTimes, after: ThreadTimes)) -> ProcessorAllowance? {
    let time = threads.after.at - threads.before.at
    let busy = ThreadGrowth.between(threads.before, threads.after).filter { $0.isBusy(over: time) }.map(\.thread)
    return try? processorMeter?.allowance(of: threads.after.process.pid, threads: busy)
  }
}
