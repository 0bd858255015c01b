import Glibc

@testable import LinuxPlatform
@testable import Supervised
@testable import Views

/// Call frame information, a stack and registers, all from the input, in a file and a process that are otherwise right. The first
/// byte chooses: even, a CIE, up to four FDE programs and a stack are unwound; odd, the rest is one DWARF expression.
enum UnwindStage {
  static func read(_ input: [UInt8]) {
    var pieces = Pieces(input)
    let choice = pieces.byte()
    if choice & 1 == 1 {
      let expression = UnwindExpression(
        register: { $0 < 32 ? Addresses.stack + UInt64($0) : nil },
        memory: { $0 >= Addresses.stack && $0 - Addresses.stack < 4096 ? $0 &* 0x9E37_79B9 : nil })
      consume(Int(truncatingIfNeeded: expression.evaluate(pieces.rest(), initial: choice & 2 == 0 ? nil : Addresses.stack) ?? 0))
      return
    }
    let common = pieces.short()
    let programs = (0...Int(choice >> 1 & 3)).map { _ in pieces.long() }
    let map = MappedProcess.map(SmallElf(common: common.isEmpty ? SmallElf.usualCommon : common, programs: programs).bytes())
    for image in map.images {
      for index in 0..<UInt64(programs.count) {
        let start = SmallElf.code + SmallElf.codeSize / UInt64(programs.count) * index
        for address in [start, start + 1, start + 64, SmallElf.code + SmallElf.codeSize - 1] {
          _ = image.table?.row(at: address)
        }
      }
    }
    var registers: [Int: UInt64] = [:]
    let counter = Addresses.code + SmallElf.code + pieces.number(2) % SmallElf.codeSize
    for number in StackUnwinder.savedRegisters { registers[number] = pieces.address() }
    var stack: [UInt8] = []
    while !pieces.isAtEnd, stack.count < 4096 { stack += withUnsafeBytes(of: pieces.address()) { Array($0) } }
    let copy = StackCopy(programCounter: counter, stackPointer: Addresses.stack, registers: registers, stack: stack[...])
    // The product ends a slow stack by the clock; here by a number of frames, so that an input takes the same steps every time.
    var left = 32
    let stackRead = StackUnwinder(map: map).unwind(copy) {
      left -= 1
      return left >= 0
    }
    consume(stackRead.frames.count)
  }
}

/// The input is a whole ELF file, as `mlosd` and `mlos run` read them without libelf: headers, notes, call frame information, symbols.
enum SymbolsStage {
  static func read(_ input: [UInt8]) {
    _ = ProgramFile.inspect { offset, count in
      guard offset < UInt64(input.count) else { return [] }
      return Array(input[Int(offset)...].prefix(count))
    }
    withMemoryFile(input) { descriptor in
      let file = OpenFile(adopting: dup(descriptor))
      guard let image = try? ElfImage(file: file, number: 0, cache: BlockCache()) else { return }
      // Evenly over the code, and the first bytes of what the program headers name.
      let addresses = Set(
        image.segments.prefix(4).flatMap { segment in
          (0..<16).map { segment.address &+ segment.fileSize / 16 &* $0 } + (0..<4).map { segment.address &+ $0 }
        }
      ).sorted()
      let table = UnwindTable(image: image)
      for address in addresses { _ = table.row(at: address) }
      for (_, symbol) in SymbolFinder.functions(image, at: addresses) { consume(FunctionName.readable(symbol.name).utf8.count) }
      for path in SymbolFinder.debugPaths(image, path: Array("/usr/lib/libsmall.so".utf8)) { consume(path.count) }
    }
  }
}
