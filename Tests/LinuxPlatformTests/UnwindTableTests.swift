import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

/// Rows as binutils makes them out are the truth.
@Suite struct UnwindTableTests {
  struct Expected {
    var address: UInt64
    var frameAddress: String
    var rules: [Int: String]
  }

  /// DWARF numbers of what readelf calls the registers.
  #if arch(arm64)
    static let names = Dictionary(uniqueKeysWithValues: (0...30).map { ("x\($0)", $0) } + [("sp", 31), ("ra", 30)])
  #else
    static let names = [
      "rax": 0, "rdx": 1, "rcx": 2, "rbx": 3, "rsi": 4, "rdi": 5, "rbp": 6, "rsp": 7, "r8": 8, "r9": 9, "r10": 10, "r11": 11,
      "r12": 12, "r13": 13, "r14": 14, "r15": 15, "ra": 16,
    ]
  #endif

  static func library(_ name: String) -> String? {
    let folders = [
      "/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib/aarch64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/",
    ]
    return folders.map { $0 + name }.first { path in access(path, R_OK) == 0 }
  }

  static func image(_ path: String) throws -> ElfImage {
    try ElfImage(file: RootDirectory(path: "/").openRegular(Array(path.utf8)), number: 0, cache: BlockCache())
  }

  static func expected(_ path: String) throws -> [Expected] {
    let reader = try #require(ChildProcess(["readelf", "--debug-dump=frames-interp", path]))
    var text = ""
    while case let part = reader.read(), !part.isEmpty { text += part }
    var rows: [Expected] = []
    var columns: [Substring] = []
    var end: UInt64 = 0
    for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
      let words = line.split(separator: " ")
      if let range = words.last(where: { $0.hasPrefix("pc=") }) {
        end = UInt64(range.split(separator: ".").last!, radix: 16) ?? 0
      } else if words.contains("CIE") {
        end = 0
      } else if words.first == "LOC" {
        columns = Array(words.dropFirst(2))
      } else if let address = words.first.flatMap({ $0.count == 16 ? UInt64($0, radix: 16) : nil }),
        words.count == columns.count + 2, address < end
      {
        let rules = zip(columns, words.dropFirst(2)).map { (Self.names[String($0)] ?? -1, String($1)) }
        rows.append(
          Expected(
            address: address, frameAddress: String(words[1]), rules: Dictionary(rules, uniquingKeysWith: { first, _ in first })))
      }
    }
    return rows
  }

  static func text(_ rule: UnwindRow.Rule?) -> String {
    switch rule {
    case nil, .undefined: "u"
    case .sameValue: "s"
    case .offset(let offset): "c\(offset < 0 ? "" : "+")\(offset)"
    case .valueOffset(let offset): "v\(offset < 0 ? "" : "+")\(offset)"
    case .register(let number): names.first { $0.value == number }?.key ?? "?"
    case .expression: "exp"
    case .valueExpression: "vexp"
    }
  }

  @Test("Every row of a library is the one binutils finds", arguments: ["libc.so.6", "libstdc++.so.6", "libm.so.6"])
  func rows(name: String) throws {
    let path = try #require(Self.library(name))
    let table = UnwindTable(image: try Self.image(path))
    let expected = try Self.expected(path)
    #expect(expected.count > 5_000)
    var wrong: [String] = []
    for row in expected {
      guard let found = table.row(at: row.address) else {
        wrong.append("\(String(row.address, radix: 16)): none")
        continue
      }
      let frameAddress =
        switch found.frameAddress {
        case .register(let number, let offset):
          "\(Self.names.first { $0.value == number && $0.key != "ra" }?.key ?? "?")\(offset < 0 ? "" : "+")\(offset)"
        case .expression: "exp"
        }
      if frameAddress != row.frameAddress {
        wrong.append("\(String(row.address, radix: 16)): \(frameAddress) for \(row.frameAddress)")
      }
      for (number, rule) in row.rules where Self.text(found.rules[number]) != rule {
        wrong.append("\(String(row.address, radix: 16)) register \(number): \(Self.text(found.rules[number])) for \(rule)")
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count) of \(expected.count): \(wrong.prefix(5))")
  }

  @Test("What binutils calls functions has their names, at the first and the last byte")
  func symbols() throws {
    let path = try #require(Self.library("libc.so.6"))
    let reader = try #require(ChildProcess(["readelf", "-W", "--dyn-syms", path]))
    var text = ""
    while case let part = reader.read(), !part.isEmpty { text += part }
    var names: [UInt64: Set<String>] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 8, words[3] == "FUNC", words[6] != "UND", let start = UInt64(words[1], radix: 16),
        let size = UInt64(words[2]), size > 0
      else { continue }
      for address in [start, start + size - 1] { names[address, default: []].insert(String(words[7].split(separator: "@")[0])) }
    }
    #expect(names.count > 2_000)
    let found = SymbolFinder.functions(try Self.image(path), at: names.keys.sorted())
    let wrong = names.filter { address, names in
      !names.contains(found[address].map { String(decoding: $0.name, as: UTF8.self) } ?? "")
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(5))")
  }

  @Test("Expressions: arithmetic, stack, jumps, and an end to every one")
  func expressions() {
    let expression = UnwindExpression(register: { $0 == 7 ? 1000 : nil }, memory: { $0 == 1008 ? 42 : nil })
    let cases: [([UInt8], UInt64?)] = [
      ([0x77, 0x08], 1008), ([0x77, 0x08, 0x06], 42), ([0x77, 0x00, 0x06], nil), ([0x73, 0x00], nil),
      // glibc's procedure linkage table: rsp + 8 + (((rip & 15) >= 11) << 3), with rsp for rip.
      ([0x77, 0x08, 0x77, 0x00, 0x3F, 0x1A, 0x3B, 0x2A, 0x33, 0x24, 0x22], 1008),
      ([0x35, 0x31, 0x1C], 4), ([0x09, 0xFF, 0x31, 0x26], .max), ([0x22], nil), ([], nil), ([0x31, 0x28, 0x01, 0x00, 0x32], nil),
      ([0x35, 0x2F, 0x01, 0x00, 0x32], 5),
      // For ever.
      ([0x2F, 0xFD, 0xFF], nil), ([0x31, 0x12, 0x2F, 0xFC, 0xFF], nil), ([0x2F, 0x00, 0x80], nil),
    ]
    for (program, value) in cases { #expect(expression.evaluate(program, initial: nil) == value, "\(program)") }
  }
}
