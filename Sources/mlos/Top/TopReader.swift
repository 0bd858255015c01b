import Client
import Glibc
import Synchronization
import Wire

/// Asks the supervisor beside the thread that shows: what comes back makes `descriptor` readable.
final class TopReader: Sendable {
  typealias Outcome = Result<TopReading, ClientError>

  /// Can be read once an outcome is there.
  let descriptor: Int32
  private let writeEnd: Int32
  private let client: ControlClient
  private let outcome = Mutex<Outcome?>(nil)

  init(_ client: ControlClient) throws {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      throw Failure(status: .broken, message: "cannot make a pipe: \(String(cString: strerror(errno)))")
    }
    (descriptor, writeEnd) = (ends[0], ends[1])
    self.client = client
  }

  /// One at a time: `take` the outcome before the next.
  func start(_ scope: TopPackagesScope) {
    Task {
      let result: Outcome
      do throws(ClientError) {
        result = .success(try await read(scope))
      } catch {
        result = .failure(error)
      }
      outcome.withLock { $0 = result }
      _ = write(writeEnd, "", 1)
    }
  }

  /// After `descriptor` became readable.
  func take() -> Outcome? {
    var byte: UInt8 = 0
    _ = Glibc.read(descriptor, &byte, 1)
    return outcome.withLock { outcome in
      defer { outcome = nil }
      return outcome
    }
  }

  private func read(_ scope: TopPackagesScope) async throws(ClientError) -> TopReading {
    var reading = TopReading(
      status: try await client.status().body, processes: try await client.processes().body, scope: scope)
    guard scope != .none else { return reading }
    do throws(ClientError) {
      reading.packages = try await client.packages(of: scope.pid).body
    } catch .answered(404, _) {
      // The process has ended meanwhile.
    } catch {
      throw error
    }
    return reading
  }
}

/// When to ask. In seconds of the monotonic clock.
struct TopSchedule {
  /// An answer may take the supervisor this share of the time between two questions; a dear one is asked for less often.
  private static let share = 0.1
  /// 1 s: how long a supervisor that is back may stay unnoticed.
  private static let retry = 1.0

  private var started = 0.0
  private var finished = 0.0
  private var hasFailed = false
  private(set) var isAsking = false

  mutating func start(at time: Double) {
    started = time
    isAsking = true
  }

  mutating func finish(at time: Double, failed: Bool) {
    finished = time
    hasFailed = failed
    isAsking = false
  }

  /// Nil while an answer is awaited.
  func next(interval: Double) -> Double? {
    if isAsking { return nil }
    if hasFailed { return max(started + min(interval, Self.retry), finished) }
    return max(started + interval, started + (finished - started) / Self.share)
  }
}

/// Seconds of the clock that never goes back.
func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
