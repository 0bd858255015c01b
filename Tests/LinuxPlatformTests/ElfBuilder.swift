/// Writes a small shared library, byte by byte, in either class and byte order.
struct ElfBuilder {
  var is64Bit = true
  var isBigEndian = false
  var soname: String? = "libx.so.1"
  var needed = ["libc.so.6", "libm.so.6"]
  var runpath: String? = "$ORIGIN/../lib"
  var flags1: UInt64 = 0x8
  var flags: UInt64 = 0x10
  /// st_info of the one defined symbol; 0xA1 is a unique object.
  var symbolInfo: UInt8 = 0xA1
  var usesGNUHash = false
  var buildID: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
  private var out: [UInt8] = []

  mutating func put(_ value: UInt64, _ width: Int) {
    let bytes = (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    out += isBigEndian ? bytes.reversed() : bytes
  }
  mutating func word(_ value: UInt64) { put(value, 4) }
  mutating func address(_ value: UInt64) { put(value, is64Bit ? 8 : 4) }

  mutating func programHeader(_ type: UInt64, _ flags: UInt64, _ offset: Int, _ size: Int, memory: Int? = nil) {
    word(type)
    if is64Bit { word(flags) }
    for value in [offset, offset, offset, size, memory ?? size] { address(UInt64(value)) }
    if !is64Bit { word(flags) }
    address(4)
  }

  /// The file. Addresses are offsets: one segment covers everything.
  mutating func build() -> [UInt8] {
    out = []
    let headerSize = is64Bit ? 64 : 52
    let programHeaderSize = is64Bit ? 56 : 32
    var strings: [UInt8] = [0]
    func add(_ text: String) -> UInt64 {
      let index = UInt64(strings.count)
      strings += Array(text.utf8) + [0]
      return index
    }
    var entries: [(UInt64, UInt64)] = needed.map { (1, add($0)) }
    if let soname { entries.append((14, add(soname))) }
    if let runpath { entries.append((29, add(runpath))) }
    entries += [(30, flags), (0x6fff_fffb, flags1)]
    let stringOffset = headerSize + 4 * programHeaderSize
    let symbolOffset = (stringOffset + strings.count + 15) & ~15
    let symbolSize = is64Bit ? 24 : 16
    let hashOffset = symbolOffset + 2 * symbolSize
    let noteOffset = hashOffset + 64
    let noteSize = 16 + buildID.count
    let dynamicOffset = (noteOffset + noteSize + 15) & ~15
    entries += [(5, UInt64(stringOffset)), (10, UInt64(strings.count)), (6, UInt64(symbolOffset))]
    entries += [(usesGNUHash ? 0x6fff_fef5 : 4, UInt64(hashOffset)), (0, 0)]
    let dynamicSize = entries.count * (is64Bit ? 16 : 8)
    let total = dynamicOffset + dynamicSize

    out = [0x7F, 0x45, 0x4C, 0x46, is64Bit ? 2 : 1, isBigEndian ? 2 : 1, 1] + [UInt8](repeating: 0, count: 9)
    put(3, 2)  // ET_DYN
    put(is64Bit ? 62 : 3, 2)
    word(1)
    address(0)
    address(UInt64(headerSize))
    // A section table that would be far outside the file.
    address(0xFFFF_FFF0)
    word(0)
    put(UInt64(headerSize), 2)
    put(UInt64(programHeaderSize), 2)
    put(4, 2)
    put(is64Bit ? 64 : 40, 2)
    put(0xFFFF, 2)
    put(0xFFFE, 2)
    programHeader(1, 5, 0, total)
    programHeader(2, 6, dynamicOffset, dynamicSize)
    programHeader(4, 4, noteOffset, noteSize)
    programHeader(7, 4, 0, 0, memory: 160)
    out += strings
    pad(to: symbolOffset + symbolSize)
    symbol()
    pad(to: hashOffset)
    if usesGNUHash {
      for value in [1, 1, 1, 0] { word(UInt64(value)) }
      address(~0)
      word(1)  // the bucket
      word(1)  // its chain, at its end
    } else {
      for value in [1, 2, 1, 0, 0] { word(UInt64(value)) }
    }
    pad(to: noteOffset)
    for value in [4, buildID.count, 3] { word(UInt64(value)) }
    out += [0x47, 0x4E, 0x55, 0] + buildID
    pad(to: dynamicOffset)
    for (tag, value) in entries {
      address(tag)
      address(value)
    }
    return out
  }

  private mutating func symbol() {
    word(1)
    if is64Bit {
      out += [symbolInfo, 0]
      put(1, 2)
      address(0)
      address(0)
    } else {
      word(0)
      word(0)
      out += [symbolInfo, 0]
      put(1, 2)
    }
  }

  private mutating func pad(to offset: Int) { out += [UInt8](repeating: 0, count: max(0, offset - out.count)) }
}
