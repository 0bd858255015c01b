import Glibc

@testable import LinuxPlatform

/// A /proc with one process that maps one file at `Addresses.code`.
enum MappedProcess {
  /// Above the kernel's largest, so that nobody's real process is ever looked into.
  static let pid: Int32 = 2_000_000_007
  static let proc = ProcFS(root: "\(Folder.path)/proc")
  private static let root = "proc/\(pid)/root"

  /// Replaces the file in place and gives a map that has just been read.
  static func map(_ file: [UInt8]) -> CodeMap {
    _ = prepared
    Folder.write("\(root)/lib.so", file)
    return CodeMap(pid: pid, proc: proc)
  }

  private static let prepared: Void = {
    Folder.makeDirectories(root)
    Folder.write("\(root)/lib.so", [])
    let (start, end) = (Addresses.code + SmallElf.code, Addresses.code + SmallElf.code + SmallElf.codeSize)
    let maps =
      "\(hex(start))-\(hex(end)) r-xp 00001000 08:01 \(Folder.inode("\(root)/lib.so")) /lib.so\n"
      + "7ffff0000000-7ffff0001000 r-xp 00000000 00:00 0 [vdso]\n"
    Folder.write("proc/\(pid)/maps", Array(maps.utf8))
    Folder.write("proc/\(pid)/stat", [])
  }()

  private static func hex(_ number: UInt64) -> String { String(number, radix: 16) }
}
