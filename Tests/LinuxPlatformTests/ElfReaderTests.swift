import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct ElfReaderTests {
  let tree = TemporaryTree()

  func facts(_ bytes: [UInt8], limits: ElfReader.Limits = .init()) throws -> ElfFacts {
    tree.write("file", bytes)
    return try ElfReader(limits: limits).facts(path: Array("\(tree.path)/file".utf8))
  }

  @Test(
    "Both classes, both byte orders and both hash tables are read, without section headers",
    arguments: [
      (true, false, false), (true, true, false), (false, false, false), (false, true, false), (true, false, true),
      (true, true, true), (false, false, true), (false, true, true),
    ])
  func builtByHand(is64Bit: Bool, isBigEndian: Bool, usesGNUHash: Bool) throws {
    var builder = ElfBuilder()
    builder.is64Bit = is64Bit
    builder.isBigEndian = isBigEndian
    builder.usesGNUHash = usesGNUHash
    let bytes = builder.build()
    var expected = ElfFacts()
    expected.buildID = [1, 2, 3, 4, 5, 6, 7, 8]
    expected.soname = "libx.so.1"
    expected.needed = ["libc.so.6", "libm.so.6"]
    expected.runpath = "$ORIGIN/../lib"
    expected.isNoDelete = true
    expected.usesStaticTLS = true
    expected.hasUniqueSymbols = true
    expected.threadLocalStorage = Bytes(160)
    expected.executableSize = Bytes(UInt64(bytes.count))
    #expect(try facts(bytes) == expected)
    builder.symbolInfo = 0x11
    builder.flags = 0
    builder.flags1 = 0
    builder.runpath = nil
    let plain = try facts(builder.build())
    #expect(!plain.hasUniqueSymbols && !plain.isNoDelete && !plain.usesStaticTLS && plain.runpath == nil)
  }

  @Test("The C and C++ libraries of this machine are read")
  func realLibraries() throws {
    let libc = try #require(Self.libraries.first { $0.hasSuffix("/libc.so.6") })
    let facts = try ElfReader().facts(path: Array(libc.utf8))
    #expect(facts.soname == "libc.so.6")
    #expect(facts.buildID.count == 20)
    #expect(facts.needed.contains { $0.hasPrefix("ld-linux") })
    #expect(facts.threadLocalStorage != nil)
    #expect(facts.executableSize > .kibibytes(500))
    guard let standard = Self.libraries.first(where: { $0.contains("/libstdc++.so.6") }) else {
      print("skipped: no libstdc++")
      return
    }
    #expect(try ElfReader().facts(path: Array(standard.utf8)).hasUniqueSymbols)
  }

  @Test(
    "What is no library is refused",
    arguments: [
      [], [0x7F], Array("\u{7F}ELF".utf8), Array("#!/bin/sh\n".utf8), [UInt8](repeating: 0, count: 4096),
      Array("\u{7F}ELF".utf8) + [UInt8](repeating: 0xFF, count: 200),
      Array("\u{7F}ELF".utf8) + [2, 1, 1] + [UInt8](repeating: 0, count: 45),
      Array("\u{7F}ELF".utf8) + [2, 1, 1] + [UInt8](repeating: 0, count: 300),
    ])
  func noLibrary(bytes: [UInt8]) { #expect(code { try facts(bytes) } == .malformed) }

  @Test("Devices, directories and FIFOs are not opened")
  func noFile() throws {
    try #require(mkfifo("\(tree.path)/fifo", 0o644) == 0)
    for path in ["/dev/zero", "/tmp", "\(tree.path)/fifo"] {
      #expect(code { try ElfReader().facts(path: Array(path.utf8)) } == .malformed)
    }
    #expect(code { try ElfReader().facts(path: Array("/nowhere".utf8)) } == .notFound)
  }

  @Test("Bounds hold: names, DT_NEEDED, symbols, bytes read, and claims of huge sparse files")
  func bounds() throws {
    var builder = ElfBuilder()
    builder.needed = (0..<5000).map { "lib\($0).so" }
    #expect(code { try facts(builder.build()) } == .tooLarge)
    builder.needed = [String(repeating: "x", count: 5000)]
    #expect(code { try facts(builder.build()) } == .tooLarge)
    builder.needed = (0..<80).map { String(repeating: "x", count: 1000) + "\($0)" }
    #expect(code { try facts(builder.build()) } == .tooLarge)
    builder.needed = []
    let small = builder.build()
    var limits = ElfReader.Limits()
    limits.bytesRead = 300
    #expect(code { try facts(small, limits: limits) } == .tooLarge)
    limits = .init()
    limits.symbols = 1
    #expect(code { try facts(small, limits: limits) } == .tooLarge)
    // Every table may now claim to lie within 1 TiB of nothing.
    var random = SeededRandom(state: 7)
    for _ in 0..<200 {
      var bytes = small
      for _ in 0..<4 { bytes[Int(random.next() % UInt64(bytes.count))] = 0xFF }
      tree.write("file", bytes)
      #expect(truncate("\(tree.path)/file", 1 << 40) == 0)
      _ = try? ElfReader().facts(path: Array("\(tree.path)/file".utf8))
    }
  }

  @Test("Thousands of corrupted and truncated libraries give facts or an error", arguments: [0, 1, 2, 3])
  func corrupted(kind: Int) throws {
    var builder = ElfBuilder()
    var originals = [builder.build()]
    builder.is64Bit = false
    builder.usesGNUHash = true
    originals.append(builder.build())
    for library in Self.libraries {
      let file = try RootDirectory(path: "/").contents(Array(library.utf8), limit: 64 << 20)
      originals.append(file)
    }
    var random = SeededRandom(state: UInt64(kind) + 1)
    var outcomes: [PlatformError.Code?: Int] = [:]
    for original in originals {
      // One file, damaged and repaired in place: writing megabytes a thousand times over would test the disk.
      tree.write("victim-\(kind)", original)
      let file = try openPath("\(tree.path)/victim-\(kind)", O_RDWR)
      for round in 0..<400 {
        var damaged: [Int] = []
        // Headers at the front are hit most; the rest of the file must be reached, too.
        let reach = UInt64(round % 3 == 0 ? original.count : min(original.count, round % 3 == 1 ? 1024 : 65_536))
        for _ in 0..<(1 + Int(random.next() % 24)) {
          let offset = Int(random.next() % reach)
          var byte = kind == 0 ? 0xFF : UInt8(truncatingIfNeeded: random.next())
          pwrite(file.descriptor, &byte, 1, off_t(offset))
          damaged.append(offset)
        }
        let cut = kind == 3 ? off_t(random.next() % UInt64(original.count)) : off_t(original.count)
        if kind == 3 { #expect(ftruncate(file.descriptor, cut) == 0) }
        outcomes[code { try ElfReader().facts(descriptor: file.descriptor) }, default: 0] += 1
        if kind == 3 {
          original.withUnsafeBytes { _ = pwrite(file.descriptor, $0.baseAddress! + Int(cut), $0.count - Int(cut), cut) }
        }
        for offset in damaged where offset < Int(cut) {
          var byte = original[offset]
          pwrite(file.descriptor, &byte, 1, off_t(offset))
        }
      }
    }
    #expect(outcomes.values.reduce(0, +) == originals.count * 400)
    #expect(Set(outcomes.keys).isSubset(of: [nil, .malformed, .tooLarge]), "\(outcomes)")
    #expect(outcomes[.malformed, default: 0] > 0)
  }

  /// Small and large, of this very process.
  static let libraries: [String] = {
    let mappings = (try? ProcFS().mappings(of: getpid())) ?? []
    let paths = Set(
      mappings.compactMap { mapping -> String? in
        guard case .file(let file) = mapping.backing, !file.isDeleted else { return nil }
        let name = String(decoding: file.path.baseName, as: UTF8.self)
        let wanted = ["libc.so", "libm.so", "libz.so", "libelf", "libstdc++", "libgcc"]
        return wanted.contains { name.hasPrefix($0) } ? String(decoding: file.path, as: UTF8.self) : nil
      })
    return paths.sorted()
  }()
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same damage in every run.
struct SeededRandom {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
