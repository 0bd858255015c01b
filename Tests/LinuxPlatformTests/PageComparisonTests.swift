import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct PageComparisonTests {
  private static let mib: UInt64 = 1 << 20

  /// Holds 8 MiB that no two pages of are equal, made from a seed, and says where; ends with its input.
  private static let program = """
    import ctypes, mmap, os, random, sys
    memory = mmap.mmap(-1, 8 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(random.Random(int(sys.argv[1])).randbytes(4 << 20))
    memory.write(random.Random(int(sys.argv[2])).randbytes(4 << 20))
    os.write(1, f"{ctypes.addressof(ctypes.c_char.from_buffer(memory))}\\n".encode())
    sys.stdin.read()
    """

  private final class Holder {
    let child: ChildProcess
    let compared: ComparedProcess

    init?(_ first: Int, _ second: Int) {
      guard let child = ChildProcess(["python3", "-c", PageComparisonTests.program, "\(first)", "\(second)"]),
        let start = UInt64(child.read().split(separator: "\n").first ?? ""), let identity = try? ProcFS().identity(of: child.pid)
      else { return nil }
      self.child = child
      compared = ComparedProcess(
        identity: identity, ranges: [start..<(start + 8 * mib)], resident: .mebibytes(8))
    }
  }

  private func compare(_ processes: [ComparedProcess], _ change: (inout PageComparison.Limits) -> Void = { _ in })
    -> ComparisonReading?
  {
    var limits = PageComparison.Limits()
    change(&limits)
    return PageComparison(limits: limits).compare([ComparedProgram(program: "python", processes: processes)]).first
  }

  @Test("half of what two processes hold is equal") func halves() throws {
    let (one, two) = try (#require(Holder(1, 2)), #require(Holder(3, 1)))
    let reading = try #require(compare([one.compared, two.compared]))
    #expect(reading.processes.map(\.identity) == [one.compared.identity, two.compared.identity] && !reading.isPartial)
    #expect(reading.processes.map(\.pages) == [2048, 2048] && reading.processes.map(\.sampled) == [2048, 2048])
    #expect(reading.processes.map(\.equal) == [[:], [0: 1024]])
    #expect(reading.read == .mebibytes(16) && reading.refused == 0)
  }

  @Test("who had it first is told, also where the first of all has nothing of it") func owners() throws {
    let (one, two, three) = try (#require(Holder(1, 2)), #require(Holder(3, 4)), #require(Holder(4, 2)))
    let reading = try #require(compare([one, two, three].map(\.compared)))
    #expect(reading.processes.map(\.equal) == [[:], [:], [0: 1024, 1: 1024]])
  }

  @Test("a sample finds the same share, and reads no more than it may") func sampled() throws {
    let (one, two) = try (#require(Holder(1, 2)), #require(Holder(3, 1)))
    // 1 MiB is left after the first.
    let reading = try #require(compare([one.compared, two.compared]) { ($0.totalBytes, $0.sampleBytes) = (9 << 20, 1 << 20) })
    #expect(reading.processes.last?.pages == 2048 && reading.processes.last?.sampled == 256)
    #expect(reading.processes.last?.equal == [0: 128] && reading.read == .mebibytes(9))
  }

  @Test("what the limits leave out is said") func limits() throws {
    let (one, two) = try (#require(Holder(1, 2)), #require(Holder(1, 2)))
    let half = try #require(compare([one.compared, two.compared]) { $0.processBytes = 4 << 20 })
    #expect(half.isPartial && half.processes.map(\.sampled) == [1024, 1024])
    let total = try #require(compare([one.compared, two.compared]) { $0.totalBytes = 8 << 20 })
    #expect(total.isPartial && total.processes.count == 1 && total.read == .mebibytes(8))
    let none = try #require(compare([one.compared, two.compared]) { $0.seconds = 0 })
    #expect(none.isPartial && none.processes.isEmpty)
  }

  @Test("pages shared after a fork, and pages that were never touched, are not counted") func sharedAndAbsent() throws {
    let code = """
      import ctypes, mmap, os, random, sys
      memory = mmap.mmap(-1, 16 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
      memory.write(random.Random(1).randbytes(4 << 20))
      start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
      child = os.fork()
      if child == 0:
        sys.stdin.read()
        os._exit(0)
      os.write(1, f"{start} {child}\\n".encode())
      sys.stdin.read()
      """
    let child = try #require(ChildProcess(["python3", "-c", code]))
    // Written at once, so read at once.
    let words = child.read().split { $0 == " " || $0 == "\n" }
    let start = try #require(UInt64(words[0]))
    let processes = try [child.pid, try #require(Int32(words[1]))].map {
      ComparedProcess(identity: try ProcFS().identity(of: $0), ranges: [start..<(start + 16 * Self.mib)], resident: .mebibytes(4))
    }
    #expect(withExtendedLifetime(child) { compare(processes) } == nil)
  }

  @Test("a process that has ended, another one with its number, and ranges that are gone are no errors") func gone() throws {
    let (one, two) = try (#require(Holder(1, 2)), #require(Holder(1, 2)))
    var other = two.compared
    other.identity.startTicks += 1
    #expect(compare([one.compared, other])?.refused == 1)
    two.child.end()
    let reading = try #require(compare([two.compared, one.compared]))
    #expect(reading.processes.map(\.identity) == [one.compared.identity] && reading.refused == 1)
    var moved = one.compared
    moved.ranges = [0x1000..<0x10_1000, UInt64(1) << 63..<UInt64.max] + moved.ranges
    #expect(compare([moved])?.read == .mebibytes(8))
  }

  @Test("a page that is one word over and over is nobody's") func uniform() {
    var page = [UInt8](repeating: 7, count: 4096)
    #expect(page.withUnsafeBytes { PageComparison.hash($0) } == nil)
    page[4095] = 8
    #expect(page.withUnsafeBytes { PageComparison.hash($0) } != nil)
    #expect([UInt8]().withUnsafeBytes { PageComparison.hash($0) } == nil)
  }

  @Test("private is what is present, of no file, and mapped once")
  func entries() {
    #expect(ProcessPages.isPrivate(1 << 63 | 1 << 56))
    for entry: UInt64 in [0, 1 << 63, 1 << 56, 1 << 62 | 1 << 56, 1 << 63 | 1 << 61 | 1 << 56] {
      #expect(!ProcessPages.isPrivate(entry))
    }
  }
}
