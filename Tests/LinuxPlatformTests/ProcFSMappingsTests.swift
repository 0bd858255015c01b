import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct ModuleCountTests {
  @Test func modulesAreCountedAsTheMappingsHaveThem() throws {
    let proc = ProcFS()
    let files = try proc.mappings(of: getpid()).compactMap { mapping -> FileReference? in
      guard case .file(let file) = mapping.backing, mapping.permissions.contains(.execute) else { return nil }
      return file
    }
    #expect(try proc.moduleCount(of: getpid()) == Set(files).count)
    #expect(!files.isEmpty)
  }

  @Test(
    arguments: [
      (0, 0), (0xFE00, 0xFE_0000_0000), (0x0801, 0x8_0000_0001), (0x1000_0000_0801, 0x1008_0000_0001),
      (0x10_0801, 0x8_0000_0101), (UInt64.max, UInt64.max),
    ] as [(UInt64, UInt64)]
  ) func devicesOfTheAgentAreWrittenAsInMaps(raw: UInt64, expected: UInt64) {
    #expect(AgentSegment.device(raw) == expected)
  }
}

@Suite struct ProcFSMappingsTests {
  static let figures = "Size:  8 kB\nRss:  4 kB\nPss:  2 kB\nShared_Clean: 3 kB\nReferenced: 4 kB\nAnonymous: 1 kB\nSwap: 5 kB\n"

  static func file(_ path: String, deleted: Bool = false) -> Mapping.Backing {
    .file(FileReference(device: 0xfe << 32 | 1, inode: 7, path: Array(path.utf8), isDeleted: deleted))
  }

  @Test(
    "What the name column says",
    arguments: [
      ("", Mapping.Backing.anonymous(label: "")), ("[heap]", .anonymous(label: "heap")),
      ("[stack]", .anonymous(label: "stack")), ("[anon:glibc: malloc]", .anonymous(label: "anon:glibc: malloc")),
      ("[vdso]", .kernel(label: "vdso")), ("[vvar]", .kernel(label: "vvar")), ("[vsyscall]", .kernel(label: "vsyscall")),
      ("/usr/lib/libc.so.6", file("/usr/lib/libc.so.6")), ("/a b/c  d", file("/a b/c  d")),
      ("/a\\012b", file("/a\nb")), ("/a\\011b\\", file("/a\\011b\\")),
      ("/lib/x.so (deleted)", file("/lib/x.so", deleted: true)),
      ("/lib/x.so (deleted) (deleted)", file("/lib/x.so (deleted)", deleted: true)),
      ("/memfd:mlos (deleted)", file("/memfd:mlos", deleted: true)), ("/dev/zero (deleted)", file("/dev/zero", deleted: true)),
      ("/SYSV00000000 (deleted)", file("/SYSV00000000", deleted: true)),
      ("anon_inode:[io_uring]", file("anon_inode:[io_uring]")), ("/[heap]", file("/[heap]")),
    ])
  func names(name: String, backing: Mapping.Backing) throws {
    let mapping = try #require(try mappings("7f00-8f00 r-xp 00001000 fe:01 7   \(name)\n\(Self.figures)").first)
    #expect(mapping.backing == backing)
    #expect(mapping.start == 0x7f00 && mapping.end == 0x8f00 && mapping.offset == 0x1000)
    #expect(mapping.permissions == [.read, .execute])
    #expect(mapping.usage.resident == .kibibytes(4) && mapping.usage.swap == .kibibytes(5))
    #expect(mapping.usage.sharedClean == .kibibytes(3) && mapping.usage.anonymous == .kibibytes(1))
  }

  @Test(
    "Text that the kernel would not print is refused",
    arguments: [
      "7f00-8f00 r-xp 00001000 fe:01 7 /x\n", "7f00-8f00 r-xp 00001000 fe:01 7 /x\nRss: 4 kB",
      "7f00-8f00 r-xp 00001000 fe:01 7 /x\nRss: 99999999999999999999 kB\n",
      "7f00-8f00 r-xp 00001000 fe:01 7 /x\nRss: 18446744073709551615 kB\n", "7f00-8f00 r-xp 00001000 fe:01 7 /x\nRss: x kB\n",
      "12345678123456781-8f00 r-xp 0 fe:01 7 /x\nRss: 4 kB\n", "8f00-7f00 r-xp 0 fe:01 7 /x\nRss: 4 kB\n",
      "7f00-8f00 rwxq 0 fe:01 7 /x\nRss: 4 kB\n", "7f00-8f00 r-xp 0 fe:01 99999999999999999999 /x\nRss: 4 kB\n",
      "7f00-8f00 r-xp 0 fffffffff:01 7 /x\nRss: 4 kB\n", "Rss: 4 kB\n", "7f00\n", "7f00-", "\u{0}\u{0}\n",
      "7f00-8f00 r-xp 0 fe:01 7 /x\n9f00-af00 r-xp 0 fe:01 7 /x\nRss: 4 kB\n",
    ])
  func refused(text: String) { #expect(code { try mappings(text) } == .malformed) }

  @Test("No cut through the text of a real process crashes or invents mappings")
  func truncated() throws {
    let files = ProcFS()
    let text = try files.contents("smaps", files.directory(of: getpid()), getpid(), limit: 64 << 20)
    let whole = try Smaps.entries(text).count
    for cut in stride(from: 1, to: min(text.count, 200_000), by: 97) {
      guard let entries = try? Smaps.entries(Array(text[..<cut])) else { continue }
      #expect(text[cut - 1] == 0x0A)
      #expect(entries.count <= whole)
    }
  }

  @Test("More text than the limit is refused before it is parsed")
  func tooLarge() {
    let proc = FakeProc()
    proc.add(FakeProcess(pid: 42))
    proc.tree.write("42/smaps", "")
    #expect(truncate("\(proc.root)/42/smaps", off_t(ProcFS.smapsLimit) + 1) == 0)
    #expect(code { try ProcFS(root: proc.root).mappings(of: 42) } == .tooLarge)
  }

  @Test(
    "The mappings of a real process add up to what the kernel sums itself",
    arguments: [
      ["cat"], ["python3", "-c", "import ctypes, json, sys; print(1, flush=True); sys.stdin.read()"],
    ])
  func sums(command: [String]) throws {
    guard let child = ChildProcess(command) else {
      print("skipped: no \(command[0])")
      return
    }
    child.write(command == ["cat"] ? "1\n" : "")
    #expect(child.read().hasPrefix("1"))
    let files = ProcFS()
    var sum = MemoryUsage()
    for mapping in try files.mappings(of: child.pid) { sum += mapping.usage }
    let rollup = try files.rollup(of: child.pid)
    let figures: [KeyPath<MemoryUsage, Bytes>] = [
      \.mapped, \.resident, \.proportional, \.anonymous, \.privateDirty, \.sharedClean, \.swap,
    ]
    for figure in figures {
      let (left, right) = (Double(sum[keyPath: figure].count), Double(rollup[keyPath: figure].count))
      // Proportional sets are rounded down a mapping; other processes come and go.
      #expect(abs(left - right) <= max(left, right) * 0.01 + 65_536, "\(figure): \(left) \(right)")
    }
    #expect(sum.resident > .kibibytes(500))
    try files.clearReferenced(of: child.pid)
    #expect(try files.rollup(of: child.pid).referenced < sum.referenced)
  }

  @Test("clear_refs is told to forget pages of files only")
  func clearReferenced() throws {
    let proc = FakeProc()
    proc.add(FakeProcess(pid: 42))
    try ProcFS(root: proc.root).clearReferenced(of: 42)
    let written = try openPath("\(proc.root)/42/clear_refs", O_RDONLY).contents(limit: 10, "clear_refs")
    #expect(written == [UInt8(ascii: "3")])
  }

  private func mappings(_ text: String) throws -> [Mapping] {
    let proc = FakeProc()
    var process = FakeProcess(pid: 42)
    process.smaps = Array(text.utf8)
    proc.add(process)
    return try ProcFS(root: proc.root).mappings(of: 42)
  }
}
