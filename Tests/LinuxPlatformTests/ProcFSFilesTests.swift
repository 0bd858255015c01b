import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

/// Files this process maps itself, under names no sane program uses.
@Suite struct ProcFSFilesTests {
  @Test("A path of more than 4,096 bytes with line feeds and bytes that are no UTF-8 is read back and opened")
  func longPath() throws {
    let tree = TemporaryTree()
    var path = Array(tree.path.utf8)
    var directory = open(tree.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    for number in 0..<24 {
      let name = Array("\(number)-a\nb ".utf8) + [0xFF, 0xFE] + [UInt8](repeating: 0x78, count: 180)
      let terminated = name.map { CChar(bitPattern: $0) } + [0]
      try #require(mkdirat(directory, terminated, 0o755) == 0)
      let next = openat(directory, terminated, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      close(directory)
      directory = next
      path += [slash] + name
    }
    defer { close(directory) }
    path += Array("/lib\n.so".utf8)
    #expect(path.count > 4096)
    let file = openat(directory, "lib\n.so", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    try #require(file >= 0)
    defer { close(file) }
    let mapped = try Mapped(file)
    let reference = try mapped.reference
    #expect(reference == FileReference(device: reference.device, inode: mapped.inode, path: path, isDeleted: false))
    let opened = try ProcFS().openFile(of: getpid(), path: path)
    #expect(UInt64(try opened.status("x").st_ino) == mapped.inode)
  }

  @Test("Names that look like the kernel's escapes and marks are taken as they are")
  func misleadingNames() throws {
    let tree = TemporaryTree()
    for name in ["a\\012b", "a\nb", "x (deleted)", "x", "y (deleted) (deleted)", "[heap]", "back\\slash"] {
      if name.contains("\\012"), geteuid() != 0 {
        print("skipped: map_files needs root")
        continue
      }
      tree.write(name, "content")
      let mapped = try Mapped(path: "\(tree.path)/\(name)")
      #expect(try mapped.reference.path == Array("\(tree.path)/\(name)".utf8))
      #expect(try !mapped.reference.isDeleted)
    }
  }

  @Test("A deleted or replaced file keeps its path, is marked, and can be opened through the mapping")
  func deleted() throws {
    let tree = TemporaryTree()
    for (number, name) in ["libx.so", "liby (deleted)"].enumerated() {
      let path = "\(tree.path)/\(name)"
      tree.write(name, "old")
      let mapped = try Mapped(path: path)
      if number == 0 {
        tree.write("new", "new")
        #expect(rename("\(tree.path)/new", path) == 0)
      } else {
        #expect(unlink(path) == 0)
      }
      let mapping = try mapped.mapping()
      guard case .file(let reference) = mapping.backing else {
        Issue.record("no file")
        continue
      }
      #expect(reference.path == Array(path.utf8))
      #expect(reference.isDeleted)
      guard geteuid() == 0 else {
        print("skipped: map_files needs root")
        continue
      }
      let opened = try ProcFS().openMappedFile(of: getpid(), mapping)
      #expect(UInt64(try opened.status("x").st_ino) == mapped.inode)
      #expect(try opened.contents(limit: 10, "x") == Array("old".utf8))
    }
  }

  @Test("Only regular files inside the root are opened")
  func hostileRoot() throws {
    let proc = FakeProc()
    proc.add(FakeProcess(pid: 42))
    proc.tree.write("42/root/inside", "inside")
    proc.tree.write("42/root/etc/secret", "the container's")
    proc.tree.write("outside", "outside")
    proc.tree.link("42/root/absolute", to: "/etc/secret")
    proc.tree.link("42/root/up", to: "../../outside")
    proc.tree.link("42/root/loop", to: "loop")
    proc.tree.link("42/root/magic", to: "/proc/self/exe")
    try #require(mkfifo("\(proc.root)/42/root/fifo", 0o644) == 0)
    let files = ProcFS(root: proc.root)
    func text(_ path: String) throws -> String {
      let file = try files.openFile(of: 42, path: Array(path.utf8))
      return String(decoding: try file.contents(limit: 100, path), as: UTF8.self)
    }
    #expect(try text("/inside") == "inside")
    #expect(try text("/absolute") == "the container's")
    #expect(code { try text("/up") } == .notFound)
    #expect(code { try text("/../outside") } == .notFound)
    #expect(code { try text("/../../../../../../etc/passwd") } == .notFound)
    #expect(code { try text("/loop") } == .failed)
    #expect(code { try text("/magic") } == .notFound)
    #expect(code { try text("/fifo") } == .malformed)
    #expect(code { try text("/etc") } == .malformed)
    #expect(code { try text("/in\u{0}side") } == .malformed)
    #expect(code { try text("/missing") } == .notFound)
  }
}

/// A page of a file mapped into this process.
private final class Mapped {
  let address: UnsafeMutableRawPointer
  let inode: UInt64

  init(_ file: Int32) throws {
    _ = ftruncate(file, max(lseek(file, 0, SEEK_END), 1))
    var status = stat()
    fstat(file, &status)
    inode = UInt64(status.st_ino)
    address = try #require(mmap(nil, 4096, PROT_READ, MAP_PRIVATE, file, 0))
    try #require(address != MAP_FAILED)
  }

  convenience init(path: String) throws {
    let file = open(path, O_RDWR | O_CLOEXEC)
    defer { close(file) }
    try self.init(file)
  }

  deinit { munmap(address, 4096) }

  func mapping() throws -> Mapping {
    let start = UInt64(UInt(bitPattern: address))
    return try #require(try ProcFS().mappings(of: getpid()).first { $0.start <= start && start < $0.end })
  }

  var reference: FileReference {
    get throws {
      guard case .file(let reference) = try mapping().backing else { throw PlatformError(.failed, context: "no file") }
      return reference
    }
  }
}
