import Dispatch
import Journal
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
    case change(ConfigurationChange)
    case samples([MetricSample])
  }
  private struct Waiting {
    var entries: [Entry] = []
    /// Lost since the last flush.
    var lost: UInt64 = 0
    var isFlushing = false
  }
  /// Not Sendable by itself: only the queue touches it.
  private struct Owned: @unchecked Sendable { let journal: Journal }

  private let waiting = Mutex(Waiting())
  private let queue = DispatchQueue(label: "mlos.journal")
  private let owned: Owned

  /// - Parameter path: Of the file, which need not be there.
  init(path: String, at wall: Double) {
    owned = Owned(journal: Journal(path: path, at: wall))
  }

  func record(_ decision: DecisionRecord, outcome: UnloadOutcome?, because reason: UnloadReason) {
    append(.decision(decision, outcome, reason))
  }
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
      case .change(let change): journal.append(change)
      case .samples(let samples): for sample in samples { journal.append(sample) }
      }
    }
    journal.flush(at: wall)
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
