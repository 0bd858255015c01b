import Model
import Testing

@testable import Supervisor

/// What listings say of modules and events.
@Suite struct ListingTests {
  private let stage = Stage()

  private func map(_ pid: Int32, _ files: [(UInt64, FileReference)]) {
    stage.proc.state.withLock { $0.mappings[pid] = files.map { mapping($0, 4096, .file($1), [.read, .execute]) } }
  }

  @Test func anAdoptedProcessHasAsManyModulesAsAreListed() async throws {
    stage.proc.add(10)
    map(
      10, [(0x1000, file("/bin/server", inode: 1)), (0x3000, file("/lib/a.so", inode: 2)), (0x4000, file("/lib/a.so", inode: 2))])
    let (adopted, _) = try await stage.supervisor.adopt(10)
    #expect(adopted.modulesLoaded == 2)
    #expect(try await stage.supervisor.modules(of: 10).modules.count == 2)
    #expect(await stage.supervisor.status().modules == 2)
    // Counted again only when more or less is mapped.
    map(10, [(0x1000, file("/bin/server", inode: 1))])
    #expect(await stage.supervisor.processes().processes.map(\.modulesLoaded) == [2])
    stage.proc.state.withLock { $0.facts[10]?.virtual = .mebibytes(8) }
    #expect(await stage.supervisor.processes().processes.map(\.modulesLoaded) == [1])
  }

  @Test func manyAdoptedProcessesAreCountedInPortions() async throws {
    for pid in 1...Int32(ModuleCount.countedAtOnce + 10) {
      stage.proc.add(pid)
      map(pid, [(0x1000, file("/bin/server"))])
      _ = stage.attach(pid, session: UInt64(pid))
      stage.supervisor.agentDetached(SessionID(UInt64(pid)), hasExited: false)
    }
    let first = await stage.supervisor.processes().processes
    #expect(first.count(where: { $0.modulesLoaded == nil }) == 10)
    let second = await stage.supervisor.processes().processes
    #expect(second.allSatisfy { $0.modulesLoaded == 1 })
  }

  @Test func anUnloadedModuleKeepsWhatWasKnownOfIt() async throws {
    var facts = ElfFacts()
    facts.soname = "liba.so.1"
    let stage = Stage(files: FakeFiles(elf: ["/usr/lib/a.so": facts]))
    stage.proc.add(10)
    let mapped = FileReference(device: 254 << 32, inode: 3, path: Array("/usr/lib/a.so".utf8), isDeleted: false)
    stage.proc.state.withLock { $0.mappings[10] = [mapping(0x1000, 0x1000, .file(mapped), [.execute])] }
    // As the loader calls it, through a link.
    let segment = FakeSegment(modules: [module(3, "/lib/a.so", 0x1000, 0x2000)])
    _ = stage.attach(10, session: 1, segment: segment)
    _ = try await stage.supervisor.modules(of: 10)
    stage.proc.state.withLock { $0.mappings[10] = [] }
    for (inode, path, soname) in [(3, "/usr/lib/a.so", "liba.so.1"), (4, "/lib/a.so", nil)] as [(UInt64, String, String?)] {
      // The second: its number has been given to another file.
      var gone = module(3, "/lib/a.so", 0x1000, 0x2000, isLoaded: false)
      gone.inode = inode
      segment.state.withLock { $0.report.modules = [gone] }
      for _ in 0..<2 {
        let listed = try await stage.supervisor.modules(of: 10).modules
        #expect(listed.map(\.file.displayPath) == [path])
        #expect(listed.map { $0.elf?.soname } == [soname])
        #expect(listed.map(\.isLoaded) == [false])
      }
      #expect(try await stage.supervisor.modules(of: 10).modules.map(\.file.device) == [inode == 3 ? 254 << 32 : 8])
    }
  }

  @Test func aNameThatMayBeCutIsMarked() async {
    stage.proc.add(10)
    let segment = FakeSegment()
    segment.append(.dlopen, text: "short.so")
    segment.append(.dlopen, text: String(repeating: "x", count: 72), isTextCut: true)
    segment.append(.exec, text: "/bin/true")
    _ = stage.attach(10, session: 1, segment: segment)
    let events = await stage.supervisor.events(after: 1, limit: 10, wait: 0, pid: nil).events
    #expect(events.map(\.isSubjectCut) == [false, true, false])
    #expect(events.map(\.detail) == ["flags 0x0", "flags 0x0", "asked for"])
  }
}
