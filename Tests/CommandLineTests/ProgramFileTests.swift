import Foundation
import Testing

@testable import mlos

@Suite final class ProgramFileTests {
  let scratch = FileManager.default.temporaryDirectory.appending(path: "mlos-\(UUID().uuidString.prefix(8))")

  init() throws { try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(at: scratch) }

  static func canCompile(_ flags: String) throws -> Bool { try ProgramFileTests().compile(flags) != nil }

  /// Compiles an empty program; nil where there is no compiler or no static C library.
  func compile(_ flags: String...) -> String? {
    let program = scratch.appending(path: flags.joined()).path(percentEncoded: false)
    let source = scratch.appending(path: "empty.c")
    try? "int main(void) { return 0; }".write(to: source, atomically: true, encoding: .utf8)
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/env")
    compiler.arguments = ["cc"] + flags + ["-o", program, source.path(percentEncoded: false)]
    compiler.standardError = FileHandle.nullDevice
    guard (try? compiler.run()) != nil else { return nil }
    compiler.waitUntilExit()
    return compiler.terminationStatus == 0 ? program : nil
  }

  func script(_ text: String) throws -> String {
    let file = scratch.appending(path: UUID().uuidString)
    try text.write(to: file, atomically: true, encoding: .utf8)
    return file.path(percentEncoded: false)
  }

  @Test("a dynamic program names its loader") func dynamic() {
    guard case .dynamic(let loader) = ProgramFile.inspect(path: "/bin/true") else {
      Issue.record("/bin/true is not dynamic")
      return
    }
    #expect(loader.contains("ld-linux"))
    #expect(WatchObstacle.of(path: "/bin/true") == nil)
  }

  @Test("a static program is told", .enabled(if: try canCompile("-static"), "needs cc and a static C library"))
  func staticProgram() throws {
    let program = try #require(compile("-static"))
    #expect(ProgramFile.inspect(path: program) == .staticallyLinked)
    #expect(WatchObstacle.of(path: program) == .staticallyLinked)
    // So is one that may be loaded anywhere: it has a PT_DYNAMIC, but no loader.
    if let pie = compile("-static-pie") { #expect(ProgramFile.inspect(path: pie) == .staticallyLinked) }
    #expect(WatchObstacle.of(path: try script("#!\(program) -x\n")) == .staticallyLinked)
  }

  @Test(
    "a script is its interpreter's",
    arguments: [
      ("#!/bin/sh\n", .script(interpreter: "/bin/sh")), ("#! \t/usr/bin/env python3\n", .script(interpreter: "/usr/bin/env")),
      ("#!/bin/sh", .script(interpreter: "/bin/sh")), ("#!/bin/sh\r\n", .script(interpreter: "/bin/sh")), ("#!\n", .other),
      ("", .other), ("echo hello\n", .other), ("\u{7F}ELF", .other),
    ] as [(String, ProgramFile)])
  func scripts(text: String, expected: ProgramFile) throws {
    #expect(ProgramFile.inspect(path: try script(text)) == expected)
  }

  @Test("a truncated or lying ELF file is no trap") func hostile() throws {
    let whole = Array(try Data(contentsOf: URL(filePath: "/bin/true")).prefix(4096))
    for length in stride(from: 0, to: whole.count, by: 7) { _ = inspect(Array(whole.prefix(length))) }
    for position in 0..<64 {
      var bytes = whole
      for value: UInt8 in [0, 0x7F, 0xFF] {
        bytes[position] = value
        _ = inspect(bytes)
      }
    }
    var other = whole
    other[18] = 8
    #expect(inspect(other) == .foreign)
    // A table of 65,535 entries of 65,535 bytes: no more is asked for than the kernel would read.
    for index in 54..<58 { other[index] = 0xFF }
    other[18] = whole[18]
    var most = 0
    let found = ProgramFile.inspect { offset, count in
      most = max(most, count)
      return offset == 0 ? Array(other.prefix(count)) : []
    }
    #expect(found == .other)
    #expect(most <= 65_536)
  }

  private func inspect(_ bytes: [UInt8]) -> ProgramFile {
    ProgramFile.inspect { offset, count in
      guard let start = Int(exactly: offset), start < bytes.count else { return [] }
      return Array(bytes[start..<min(start + max(count, 0), bytes.count)])
    }
  }

  @Test(
    "what keeps a program from being watched",
    arguments: [
      (.dynamic(interpreter: "/lib64/ld-linux-x86-64.so.2"), false, nil),
      (.dynamic(interpreter: "/lib64/ld-linux-x86-64.so.2"), true, .changesUser),
      (.dynamic(interpreter: "/lib/ld-musl-x86_64.so.1"), false, .musl), (.foreign, false, .foreign),
      (.other, false, nil), (.other, true, nil), (.script(interpreter: "/text"), false, nil),
      (.script(interpreter: "/musl"), true, .musl), (.script(interpreter: "/glibc"), true, nil),
      (.script(interpreter: "/script"), false, nil),
    ] as [(ProgramFile, Bool, WatchObstacle?)])
  func obstacles(file: ProgramFile, changesUser: Bool, expected: WatchObstacle?) {
    let interpreters: [String: ProgramFile] = [
      "/musl": .dynamic(interpreter: "/lib/ld-musl-x86_64.so.1"), "/glibc": .dynamic(interpreter: "/lib/ld-linux.so.2"),
      "/script": .script(interpreter: "/musl"), "/bin/sh": .dynamic(interpreter: "/lib/ld-linux.so.2"),
    ]
    #expect(WatchObstacle.judge(file, changesUser: changesUser) { interpreters[$0] ?? .other } == expected)
  }

  @Test("a text without an interpreter is the shell's") func shell() {
    #expect(WatchObstacle.judge(.other, changesUser: false) { $0 == "/bin/sh" ? .staticallyLinked : .other } == .staticallyLinked)
  }
}
