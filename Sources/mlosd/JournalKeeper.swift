import Dispatch
import Glibc
import Journal
import Logging
import Model
import Supervisor
import Synchronization

/// Owns the journal on a queue of its own: what is recorded waits in memory until that queue has time, so that a slow disk holds
/// up nobody. Safe from any thread.
final class JournalKeeper: HistoryRecording, Sendable {
  /// What waits for the queue: more is lost, and counted.
  static let limit = 4096

  private enum Entry: Sendable {
    case decision(DecisionRecord, UnloadOutcome?, UnloadReason)
    case beginning(UInt64, DecisionRecord)
    case end(UInt64, OutcomeRecord)
    case change(ConfigurationChange)
    case samples([MetricSample])
  }
  private struct Waiting {
    var entries: [Entry] = []
    /// Lost since the start for want of room here.
    var lost: UInt64 = 0
    /// Number of the last decision that was begun.
    var begun: UInt64 = 0
    var isFlushing = false
    var health: JournalHealth
    /// What was last said of its condition: trouble is logged once, not once a second.
    var told: JournalHealth.Condition = .writing
  }
  /// Not Sendable by itself: only the queue touches it.
  private final class Owned: @unchecked Sendable {
    let journal: Journal
    /// Rows of decisions whose outcome is still to come; bounded by what may be under way.
    var begun: [UInt64: Int64] = [:]
    init(_ journal: Journal) { self.journal = journal }
  }

  let path: String
  private let logger: Logger
  private let waiting: Mutex<Waiting>
  /// At the start the state is there before anything was told.
  private let hasToldOfMove = Atomic(false)
  private let queue = DispatchQueue(label: "mlos.journal")
  private let owned: Owned

  /// - Parameter path: Of the file, which need not be there.
  init(path: String, at wall: Double, logger: Logger) {
    self.path = path
    self.logger = logger
    let journal = Journal(path: path, at: wall)
    owned = Owned(journal)
    waiting = Mutex(Waiting(health: journal.health))
    tell(journal.health)
  }

  /// For the owner alone, with those above it.
  /// - Returns: Why that failed; nil when it is there.
  static func makeFolder(of path: String) -> String? {
    guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return nil }
    let folder = String(path[..<slash])
    guard access(folder, F_OK) != 0 else { return nil }
    if let problem = makeFolder(of: folder) { return problem }
    return mkdir(folder, 0o700) == 0 || errno == EEXIST ? nil : "\(folder): \(String(cString: strerror(errno)))"
  }

  func record(_ decision: DecisionRecord, outcome: UnloadOutcome?, because reason: UnloadReason) {
    append(.decision(decision, outcome, reason))
  }
  func begin(_ decision: DecisionRecord) -> UInt64 {
    let number = waiting.withLock { waiting in
      waiting.begun += 1
      return waiting.begun
    }
    append(.beginning(number, decision))
    // Now, not at the next tick: should this program end meanwhile, the next one finds what was begun.
    flush(at: decision.time)
    return number
  }
  func finish(_ number: UInt64, _ outcome: OutcomeRecord) { append(.end(number, outcome)) }
  func record(_ change: ConfigurationChange) { append(.change(change)) }
  func record(_ samples: [MetricSample]) { append(.samples(samples)) }

  private func append(_ entry: Entry) {
    waiting.withLock {
      if $0.entries.count < Self.limit { $0.entries.append(entry) } else { $0.lost += 1 }
    }
  }

  func flush(at wall: Double) {
    let begins = waiting.withLock { waiting in
      defer { waiting.isFlushing = true }
      return !waiting.isFlushing
    }
    guard begins else { return }
    queue.async { [self] in
      write(at: wall)
      waiting.withLock { $0.isFlushing = false }
    }
  }

  /// On the queue.
  private func write(at wall: Double) {
    let journal = owned.journal
    let entries = waiting.withLock { waiting in
      defer { waiting.entries.removeAll() }
      return waiting.entries
    }
    for entry in entries {
      switch entry {
      case .decision(let decision, let outcome, let reason):
        let id = journal.append(decision)
        if let outcome { journal.append(OutcomeRecord(outcome, of: id, because: reason, time: decision.time)) }
      case .beginning(let number, let decision):
        if owned.begun.count < Self.limit { owned.begun[number] = journal.append(decision) }
      case .end(let number, var outcome):
        outcome.decision = owned.begun.removeValue(forKey: number)
        journal.append(outcome)
      case .change(let change): journal.append(change)
      case .samples(let samples): for sample in samples { journal.append(sample) }
      }
    }
    tell(journal.flush(at: wall))
  }

  /// Keeps the state for who asks, and logs what is new.
  private func tell(_ health: JournalHealth) {
    if let moved = health.movedAside,
      waiting.withLock({ $0.health.movedAside }) != moved || !hasToldOfMove.exchange(true, ordering: .relaxed)
    {
      logger.warning("the journal was damaged and is set aside; a new one begins", metadata: ["kept": "\(moved)"])
    }
    let isNew = waiting.withLock { waiting in
      waiting.health = health
      // The words change with every attempt; the code is what happened.
      defer { waiting.told = health.condition }
      return waiting.told.code != health.condition.code
    }
    guard isNew else { return }
    guard let error = health.condition.error else {
      logger.notice("the journal is written again", metadata: ["lost": "\(health.lostRows)"])
      return
    }
    logger.warning(
      "the journal is not written; decisions go on", metadata: ["code": "\(error.code.rawValue)", "error": "\(error)"])
  }

  /// As of the last flush, with what waits here and what was lost here.
  var health: (health: JournalHealth, waiting: Int, lost: UInt64) {
    waiting.withLock { ($0.health, $0.entries.count, $0.lost) }
  }

  /// Asks the journal, with everything that was recorded before written first.
  func ask<Value: Sendable>(at wall: Double, _ question: @escaping @Sendable (Journal) throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { [self] in
        write(at: wall)
        continuation.resume(with: Result { try question(owned.journal) })
      }
    }
  }

  /// Writes what waits and closes the file; waits for it.
  func close(at wall: Double) {
    queue.sync {
      write(at: wall)
      owned.journal.close(at: wall)
    }
  }
}

extension JournalHealth.Condition {
  /// Nil while all is well.
  var error: JournalError? {
    switch self {
    case .writing: nil
    case .waiting(let error), .stopped(let error): error
    }
  }
  fileprivate var code: JournalError.Code? { error?.code }
}
