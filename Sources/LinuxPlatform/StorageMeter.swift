import CLinux
import Glibc
import Model

/// How long a file takes to be read again once its pages are gone: some of it is read past the page cache, which neither fills it
/// nor is answered by it.
public struct StorageMeter: Sendable {
  private let proc: ProcFS

  public init(proc: ProcFS = ProcFS()) { self.proc = proc }

  /// What the kernel reads around a page that is missing (`read_ahead_kb` as it comes): 128 KiB.
  static let chunk = 128 << 10
  /// Reads at most; the middle one counts.
  static let reads = 9
  /// No further read begins after this time.
  static let longestSeconds = 0.05

  /// Seconds for each byte, by reads at places all over the file.
  ///
  /// Takes about 50 ms at most, and one read of a slow disk. Errors: `notFound` when the path leads to another file by now,
  /// `notPermitted`, `failed` where the file system has no reads past the cache or the file is too small to tell.
  public func measured(_ file: FileReference, in pid: Int32) throws(PlatformError) -> Double {
    guard !file.isDeleted else { throw PlatformError(.notFound, context: "\(file.displayPath) is deleted or replaced") }
    let found = try proc.openFile(of: pid, path: file.path)
    let status = try found.status("stat")
    guard UInt64(status.st_ino) == file.inode else {
      throw PlatformError(.notFound, context: "\(file.displayPath) is another file now")
    }
    let chunks = Int(status.st_size) / Self.chunk
    guard chunks >= Self.reads else { throw PlatformError(.failed, context: "\(file.displayPath) is too small to measure by") }
    // The same file by its descriptor: a name may lead elsewhere by now.
    let direct = OpenFile(
      adopting: try retryingCall("open \(file.displayPath) past the cache") {
        open("/proc/self/fd/\(found.descriptor)", O_RDONLY | O_CLOEXEC | Int32(MLOS_LINUX_O_DIRECT))
      })
    return try Self.middle(of: direct.descriptor, chunks: chunks, file.displayPath)
  }

  private static func middle(of descriptor: Int32, chunks: Int, _ name: String) throws(PlatformError) -> Double {
    // Of every file system that has such reads: the block of 4,096 bytes.
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: chunk, alignment: 4096)
    defer { buffer.deallocate() }
    var taken: [Double] = []
    let begin = seconds()
    while taken.count < reads, taken.isEmpty || seconds() - begin < longestSeconds {
      let place = off_t(Int.random(in: 0..<chunks) * chunk)
      let before = seconds()
      let count = try retryingCall("read \(name) past the cache") { pread(descriptor, buffer, chunk, place) }
      guard count == chunk else { throw PlatformError(.failed, context: "\(name) ended while it was read") }
      taken.append(seconds() - before)
    }
    return taken.sorted()[taken.count / 2] / Double(chunk)
  }

  private static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
