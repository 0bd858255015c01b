import CSQLite
import Model

/// What was decided, what came of it, and how much was measured and changed, in an SQLite file that outlives the program.
///
/// One owner at a time: it is not Sendable, has no thread, no timer and no clock. `append` only puts into a bounded queue in memory;
/// the owner calls `flush` about once a second, which is the only call that writes, and `close` at the end. Killed at any
/// instant, the program loses at most what was appended since the last flush; no row is ever there in part. After a loss of power
/// the file is whole too, and may lack what was written since the log was last moved into it (about 1 MiB of rows).
///
/// A flush holds up its caller for the disk, and for another program's lock at most `limits.busyMilliseconds`. Queries see what has
/// been flushed.
public final class Journal {
  private enum State {
    case open(JournalStore)
    /// Not open, and why; `retry` says whether a flush tries again.
    case away(JournalError, isSuspect: Bool)
    case closed
  }

  /// Where it was asked for.
  public let path: String
  public let limits: JournalLimits
  private var state: State
  private var queue: JournalQueue
  private var condition: JournalHealth.Condition
  private var nextDecision: Int64 = 0
  private var writtenRows: UInt64 = 0
  private var lastLoss: Double?
  private var lastFlush: Double?
  private var lastAttempt: Double?
  private var movedAside: String?
  private var retention = Retention()
  private var hasClosedInterrupted = false

  /// A journal that may not be open yet: what cannot be opened now is tried again by every flush, and what is appended waits.
  /// - Parameter time: Wall-clock seconds since 1970, now; for the name of a damaged file.
  public init(path: String, limits: JournalLimits = JournalLimits(), at time: Double) {
    self.path = path
    self.limits = limits
    queue = JournalQueue(limits: limits)
    state = .closed
    condition = .writing
    do throws(JournalError) {
      try open(at: time, isSuspect: false)
    } catch {
      setAway(error, isSuspect: false)
    }
  }

  /// A journal that is open.
  public static func open(
    path: String, limits: JournalLimits = JournalLimits(), at time: Double
  ) throws(JournalError) -> Journal {
    let journal = Journal(path: path, limits: limits, at: time)
    if case .away(let error, _) = journal.state { throw error }
    return journal
  }

  // MARK: Appending. None of it touches the disk.

  /// - Returns: The identity to give with the outcome; nil when it is not known yet, or when the row was lost.
  @discardableResult
  public func append(_ decision: DecisionRecord) -> Int64? {
    var decision = decision
    decision.id = nextDecision
    guard append(.decision(decision), at: decision.time) else { return nil }
    guard nextDecision > 0 else { return nil }
    nextDecision += 1
    return decision.id
  }

  /// - Returns: False when the row was lost; it is in the totals all the same.
  @discardableResult
  public func append(_ outcome: OutcomeRecord) -> Bool {
    if append(.outcome(outcome), at: outcome.time) { return true }
    queue.count(outcome)
    return false
  }

  @discardableResult
  public func append(_ change: ConfigurationChange) -> Bool { append(.change(change), at: change.time) }

  /// - Returns: False when the sample is no number, or when there is no room for it.
  @discardableResult
  public func append(_ sample: MetricSample) -> Bool {
    let taken = queue.append(sample, why: obstacle)
    if !taken, sample.time.isFinite { lastLoss = sample.time }
    return taken
  }

  private func append(_ row: JournalQueue.Row, at time: Double) -> Bool {
    if case .closed = state { return false }
    let taken = queue.append(row, at: time, why: obstacle)
    if !taken, time.isFinite { lastLoss = time }
    return taken
  }

  /// Why rows wait.
  private var obstacle: String {
    switch condition {
    case .writing: "more than \(limits.queueRows) rows between two flushes"
    case .waiting(let error), .stopped(let error): error.code.rawValue
    }
  }

  // MARK: Writing

  /// Writes what waits and forgets what is too old; the work of one call is bounded.
  /// - Parameter time: Wall-clock seconds since 1970, now.
  @discardableResult
  public func flush(at time: Double) -> JournalHealth {
    let time = time.isFinite ? time : lastFlush ?? 0
    switch state {
    case .closed: return health
    case .away(let error, let isSuspect):
      guard error.mayPass || isSuspect, isTimeToTry(time) else { return health }
      do throws(JournalError) {
        try open(at: time, isSuspect: isSuspect)
      } catch {
        setAway(error, isSuspect: isSuspect)
        return health
      }
    case .open(let store):
      guard store.file.isInPlace else {
        store.database.close()
        setAway(JournalError(.notFound, "\(path): taken away while it was in use"), isSuspect: false)
        lastAttempt = nil
        _ = queue.append(
          .notice(JournalNotice(.vanished, "the journal before this one was taken away while it was in use", at: time)),
          at: time, why: obstacle)
        return flush(at: time)
      }
    }
    write(at: time)
    return health
  }

  /// Writes what waits and closes the file. Afterwards everything that is appended is refused.
  @discardableResult
  public func close(at time: Double) -> JournalHealth {
    flush(at: time)
    if case .open(let store) = state {
      // Into the file, as far as nobody reads the log: then it is one file that can be copied.
      try? store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
      store.database.close()
    }
    let last = health
    state = .closed
    condition = .stopped(JournalError(.closed, "\(path): closed"))
    return last
  }

  /// How the journal is doing.
  public var health: JournalHealth {
    var health = JournalHealth(condition: condition, queueLimit: queue.limit)
    health.queuedRows = queue.rows.count
    health.writtenRows = writtenRows
    health.lostRows = queue.lostRows
    health.lastLoss = lastLoss
    health.lastFlush = lastFlush
    health.movedAside = movedAside
    if case .open(let store) = state {
      let size = store.file.size
      health.bytes = size.main + size.log
    }
    return health
  }

  private func write(at time: Double) {
    guard case .open(let store) = state else { return }
    do throws(SQLiteFailure) {
      try holdLogBack(store)
      let written = try JournalWriting(database: store.database, limits: limits).write(
        &queue, nextDecision: &nextDecision, at: time)
      writtenRows += UInt64(written)
      retention.written(written)
      try retention.run(store, limits, at: time)
      condition = .writing
      lastFlush = time
    } catch {
      let problem = JournalError(error, path: path)
      condition = .waiting(problem)
      // A row that the tables refuse is passed over; what they refuse of their own numbers is damage too.
      guard error.kind == .damaged || error.kind == .row else { return }
      store.database.close()
      setAway(problem, isSuspect: true)
    }
  }

  /// A reader that never ends keeps the log from being moved into the file: it must not fill the disk.
  private func holdLogBack(_ store: JournalStore) throws(SQLiteFailure) {
    let most = max(limits.bytes, UInt64(JournalStore.logPages) * 4096 * 4)
    guard store.file.size.log > most else { return }
    try store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if store.file.size.log > most {
      throw SQLiteFailure(code: SQLITE_BUSY, message: "another program reads, and the log grows meanwhile")
    }
  }

  // MARK: Opening

  private func open(at time: Double, isSuspect: Bool) throws(JournalError) {
    lastAttempt = time
    let store = try JournalStore.open(path: path, limits: limits, at: time, isSuspect: isSuspect)
    let last = try translating(path) { () throws(SQLiteFailure) in
      try store.database.number("SELECT max(id) FROM decision") ?? 0
    }
    // Once: what is opened again later may have decisions whose outcome is still to come.
    if !hasClosedInterrupted, time.isFinite {
      // A full disk, or a damaged row, must not keep the journal shut: such rows stay open until a later start.
      hasClosedInterrupted = (try? store.database.run(JournalSchema.closeInterrupted, .real(time))) != nil
    }
    retention.begin()
    nextDecision = max(nextDecision, last + 1)
    state = .open(store)
    condition = .writing
    guard let moved = store.movedAside else { return }
    movedAside = moved
    _ = queue.append(
      .notice(JournalNotice(.replaced, "the journal before this one was damaged and is kept as \(moved)", at: time)), at: time,
      why: obstacle)
  }

  private func setAway(_ error: JournalError, isSuspect: Bool) {
    state = .away(error, isSuspect: isSuspect)
    condition = error.mayPass || isSuspect ? .waiting(error) : .stopped(error)
  }

  /// Opening may read all of a file: every five seconds is often enough, whichever way the clock was set.
  private func isTimeToTry(_ time: Double) -> Bool {
    guard let lastAttempt else { return true }
    return abs(time - lastAttempt) >= 5
  }

  // MARK: Reading

  /// For queries: the open file.
  func reading<Value>(_ body: (SQLiteDatabase) throws(SQLiteFailure) -> Value) throws(JournalError) -> Value {
    switch state {
    case .open(let store): return try translating(path) { () throws(SQLiteFailure) in try body(store.database) }
    case .away(let error, _): throw error
    case .closed: throw JournalError(.closed, "\(path): closed")
    }
  }
}
