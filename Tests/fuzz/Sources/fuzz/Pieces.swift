import Glibc

/// Takes an input apart. Beyond its end everything is zero, so that every beginning of an input is one as well.
struct Pieces {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { position >= bytes.count }

  mutating func byte() -> UInt8 {
    guard position < bytes.count else { return 0 }
    defer { position += 1 }
    return bytes[position]
  }

  /// Little endian.
  mutating func number(_ width: Int) -> UInt64 {
    (0..<width).reduce(0) { $0 | UInt64(byte()) << UInt64(8 * $1) }
  }

  /// Fewer at the end of the input.
  mutating func bytes(_ count: Int) -> [UInt8] {
    let end = min(position + max(0, count), bytes.count)
    defer { position = end }
    return Array(bytes[position..<end])
  }

  /// As many as the byte, or the two bytes, before them say.
  mutating func short() -> [UInt8] { bytes(Int(byte())) }
  mutating func long() -> [UInt8] { bytes(Int(number(2))) }

  mutating func rest() -> [UInt8] { bytes(bytes.count - position) }

  /// A number that is an address in the code, one in the stack, or anything: random ones alone would hit neither.
  mutating func address() -> UInt64 {
    switch byte() % 5 {
    case 0: Addresses.code + number(2)
    case 1: Addresses.stack + number(2)
    case 2: UInt64(byte())
    case 3: number(4)
    default: number(8)
    }
  }
}

/// Where things are in the process that the stages show to the readers.
enum Addresses {
  /// Where `SmallElf` is mapped.
  static let code: UInt64 = 0x5555_0000_0000
  static let stack: UInt64 = 0x7FFF_0000_0000
}

/// A folder of this run alone, which tools/fuzz makes and removes.
enum Folder {
  static let path: String = {
    guard let path = getenv("FUZZ_FOLDER").map({ String(cString: $0) }), !path.isEmpty else {
      print("FUZZ_FOLDER must name an empty folder")
      exit(2)
    }
    return path
  }()

  /// Replaces a file.
  static func write(_ name: String, _ content: [UInt8]) {
    guard write(Array(name.utf8), content, 0) else { fatalError("write \(name): errno \(errno)") }
  }

  /// A new file whose name comes from an input: bytes, without NUL. False when there is one, or the system does not take the name.
  static func create(_ name: [UInt8], _ content: [UInt8]) -> Bool { write(name, content, O_EXCL) }

  private static func write(_ name: [UInt8], _ content: [UInt8], _ flag: Int32) -> Bool {
    let file = cString(name) { open($0, O_WRONLY | O_CREAT | O_CLOEXEC | flag, 0o600) }
    guard file >= 0 else { return false }
    defer { close(file) }
    // Cut off at the end: after a cut to nothing at the beginning ext4 writes the file to the disk when it is closed.
    return content.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == content.count
      && ftruncate(file, content.count) == 0
  }

  /// Makes a directory and those above it.
  static func makeDirectories(_ name: String) {
    var current = ""
    for part in name.split(separator: "/") {
      current += current.isEmpty ? "\(part)" : "/\(part)"
      makeDirectory(Array(current.utf8))
    }
  }
  /// False when there is one, or the system does not take the name.
  @discardableResult static func makeDirectory(_ name: [UInt8]) -> Bool { cString(name) { mkdir($0, 0o700) } == 0 }

  static func remove(_ name: [UInt8]) { _ = cString(name) { Glibc.remove($0) } }

  static func link(_ name: String, to target: String) {
    guard symlink(target, "\(path)/\(name)") == 0 else { fatalError("symlink \(name): errno \(errno)") }
  }

  static func inode(_ name: String) -> UInt64 {
    var status = stat()
    guard stat("\(path)/\(name)", &status) == 0 else { fatalError("stat \(name): errno \(errno)") }
    return UInt64(status.st_ino)
  }

  private static func cString(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Int32) -> Int32 {
    (Array(path.utf8) + [UInt8(ascii: "/")] + name + [0]).withUnsafeBytes {
      body($0.baseAddress!.assumingMemoryBound(to: CChar.self))
    }
  }
}
