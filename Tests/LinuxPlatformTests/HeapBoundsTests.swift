import Glibc
import TestKit
import Testing

@testable import LinuxPlatform

/// What a file may cost is bounded by MLOS, not by what the file says.
@Suite struct HeapBoundsTests {
  let tree = TemporaryTree()

  private func image(_ file: SmallElf) throws -> ElfImage {
    tree.write("file", file.bytes())
    return try UnwindTableTests.image("\(tree.path)/file")
  }

  @Test("The steps through symbols are those of a file, however many sections name the same symbols", .timeLimit(.minutes(1)))
  func symbols() throws {
    let wide = (0..<1_000).map { (name: "f\($0)", address: SmallElf.code, size: SmallElf.codeSize - UInt64($0)) }
    let image = try image(
      SmallElf(common: SmallElf.usualCommon, programs: [[]], symbols: wide, symbolTables: 2_000))
    // 2,000 tables, 1,000 symbols each, of which every one holds every address.
    let addresses = (0..<500).map { SmallElf.code + UInt64($0) }
    let found = SymbolFinder.functions(image, at: addresses, limit: 2_000)
    #expect(found[SmallElf.code] != nil && found[SmallElf.code]?.name != Array("f999".utf8))
    #expect(SymbolFinder.functions(image, at: [SmallElf.code], limit: 10_000)[SmallElf.code]?.name == Array("f999".utf8))
    #expect(SymbolFinder.functions(image, at: addresses, limit: 200_000).count == addresses.count)
  }

  @Test("An entry of the unwind table beyond the limit gives no row")
  func entries() throws {
    let address = SmallElf.code + 8
    // An entry holds, after its length, a distance, two addresses and the length of an empty augmentation: 13 bytes.
    for (size, isRead) in [(16, true), (UnwindTable.entryLimit - 13, true), (UnwindTable.entryLimit - 12, false)] {
      let file = SmallElf(common: SmallElf.usualCommon, programs: [[UInt8](repeating: 0, count: size)])
      #expect((UnwindTable(image: try image(file)).row(at: address) != nil) == isRead, "\(size)")
    }
  }

  @Test("A stack ends where there is no more time for it, and is not complete")
  func time() throws {
    let code = try #require(try ProcFS().codeMappings(of: getpid()).first)
    let unwinder = StackUnwinder(map: CodeMap(pid: getpid()))
    let copy = StackCopy(programCounter: code.start, stackPointer: 0, registers: [:], stack: [])
    #expect(unwinder.unwind(copy).frames.count == 1)
    let none = unwinder.unwind(copy) { false }
    #expect(none.frames.isEmpty && !none.isComplete)
  }
}
