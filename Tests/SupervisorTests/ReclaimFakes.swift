import Dispatch
import Model
import Synchronization

@testable import Supervisor

/// An agent that answers as the test says, and does to the fake /proc what a real one does to its process.
final class FakeAgent: AgentCommanding {
  struct State {
    var asked: [AgentCommand] = []
    /// Number of the last one.
    var request: UInt32 = 0
    /// Nil: no answer ever.
    var answer: @Sendable (AgentCommand) -> CommandOutcome? = { _ in .done(0) }
    var isReachable = true
  }
  let state = Mutex(State())
  private let pid: Int32
  private let session: SessionID
  private let stage: Stage

  init(_ stage: Stage, pid: Int32, session: UInt64) {
    self.stage = stage
    self.pid = pid
    self.session = SessionID(session)
  }

  var asked: [AgentCommand] { state.withLock { $0.asked } }
  var drops: Int { asked.count { if case .drop = $0 { true } else { false } } }

  func send(_ command: AgentCommand, request: UInt32, descriptor: Int32?) -> Bool {
    let (isReachable, answer) = state.withLock { state in
      state.asked.append(command)
      state.request = request
      return (state.isReachable, state.answer)
    }
    guard isReachable else { return false }
    guard let outcome = answer(command) else { return true }
    if case .drop(let one, let other) = command, case .done = outcome {
      for range in [one, other].compactMap(\.self) { stage.proc.drop(range, of: pid) }
    }
    let (supervisor, session) = (stage.supervisor, session)
    // The supervisor's own queue is held by the caller.
    DispatchQueue.global().async { supervisor.answered(session, request: request, outcome, seconds: 0.002) }
    return true
  }
}

extension FakeProc {
  /// Pages of these addresses are in memory no more.
  func drop(_ range: AddressRange, of pid: Int32) {
    state.withLock { state in
      for index in (state.mappings[pid] ?? []).indices where state.mappings[pid]![index].start == range.start {
        state.mappings[pid]![index].usage.resident = .zero
        state.mappings[pid]![index].usage.privateClean = .zero
        state.mappings[pid]![index].usage.proportional = .zero
      }
    }
  }
  func setReferenced(_ pid: Int32, _ bytes: Bytes) {
    state.withLock { state in
      for index in (state.mappings[pid] ?? []).indices { state.mappings[pid]![index].usage.referenced = bytes }
    }
  }
}

/// The kernel's part, as the test says it is.
final class FakePages: PageReclaiming {
  struct State {
    var pagedOut: [(pid: Int32, ranges: [AddressRange])] = []
    var dropped: [String] = []
    var obstacles: [String: String] = [:]
    var swap: Bytes? = .zero
    var failure: InspectionError?
    var mergingObstacle: String?
    /// What a control group answers, in order; the last one again and again.
    var groupAnswers: [GroupAnswer] = [.unavailable("no-cgroup-v2")]
    var groupAsked: [(bytes: Bytes, pid: Int32, meant: Set<Int32>)] = []
    var merged: [Int32: Bytes] = [:]
  }
  let state = Mutex(State())

  func pageOut(_ ranges: [AddressRange], of identity: ProcessIdentity) throws(InspectionError) {
    let failure = state.withLock { state in
      state.pagedOut.append((identity.pid, ranges))
      return state.failure
    }
    if let failure { throw failure }
  }
  func dropCache(of file: FileReference, in pid: Int32) -> String? {
    state.withLock { $0.dropped.append(file.displayPath) }
    return nil
  }
  func obstacle(of file: FileReference, in pid: Int32) -> String? { state.withLock { $0.obstacles[file.displayPath] } }
  func freeSwap() -> Bytes? { state.withLock { $0.swap } }
  func reclaimGroup(_ bytes: Bytes, of pid: Int32, meant: Set<Int32>) -> GroupAnswer {
    state.withLock { state in
      state.groupAsked.append((bytes, pid, meant))
      return state.groupAnswers.count > 1 ? state.groupAnswers.removeFirst() : state.groupAnswers[0]
    }
  }
  func mergingObstacle() -> String? { state.withLock { $0.mergingObstacle } }
  func merged(of pid: Int32) -> Bytes? { state.withLock { $0.merged[pid] } }
}
