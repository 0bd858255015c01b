import Model

/// What may be asked of an agent over its socket.
public enum AgentCommand: Hashable, Sendable {
  case heapStart
  case heapStop
  /// The allocator gives back what it holds free.
  case trim
  /// Python's collector; the agent answers when it has run, or refuses after so long.
  case collect(milliseconds: UInt64)
  /// Unmaps clean pages of read-only library segments.
  case drop(AddressRange, AddressRange?)
  /// Begins or ends merging equal pages of anonymous memory.
  case merge(AddressRange, begins: Bool)
  /// Closed libraries that are kept at most.
  case cacheLimit(Int)
  /// Closes a kept library for good, by its number in the agent's table.
  case evict(module: UInt32)
  /// The program's own callbacks.
  case reclaim(Bytes, milliseconds: UInt64)
}

/// Addresses of a process, whole pages.
public struct AddressRange: Hashable, Sendable {
  public var start: UInt64
  /// The first that does not belong to it.
  public var end: UInt64

  public init(start: UInt64, end: UInt64) {
    self.start = start
    self.end = end
  }
}

/// What an agent answered.
public enum CommandOutcome: Hashable, Sendable {
  case done(Int64)
  case unsupported
  case failed(Int64)
}

/// Asks something of one agent, over its session. Never waits.
public protocol AgentCommanding: Sendable {
  /// - Parameter descriptor: Passed along; stays the caller's, and is not needed after the call.
  /// - Returns: False when it could not be sent: the agent does not read, or is gone.
  func send(_ command: AgentCommand, request: UInt32, descriptor: Int32?) -> Bool
}

/// How a question to an agent ended.
enum AgentAnswer: Hashable, Sendable {
  /// - Parameter seconds: By the agent's own clock.
  case outcome(CommandOutcome, seconds: Double)
  /// It could not be sent, or nothing came in time.
  case notAnswered
  /// The connection ended: the process ended, executed another program, or closed its descriptors.
  case connectionEnded
}

/// Questions that wait for an agent's answer.
struct Questions {
  struct Waiting {
    var answer: OneAnswer<AgentAnswer>
    var timer: Task<Void, Never>?
  }
  struct Key: Hashable {
    var session: SessionID
    var request: UInt32
  }
  private(set) var waiting: [Key: Waiting] = [:]

  mutating func add(_ key: Key, _ question: Waiting) { waiting[key] = question }

  mutating func end(_ key: Key, with answer: AgentAnswer) {
    guard let question = waiting.removeValue(forKey: key) else { return }
    question.timer?.cancel()
    question.answer.give(answer)
  }

  mutating func end(allOf session: SessionID) {
    for key in waiting.keys where key.session == session { end(key, with: .connectionEnded) }
  }
}

extension Supervisor {
  /// Asks and waits. Others go on meanwhile.
  ///
  /// - Parameter seconds: Longest wait.
  func ask(_ session: SessionID, _ command: AgentCommand, within seconds: Double) async -> AgentAnswer {
    guard let commands = heap.commands[session] else { return .connectionEnded }
    let request = heap.nextRequest
    heap.nextRequest &+= 1
    let key = Questions.Key(session: session, request: request)
    return await withCheckedContinuation { continuation in
      let timer = Task { [weak self] in
        try? await Task.sleep(for: .seconds(seconds))
        guard !Task.isCancelled else { return }
        await self?.endQuestion(key)
      }
      questions.add(key, Questions.Waiting(answer: OneAnswer(continuation), timer: timer))
      if !commands.send(command, request: request, descriptor: nil) { questions.end(key, with: .notAnswered) }
    }
  }

  private func endQuestion(_ key: Questions.Key) { questions.end(key, with: .notAnswered) }
}
