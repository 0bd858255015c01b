import CLinux
import Glibc
import Model
import Synchronization
import TestKit
import Testing

@testable import LinuxPlatform

/// What a watcher said, one by one.
private final class Ear: Sendable {
  enum Word: Hashable { case event(PressureEvent), lookDue, changed(PressureTriggerReport) }
  private let stream: AsyncStream<Word>
  private let continuation: AsyncStream<Word>.Continuation
  let heard = Mutex<[Word]>([])

  init() { (stream, continuation) = AsyncStream.makeStream() }

  var listener: PressureWatcher.Listener {
    PressureWatcher.Listener(
      event: { self.say(.event($0)) }, lookDue: { self.say(.lookDue) }, changed: { self.say(.changed($0)) })
  }
  private func say(_ word: Word) {
    heard.withLock { $0.append(word) }
    continuation.yield(word)
  }
  /// The first from here on that fits.
  func next<Value: Sendable>(_ fits: (Word) -> Value?) async -> Value? {
    for await word in stream { if let value = fits(word) { return value } }
    return nil
  }
  func event() async -> PressureEvent? { await next { if case .event(let event) = $0 { event } else { nil } } }
  func change(of source: String) async -> PressureTriggerReport? {
    await next { if case .changed(let report) = $0, report.source == source { report } else { nil } }
  }
}

@Suite struct PressureWatcherTests {
  private let tree = TemporaryTree()
  private let ear = Ear()
  private var files: PressureFiles { PressureFiles(root: tree.path, procRoot: "\(tree.path)/proc") }

  /// A descriptor of the test's stands for the trigger of each file that is there.
  private func probes(_ machine: Int32, group: Int32 = -1) -> PressureProbes {
    PressureProbes(
      arm: { path throws(PlatformError) in
        let descriptor = path.contains("cgroup") ? group : machine
        guard descriptor >= 0 else { throw PlatformError(errno: EOPNOTSUPP, context: path) }
        return (fcntl(descriptor, F_DUPFD_CLOEXEC, 0), .quick)
      }, isUrgent: false,
      acknowledge: { descriptor in
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
      })
  }

  private func fire(_ descriptor: Int32) {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }

  @Test func eachEventIsToldWithTheShareThatTheTriggerProves() async throws {
    let machine = eventfd(0, Int32(EFD_NONBLOCK))
    defer { close(machine) }
    let watcher = try PressureWatcher(files: files, probes: probes(machine), listener: ear.listener)
    watcher.start()
    for count in 1...3 {
      fire(machine)
      let event = try #require(await ear.event())
      #expect(event.source == "machine" && event.stall == 0.1)
      #expect(watcher.report().triggers[0].events == UInt64(count))
      #expect(watcher.report().triggers[0].lastEvent == event.at)
    }
    watcher.stop()
    #expect(watcher.report().triggers[1].state == .unavailable)
  }

  @Test func aRefusalIsNamedOnceAndNothingSpins() async throws {
    let watcher = try PressureWatcher(files: files, probes: probes(-1), listener: ear.listener)
    watcher.start()
    watcher.lookAgain(after: 1)
    #expect(await ear.next { $0 == .lookDue ? true : nil } == true)
    watcher.stop()
    let report = watcher.report().triggers[0]
    #expect(report.state == .refused && report.problem?.hasSuffix("not supported") == true && report.trigger == nil)
    #expect(ear.heard.withLock { $0 } == [.changed(report), .changed(watcher.report().triggers[1]), .lookDue])
  }

  @Test func theLatestAlarmCounts() async throws {
    let watcher = try PressureWatcher(files: files, probes: probes(-1), listener: ear.listener)
    watcher.lookAgain(after: 3_600_000_000_000)
    watcher.start()
    watcher.lookAgain(after: 1_000_000)
    #expect(await ear.next { $0 == .lookDue ? true : nil } == true)
    watcher.stop()
    #expect(ear.heard.withLock { $0.count { $0 == .lookDue } } == 1)
  }

  @Test func aGroupThatIsGoneIsLetGoAndLookedForAgain() async throws {
    tree.write("sys/fs/cgroup/cgroup.controllers", "memory\n")
    tree.write("sys/fs/cgroup/cgroup.type", "domain\n")
    tree.write("sys/fs/cgroup/memory.pressure", "")
    var pair: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    let watcher = try PressureWatcher(files: files, probes: probes(-1, group: pair[0]), listener: ear.listener)
    watcher.start()
    #expect(await ear.change(of: "cgroup /")?.state == .armed)
    // The error on the descriptor stays.
    close(pair[1])
    #expect(await ear.change(of: "cgroup /")?.state == .lost)
    // A second later it is looked for, and armed, and lost again; then after two seconds, four, and so on.
    #expect(await ear.change(of: "cgroup /")?.state == .armed)
    watcher.stop()
    close(pair[0])
    // However late this test's turn came: the times of a minute, and the two words at the start.
    #expect(ear.heard.withLock { $0.count } < 20)
  }

  @Test(arguments: [
    ([], "no cgroup v2"), (["cgroup.controllers"], "no memory.pressure"),
    (["cgroup.controllers", "memory.pressure"], "the machine's root"),
    (["cgroup.controllers", "memory.pressure", "cgroup.type"], nil as String?),
  ])
  func whatIsNoGroupOfItsOwnSaysWhy(present: [String], problem: String?) {
    for name in present { tree.write("sys/fs/cgroup/\(name)", "") }
    if let problem {
      #expect(files.groupProblem?.contains(problem) == true)
    } else {
      #expect(files.groupProblem == nil && files.isGroup)
    }
  }

  @Test func countersOfLimitsAreReadWhateverTheKernelAdds() {
    let counts = GroupLimitCounts("low 1\nhigh 5\nmax 4\noom 2\noom_kill 1\noom_group_kill 0\nnew 9\n")
    #expect(counts == GroupLimitCounts(high: 5, max: 4, outOfMemory: 2, killed: 1))
    #expect(GroupLimitCounts("high x\n") == nil && GroupLimitCounts("") == nil)
  }

  /// The kernel's own files.
  @Test func theMachinesTriggerIsArmedOrItsRefusalIsNamed() throws {
    let watcher = try PressureWatcher(listener: ear.listener)
    watcher.start()
    watcher.stop()
    let report = watcher.report().triggers[0]
    switch report.state {
    case .armed: #expect(report.trigger == .quick || report.trigger == .unprivileged)
    case .refused, .unavailable:
      #expect(report.problem?.isEmpty == false)
      print("/proc/pressure/memory takes no trigger here: \(report.problem ?? "")")
    case .lost: Issue.record("lost without having been there")
    }
  }

  private static let groups = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].first { (folder: String) in
    access(folder + "/cgroup.controllers", F_OK) == 0 && access(folder, W_OK) == 0
      && PressureFiles.takesTrigger("/proc/pressure/memory")
  }

  @Test(.enabled(if: groups != nil, "needs a writable cgroup v2 that takes triggers"))
  func aRealGroupThatIsRemovedIsLostOnceAndFoundAgain() async throws {
    let group = "\(Self.groups!)/mlos-test-\(getpid())"
    #expect(mkdir(group, 0o755) == 0)
    defer { rmdir(group) }
    let watcher = try PressureWatcher(
      files: PressureFiles(machine: "\(tree.path)/none", group: group), probes: .live, listener: ear.listener)
    watcher.start()
    #expect(await ear.change(of: "cgroup /")?.state == .armed)
    #expect(rmdir(group) == 0)
    #expect(await ear.change(of: "cgroup /")?.state == .lost)
    #expect(mkdir(group, 0o755) == 0)
    #expect(await ear.change(of: "cgroup /")?.state == .armed)
    watcher.stop()
  }
}
