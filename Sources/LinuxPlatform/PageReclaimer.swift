import CLinux
import Glibc
import Model

/// Gives back pages of other processes, from outside: process_madvise(2), and posix_fadvise(2) for what files left in memory.
public struct PageReclaimer: Sendable {
  private let proc: ProcFS

  public init(proc: ProcFS = ProcFS()) { self.proc = proc }

  /// MADV_PAGEOUT of <linux/mman.h>, Linux 5.4.
  private static let pageOutAdvice: Int32 = 21
  /// UIO_MAXIOV: more ranges need another call.
  private static let rangesAtOnce = 1024

  /// Pages that no other process maps: clean ones are dropped, others written to a swap. The kernel says nothing of what it did.
  ///
  /// Errors: `notPermitted` without the right to trace the process, `gone`, `failed` where the kernel has no such call.
  public func pageOut(_ ranges: [(start: UInt64, end: UInt64)], of identity: ProcessIdentity) throws(PlatformError) {
    let number = mlos_linux_pidfd_open(identity.pid, 0)
    guard number >= 0 else { throw PlatformError(errno: errno, context: "pidfd_open \(identity.pid)") }
    let process = OpenFile(adopting: number)
    // The descriptor names a process; only now is it known to be the one that was meant.
    guard try proc.quickFacts(of: identity.pid).identity == identity else {
      throw PlatformError(.gone, context: "process \(identity.pid)")
    }
    var rest = ranges[...]
    while !rest.isEmpty {
      let parts = rest.prefix(Self.rangesAtOnce).map {
        iovec(iov_base: UnsafeMutableRawPointer(bitPattern: UInt($0.start)), iov_len: Int(clamping: $0.end - $0.start))
      }
      try advise(process.descriptor, parts, identity.pid)
      rest = rest.dropFirst(parts.count)
    }
  }

  /// The call ends at the first range it cannot take (unmapped meanwhile, locked): that one is passed over.
  private func advise(_ descriptor: Int32, _ parts: [iovec], _ pid: Int32) throws(PlatformError) {
    var first = 0
    while first < parts.count {
      let left = Array(parts[first...])
      let advised = mlos_linux_process_madvise(descriptor, left, left.count, Self.pageOutAdvice)
      if advised < 0 {
        let number = errno
        guard number == ENOMEM || number == EINVAL, first + 1 < parts.count || number == ENOMEM else {
          throw PlatformError(errno: number, context: "page out of process \(pid)")
        }
        first += 1
        continue
      }
      var bytes = advised
      while first < parts.count, bytes >= parts[first].iov_len {
        bytes -= parts[first].iov_len
        first += 1
      }
      // Within a range it met something it cannot take.
      if first < parts.count { first += 1 }
    }
  }

  /// Lets the kernel forget the file's clean pages that nobody maps.
  ///
  /// Errors: `notFound` when the path leads to another file by now, `notPermitted`.
  public func dropCache(of file: FileReference, in pid: Int32) throws(PlatformError) {
    let open = try open(file, in: pid)
    let code = posix_fadvise(open.descriptor, 0, 0, POSIX_FADV_DONTNEED)
    guard code == 0 else { throw PlatformError(errno: code, context: "posix_fadvise \(file.displayPath)") }
  }

  /// The magic number of the file system the file lies on, as statfs(2) has it.
  ///
  /// Errors: as `dropCache`.
  public func fileSystem(of file: FileReference, in pid: Int32) throws(PlatformError) -> UInt32 {
    let open = try open(file, in: pid)
    let type = mlos_linux_file_system(open.descriptor)
    guard type != 0 else { throw PlatformError(errno: errno, context: "fstatfs \(file.displayPath)") }
    return type
  }

  /// File systems whose server may be gone when a page is wanted back: nfs, smb2, cifs, fuse, 9p, ceph, afs, coda.
  public static let remoteFileSystems: Set<UInt32> = [
    0x6969, 0xFE53_4D42, 0xFF53_4D42, 0x6573_5546, 0x0102_1997, 0x00C3_6400, 0x5346_414F, 0x7375_7245,
  ]

  private func open(_ file: FileReference, in pid: Int32) throws(PlatformError) -> OpenFile {
    guard !file.isDeleted else { throw PlatformError(.notFound, context: "\(file.displayPath) is deleted or replaced") }
    let open = try proc.openFile(of: pid, path: file.path)
    guard UInt64(try open.status("stat").st_ino) == file.inode else {
      throw PlatformError(.notFound, context: "\(file.displayPath) is another file now")
    }
    return open
  }
}
