import Synchronization

/// Resumes a continuation with the first of several answers.
final class OneAnswer<Value: Sendable>: Sendable {
  private let continuation: Mutex<CheckedContinuation<Value, Never>?>

  init(_ continuation: CheckedContinuation<Value, Never>) { self.continuation = Mutex(continuation) }

  func give(_ value: Value) {
    continuation.withLock { kept in
      defer { kept = nil }
      return kept
    }?.resume(returning: value)
  }
}
