import Model
import Testing

@testable import Supervisor

@Suite struct UntoldLoadsTests {
  /// A process that opened a library and never came to tell of it.
  private func waiting(_ segment: FakeSegment) -> Stage {
    let stage = Stage(observeInterval: 60)
    stage.proc.add(10)
    stage.proc.state.withLock {
      $0.mappings[10] = [
        mapping(0x1000, 4096, .file(file("/usr/bin/server", inode: 5)), [.execute]),
        mapping(0x9000, 4096, .file(file("/usr/lib/libz.so.1", inode: 7)), [.execute]),
        mapping(0xA000, 4096, .file(file("/usr/lib/libz.so.1", inode: 7)), [.read]),
        mapping(0xF000, 4096, .file(file("/usr/share/table", inode: 8)), [.read]),
      ]
    }
    _ = stage.attach(10, session: 1, segment: segment)
    segment.append(.dlopen, text: "libz.so.1")
    return stage
  }
  private var server: AgentModule {
    AgentModule(
      id: 0, isLoaded: true, path: Array("/usr/bin/server".utf8), device: 8, inode: 5, buildID: [], loadAddress: 0x1000,
      mapStart: 0x1000, mapEnd: 0x2000, dlopenCount: 0, dlcloseCount: 0, firstLoad: 0, lastLoad: 0, unload: nil, nameSpace: 0,
      wasThereAtStart: true, isMain: true)
  }

  @Test func whatTheAgentCannotTellIsSeenInProcOnce() async throws {
    let stage = waiting(FakeSegment(modules: [server]))
    await stage.supervisor.tick()
    stage.clock.advance(seconds: 6)
    await stage.supervisor.tick()
    stage.clock.advance(seconds: 6)
    await stage.supervisor.tick()
    let loads = await stage.supervisor.events(after: nil, limit: 100, wait: 0, pid: 10).events.filter { $0.kind == .loaded }
    #expect(loads.map(\.subject) == ["/usr/lib/libz.so.1"])
    let module = try await stage.supervisor.modules(of: 10).modules.first { $0.file.inode == 7 }
    #expect(module?.lastLoadedAt != nil)
    #expect(module?.lastUsedAt == module?.lastLoadedAt)
  }

  @Test func itIsSaidOnceWhenTheAgentTellsAfterAll() async {
    let segment = FakeSegment(modules: [server])
    let stage = waiting(segment)
    stage.clock.advance(seconds: 6)
    await stage.supervisor.tick()
    var late = server
    late.id = 3
    late.path = Array("/lib/libz.so.1".utf8)
    late.inode = 7
    segment.state.withLock { [late] in $0.report.modules.append(late) }
    segment.append(.loaded, module: 3)
    await stage.supervisor.tick()
    #expect(await stage.kinds(of: 10).filter { $0 == .loaded }.count == 1)
  }

  @Test func anAgentIsGivenTimeToTell() async {
    let stage = waiting(FakeSegment(modules: [server]))
    // The library was opened 50 s before this moment; now it asks for another.
    var loads = UntoldLoads()
    loads.take(AgentEvent(index: 0, time: 49_000_000_000, kind: .dlopen, thread: 1, module: nil, argument: 0, text: []))
    #expect(!loads.isDue(at: stage.clock.now.monotonic))
    #expect(loads.isDue(at: stage.clock.now.monotonic + 1_000_000_000))
    loads.take(AgentEvent(index: 1, time: 49_500_000_000, kind: .loaded, thread: 1, module: 0, argument: 0, text: []))
    #expect(!loads.isDue(at: .max))
  }
}
