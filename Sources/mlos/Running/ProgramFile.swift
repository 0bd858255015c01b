/// What a program's file says about how it will be started: elf(5), execve(2).
enum ProgramFile: Equatable {
  /// The dynamic loader, from PT_INTERP.
  case dynamic(interpreter: String)
  /// An ELF file without PT_INTERP.
  case staticallyLinked
  /// An ELF file of another machine or word size.
  case foreign
  /// "#!": the interpreter is what runs.
  case script(interpreter: String)
  case other

  /// - Parameter read: Up to `count` bytes from `offset`, fewer at the end of the file.
  static func inspect(read: (_ offset: UInt64, _ count: Int) -> [UInt8]) -> ProgramFile {
    let head = read(0, 256)
    if head.starts(with: Array("#!".utf8)) { return script(head) }
    guard head.count >= 64, head.starts(with: [0x7F, UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "F")]) else {
      return .other
    }
    // ELFCLASS64, ELFDATA2LSB.
    guard head[4] == 2, head[5] == 1, number(head, at: 18, bytes: 2) == machine else { return .foreign }
    let tableOffset = number(head, at: 32, bytes: 8)
    let entrySize = Int(number(head, at: 54, bytes: 2))
    let entries = Int(number(head, at: 56, bytes: 2))
    // As the kernel has it, which executes nothing else: no 4 GiB are set aside for what a file claims.
    guard entrySize == 56, (1...65_536 / 56).contains(entries) else { return .other }
    let table = read(tableOffset, entrySize * entries)
    for start in stride(from: 0, to: table.count - 55, by: entrySize) where number(table, at: start, bytes: 4) == interpreterType
    {
      let offset = number(table, at: start + 8, bytes: 8)
      let size = min(number(table, at: start + 32, bytes: 8), 4096)
      let path = read(offset, Int(size)).prefix { $0 != 0 }
      return .dynamic(interpreter: String(decoding: path, as: UTF8.self))
    }
    return .staticallyLinked
  }

  /// PT_INTERP.
  private static let interpreterType: UInt64 = 3
  /// e_machine of this build: EM_AARCH64, EM_X86_64.
  #if arch(arm64)
    private static let machine: UInt64 = 183
  #else
    private static let machine: UInt64 = 62
  #endif

  private static func script(_ head: [UInt8]) -> ProgramFile {
    let line = head.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }
    let isBlank: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    let path = line.drop(while: isBlank).prefix { !isBlank($0) && $0 != UInt8(ascii: "\r") }
    return path.isEmpty ? .other : .script(interpreter: String(decoding: path, as: UTF8.self))
  }

  /// Little-endian; 0 outside the bytes.
  private static func number(_ bytes: [UInt8], at offset: Int, bytes count: Int) -> UInt64 {
    guard offset >= 0, offset + count <= bytes.count else { return 0 }
    return (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }
}

/// Why a program will run without being watched.
enum WatchObstacle: Equatable {
  case staticallyLinked
  case musl
  case foreign
  /// The loader ignores LD_PRELOAD for it: ld.so(8), secure-execution mode.
  case changesUser

  var words: String {
    switch self {
    case .staticallyLinked: "static binary"
    case .musl: "linked with musl, not glibc"
    case .foreign: "built for another kind of machine"
    case .changesUser: "set-user-ID or set-group-ID"
    }
  }

  /// - Parameters:
  ///   - interpreter: What the file a script names is; its own scripts are not followed further.
  static func judge(_ file: ProgramFile, changesUser: Bool, interpreter: (String) -> ProgramFile) -> WatchObstacle? {
    switch file {
    // The kernel ignores these bits on scripts.
    case .script(let path): judge(interpreter(path))
    // What the kernel does not know is the shell's, as with execvp(3).
    case .other: judge(interpreter("/bin/sh"))
    case .dynamic, .staticallyLinked, .foreign: changesUser ? .changesUser : judge(file)
    }
  }

  private static func judge(_ file: ProgramFile) -> WatchObstacle? {
    switch file {
    case .dynamic(let interpreter): interpreter.contains("ld-musl") ? .musl : nil
    case .staticallyLinked: .staticallyLinked
    case .foreign: .foreign
    // A script run by a script ends at some interpreter; two levels are rare enough not to guess about.
    case .script, .other: nil
    }
  }
}
