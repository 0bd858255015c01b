import CLinux
import Glibc

/// A folder of Unix sockets that this process owns until `release`: a lock file in it keeps a second supervisor away,
/// whatever of the first is left after a kill. One a folder, since the control socket's name is always the same.
public final class SocketClaim {
  /// Why a path is not to be had. The text says what to do.
  public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
  }

  public let path: String
  private let lock: Int32
  private let lockPath: String
  /// The listening descriptors and their paths, closed and unlinked at the end.
  private var sockets: [(descriptor: Int32, path: String)] = []

  /// Takes the lock and makes the folder where missing.
  /// - Parameter sharedFolder: other users may enter the folder (a system service); else it is this user's alone.
  public init(path: String, sharedFolder: Bool) throws(Refusal) {
    self.path = path
    guard path.hasPrefix("/") else { throw Refusal("socket path \(path) is not absolute") }
    let folder = String(path[..<path.lastIndex(of: "/")!])
    lockPath = folder + "/mlosd.lock"
    try Self.prepareFolder(folder.isEmpty ? "/" : folder, shared: sharedFolder)
    lock = try Self.locked(lockPath, folder)
    ftruncate(lock, 0)
    let pid = "\(getpid())\n"
    _ = pid.withCString { pwrite(lock, $0, strlen($0), 0) }
  }

  private static func locked(_ path: String, _ folder: String) throws(Refusal) -> Int32 {
    while true {
      let descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else {
        let code = errno
        throw Refusal("lock \(path) cannot be opened: \(code == ELOOP ? "it is a symbolic link" : message(code))")
      }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
        defer { close(descriptor) }
        throw Refusal("another supervisor\(holder(descriptor)) serves \(folder); stop it or choose a --socket in another folder")
      }
      // The owner before removes the file as it goes: a lock on what has no name any more keeps nobody away.
      var own = stat()
      var named = stat()
      if fstat(descriptor, &own) == 0, lstat(path, &named) == 0, own.st_ino == named.st_ino, own.st_dev == named.st_dev {
        return descriptor
      }
      close(descriptor)
    }
  }

  private static func holder(_ descriptor: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 16)
    let count = pread(descriptor, &buffer, buffer.count, 0)
    let digits = buffer.prefix(max(0, count)).prefix { (0x30...0x39).contains($0) }
    return digits.isEmpty ? "" : " (process \(String(decoding: digits, as: UTF8.self)))"
  }

  private static func prepareFolder(_ folder: String, shared: Bool) throws(Refusal) {
    let rights: mode_t = shared ? 0o755 : 0o700
    if mkdir(folder, rights) == 0 {
      // Whatever the umask: other users must reach a shared socket.
      chmod(folder, rights)
    } else if errno != EEXIST {
      throw Refusal("folder \(folder) cannot be made: \(message(errno)); choose another --socket")
    }
    var status = stat()
    guard lstat(folder, &status) == 0 else { throw Refusal("folder \(folder) cannot be read: \(message(errno))") }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw Refusal("\(folder) is not a folder (a symbolic link is not followed)") }
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw Refusal("folder \(folder) belongs to user \(status.st_uid), who could replace the socket; choose another --socket")
    }
    // Others may write there only with the sticky bit, as in /tmp.
    guard status.st_mode & (S_IWGRP | S_IWOTH) == 0 || status.st_mode & S_ISVTX != 0 else {
      throw Refusal("folder \(folder) can be written by others, who could replace the socket: chmod go-w \(folder)")
    }
  }

  /// Binds and listens beside the lock; a stale socket of ours is replaced, anything else is refused.
  /// - Parameters:
  ///   - type: `SOCK_SEQPACKET` or `SOCK_STREAM`.
  ///   - mode: permission bits of the socket.
  /// - Returns: the non-blocking, close-on-exec listening descriptor; this value keeps owning it.
  public func listen(path: String, type: __socket_type, mode: mode_t, backlog: Int32) throws(Refusal) -> Int32 {
    try removeStale(path)
    let flags = Int32(type.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(AF_UNIX, flags, 0)
    guard descriptor >= 0 else { throw Refusal("no socket: \(message(errno))") }
    // Bound without rights for anyone, then opened as asked: no moment with wider rights.
    let before = umask(0o777)
    let bound = mlos_linux_bind_unix(descriptor, path)
    let code = errno
    umask(before)
    guard bound == 0, chmod(path, mode) == 0, Glibc.listen(descriptor, backlog) == 0 else {
      let failure = bound == 0 ? errno : code
      close(descriptor)
      throw Refusal("socket \(path) cannot be bound: \(message(failure))")
    }
    sockets.append((descriptor, path))
    return descriptor
  }

  /// Checks the place and removes a stale socket of this user's, for a server that binds by itself.
  public func removeStale(_ path: String) throws(Refusal) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw Refusal("\(path) cannot be read: \(message(errno))")
    }
    switch status.st_mode & S_IFMT {
    case S_IFLNK: throw Refusal("\(path) is a symbolic link; remove it or choose another --socket")
    case S_IFSOCK: break
    default: throw Refusal("\(path) is there and is no socket; remove it or choose another --socket")
    }
    guard status.st_uid == geteuid() else {
      throw Refusal("\(path) belongs to user \(status.st_uid); choose another --socket")
    }
    guard unlink(path) == 0 else { throw Refusal("stale \(path) cannot be removed: \(message(errno))") }
  }

  /// Closes and unlinks everything, the lock last.
  public func release(also others: [String] = []) {
    for socket in sockets {
      close(socket.descriptor)
      unlink(socket.path)
    }
    for path in others { unlink(path) }
    unlink(lockPath)
    close(lock)
  }
}

/// For people.
private func message(_ code: Int32) -> String { String(cString: strerror(code)) }
