import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct StorageMeterTests {
  /// Not in /tmp, which often lies in memory, where nothing is read.
  private let tree = TemporaryTree(in: "/var/tmp")
  private static let size = 4 << 20

  private func written(bytes: Int = Self.size) throws -> FileReference {
    tree.write("large", [UInt8](repeating: 7, count: bytes))
    return try reference("\(tree.path)/large")
  }

  private func reference(_ path: String) throws -> FileReference {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return FileReference(device: UInt64(status.st_dev), inode: UInt64(status.st_ino), path: Array(path.utf8), isDeleted: false)
  }

  private func outcome(_ file: FileReference) -> (rate: Double?, code: PlatformError.Code?) {
    do throws(PlatformError) {
      return (try StorageMeter().measured(file, in: getpid()), nil)
    } catch {
      return (nil, error.code)
    }
  }

  /// Pages of the file in memory.
  private func cached(_ path: String) throws -> Int {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    let memory = try #require(mmap(nil, Self.size, PROT_READ, MAP_SHARED, descriptor, 0))
    defer { munmap(memory, Self.size) }
    var states = [UInt8](repeating: 0, count: Self.size / 4096)
    try #require(mincore(memory, Self.size, &states) == 0)
    return states.count { $0 & 1 == 1 }
  }

  @Test func readingTakesTimeAndLeavesNothingInMemory() throws {
    let file = try written()
    let path = file.displayPath
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    fsync(descriptor)
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    close(descriptor)
    let before = try cached(path)
    let (rate, code) = outcome(file)
    guard let rate else {
      #expect(code == .failed)
      print("readingTakesTimeAndLeavesNothingInMemory: left out, this file system has no reads past the cache")
      return
    }
    // Between 100 GB/s and 100 kB/s.
    #expect(rate > 1e-11 && rate < 1e-5, "\(rate)")
    #expect(try cached(path) <= before)
  }

  @Test func whatCannotBeMeasuredIsSaid() throws {
    var file = try written(bytes: StorageMeter.chunk * StorageMeter.reads - 1)
    #expect(outcome(file).code == .failed)
    file.inode += 1
    #expect(outcome(file).code == .notFound)
    file.inode -= 1
    file.isDeleted = true
    #expect(outcome(file).code == .notFound)
    #expect(outcome(FileReference(device: 1, inode: 1, path: Array("/nonexistent/file".utf8), isDeleted: false)).code != nil)
  }
}
