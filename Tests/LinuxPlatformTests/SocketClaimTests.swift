import Glibc
import Synchronization
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct SocketClaimTests {
  let tree = TemporaryTree()

  @Test("A folder has one owner at a time, however fast they follow each other")
  func oneOwner() {
    chmod(tree.path, 0o700)
    let path = "\(tree.path)/agent.sock"
    let owners = Mutex(0)
    let most = Mutex(0)
    let taken = Mutex(0)
    let finished = Mutex(0)
    let body: @Sendable () -> Void = {
      for _ in 0..<4_000 {
        guard let claim = try? SocketClaim(path: path, sharedFolder: false) else { continue }
        let now = owners.withLock { count in
          count += 1
          return count
        }
        most.withLock { $0 = max($0, now) }
        taken.withLock { $0 += 1 }
        owners.withLock { $0 -= 1 }
        claim.release()
      }
      finished.withLock { $0 += 1 }
    }
    let threads = (0..<4).map { _ in spawn(body) }
    for thread in threads { pthread_join(thread, nil) }
    #expect(finished.withLock { $0 } == 4)
    #expect(taken.withLock { $0 } > 0)
    #expect(most.withLock { $0 } == 1)
  }

  @Test("A path as long as the system takes is served, a longer one refused")
  func longPath() throws {
    chmod(tree.path, 0o700)
    let longest = tree.path + "/" + String(repeating: "s", count: 107 - tree.path.utf8.count - 1)
    let claim = try SocketClaim(path: longest, sharedFolder: false)
    defer { claim.release() }
    #expect(try claim.listen(path: longest, type: SOCK_SEQPACKET, mode: 0o600, backlog: 1) >= 0)
    #expect(throws: SocketClaim.Refusal.self) {
      try claim.listen(path: longest + "s", type: SOCK_SEQPACKET, mode: 0o600, backlog: 1)
    }
  }
}

private final class Work: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func spawn(_ body: @escaping @Sendable () -> Void) -> pthread_t {
  var thread = pthread_t()
  pthread_create(
    &thread, nil,
    { context in
      Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().body()
      return nil
    }, Unmanaged.passRetained(Work(body)).toOpaque())
  return thread
}
