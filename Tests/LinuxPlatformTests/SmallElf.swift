/// An ELF file of 64 bits whose code is `codeSize` bytes at `code`, with one CIE and an FDE for each equal part of the code. What
/// stands in them is the caller's; everything around is as linkers write it.
struct SmallElf {
  static let code: UInt64 = 0x1000
  static let codeSize: UInt64 = 0x1000
  private static let tableOffset = 0x100
  private static let entriesOffset = 0x200

  /// The CIE after its length and number.
  var common: [UInt8]
  /// Instructions of the FDEs, at most 16.
  var programs: [[UInt8]]
  var symbols: [(name: String, address: UInt64, size: UInt64)] = []
  /// Sections that say they are the symbol table, all of the same bytes.
  var symbolTables = 1

  /// CFA = rsp + 8, return address at CFA - 8: what every function begins with.
  static let usualCommon: [UInt8] =
    [1] + Array("zR".utf8) + [0, 1, 0x78, 16, 1, 0x1B] + [0x0C, 7, 8] + [0x90, 1]

  func bytes() -> [UInt8] {
    var out: [UInt8] = []
    func put(_ value: UInt64, _ width: Int) {
      for index in 0..<width { out.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }
    func pad(to offset: Int) { out += [UInt8](repeating: 0, count: max(0, offset - out.count)) }
    let (frames, places) = frames()
    let strings = symbols.reduce(into: [UInt8(0)]) { $0 += Array($1.name.utf8) + [0] }
    let symbolOffset = (Self.entriesOffset + frames.count + 7) & ~7
    let stringOffset = symbolOffset + 24 * (symbols.count + 1)
    let sectionOffset = (stringOffset + strings.count + 7) & ~7

    out = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    let sections = symbols.isEmpty ? 0 : symbolTables + 2
    let header = [
      (3, 2), (62, 2), (1, 4), (0, 8), (64, 8), (symbols.isEmpty ? 0 : sectionOffset, 8), (0, 4), (64, 2), (56, 2), (2, 2),
      (64, 2), (sections, 2), (0, 2),
    ]
    for (value, width) in header { put(UInt64(value), width) }
    // One segment for all of it, as long as the code; the file itself ends before.
    let end = Self.code + Self.codeSize
    let table = UInt64(12 + 8 * programs.count)
    let load: [UInt64] = [1 | 5 << 32, 0, 0, 0, end, end, 4096]
    let unwindHeader: [UInt64] = [0x6474_E550 | 4 << 32, 0x100, 0x100, 0x100, table, table, 4]
    for word in load + unwindHeader { put(word, 8) }
    pad(to: Self.tableOffset)
    out += [1, 0x1B, 0x03, 0x3B]
    put(UInt64(Self.entriesOffset - Self.tableOffset - 4), 4)
    put(UInt64(programs.count), 4)
    for (index, place) in places.enumerated() {
      put(start(index) &- UInt64(Self.tableOffset), 4)
      put(UInt64(place - Self.tableOffset), 4)
    }
    pad(to: Self.entriesOffset)
    out += frames
    guard !symbols.isEmpty else { return out }
    pad(to: symbolOffset + 24)
    var name: UInt64 = 1
    for symbol in symbols {
      put(name | 0x12 << 32 | 1 << 48, 8)
      put(symbol.address, 8)
      put(symbol.size, 8)
      name += UInt64(symbol.name.utf8.count + 1)
    }
    out += strings
    pad(to: sectionOffset + 64)
    let symbolTable = [2 << 32, 0, 0, symbolOffset, 24 * (symbols.count + 1), (symbolTables + 1) | 1 << 32, 8, 24]
    let stringTable = [3 << 32, 0, 0, stringOffset, strings.count, 0, 1, 0]
    for _ in 0..<symbolTables { for word in symbolTable { put(UInt64(word), 8) } }
    for word in stringTable { put(UInt64(word), 8) }
    return out
  }

  private func start(_ index: Int) -> UInt64 { Self.code + Self.codeSize / UInt64(programs.count) * UInt64(index) }

  /// .eh_frame, and where in the file each FDE begins.
  private func frames() -> ([UInt8], [Int]) {
    var out: [UInt8] = []
    var places: [Int] = []
    func put32(_ value: Int) { for shift in [0, 8, 16, 24] { out.append(UInt8(truncatingIfNeeded: value >> shift)) } }
    put32(common.count + 4)
    put32(0)
    out += common
    let isAugmented = common.count > 1 && common[1] == UInt8(ascii: "z")
    for (index, program) in programs.enumerated() {
      places.append(Self.entriesOffset + out.count)
      put32(12 + (isAugmented ? 1 : 0) + program.count)
      put32(out.count)
      // Relative to where it stands, as DW_EH_PE_pcrel | sdata4 says.
      put32(Int(start(index)) - (Self.entriesOffset + out.count))
      put32(Int(Self.codeSize) / programs.count)
      if isAugmented { out.append(0) }
      out += program
    }
    return (out, places)
  }
}
