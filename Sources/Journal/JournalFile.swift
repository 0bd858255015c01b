import Glibc

/// The journal's file as the system sees it: found without following a stranger's link, opened, locked.
///
/// Held open as long as the journal is: closing any descriptor of a file drops the locks SQLite has on it in this process.
final class JournalFile {
  /// What a file's first 100 bytes tell (https://www.sqlite.org/fileformat2.html#the_database_header).
  struct Header {
    var isDatabase: Bool
    var isBlank: Bool
    var userVersion: Int32
    var applicationID: Int32
  }

  private static let companions = ["-wal", "-shm", "-journal"]
  /// Far behind the bytes SQLite locks, at 1 GiB, and behind all content.
  private static let lockedByte: off_t = 1 << 61
  /// 100 ms in steps of 10.
  private static let lockAttempts = 10
  private static let lockPause: Int32 = 10
  /// F_OFD_SETLK (fcntl(2)), which the C library's headers show only to those who ask for GNU's.
  private static let setLock: Int32 = 37

  /// Without links.
  let directory: String
  let name: String
  /// Whether there was no such file before.
  let isNew: Bool
  private let descriptor: Int32

  var path: String { directory == "/" ? "/\(name)" : "\(directory)/\(name)" }

  /// Opens the file, and makes it with mode 0600 where it is missing; takes it for this journal alone.
  init(path: String) throws(JournalError) {
    guard path.hasPrefix("/"), let slash = path.lastIndex(of: "/"), !path.hasSuffix("/"), !path.utf8.contains(0) else {
      throw JournalError(.failed, "\(path): an absolute path of a file is needed")
    }
    name = String(path[path.index(after: slash)...])
    directory = try Self.resolved(directory: String(path[..<slash]))
    let whole = directory == "/" ? "/\(name)" : "\(directory)/\(name)"
    let flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
    var opened = retrying { Glibc.open(whole, flags) }
    var made = false
    if opened < 0, errno == ENOENT {
      opened = retrying { Glibc.open(whole, flags | O_CREAT | O_EXCL, 0o600) }
      made = opened >= 0
      // Whatever the process's umask is: where a socket is being bound in another thread, it is 0777 for a moment.
      if made { fchmod(opened, 0o600) }
      if opened < 0, errno == EACCES { throw JournalError(.readOnly, "\(directory): this user may not make files there") }
    }
    guard opened >= 0 else { throw Self.error(errno, whole) }
    descriptor = opened
    isNew = made
    do throws(JournalError) {
      try check(whole)
    } catch {
      if made { unlink(whole) }
      throw error
    }
  }

  deinit { close(descriptor) }

  /// That it and the files SQLite keeps beside it are plain files of this user, and that no other journal has it.
  private func check(_ whole: String) throws(JournalError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.error(errno, whole) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw JournalError(.notAJournal, "\(whole): not a plain file") }
    guard status.st_uid == geteuid() else {
      throw JournalError(.unsafe, "\(whole): belongs to user \(status.st_uid), not to \(geteuid())")
    }
    for suffix in Self.companions where lstat(whole + suffix, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid() else {
        throw JournalError(.unsafe, "\(whole)\(suffix): not a plain file of user \(geteuid())")
      }
    }
    // Of the open file description: it ends with it, and two journals in one process exclude each other too.
    var lock = flock()
    lock.l_type = Int16(F_WRLCK)
    lock.l_whence = Int16(SEEK_SET)
    lock.l_start = Self.lockedByte
    lock.l_len = 1
    var answer = withUnsafeMutablePointer(to: &lock) { pointer in retrying { fcntl(descriptor, Self.setLock, pointer) } }
    // A child that was forked a moment ago holds a closed one's until it executes its program.
    for _ in 0..<Self.lockAttempts where answer != 0 && (errno == EAGAIN || errno == EACCES) {
      poll(nil, 0, Self.lockPause)
      answer = withUnsafeMutablePointer(to: &lock) { pointer in retrying { fcntl(descriptor, Self.setLock, pointer) } }
    }
    guard answer == 0 else {
      if errno == EAGAIN || errno == EACCES { throw JournalError(.inUse, "\(whole): another process writes this journal") }
      throw Self.error(errno, whole)
    }
  }

  /// Nil when it is shorter than a header.
  func header() throws(JournalError) -> Header? {
    var bytes = [UInt8](repeating: 0, count: 100)
    let count = retrying { pread(descriptor, &bytes, bytes.count, 0) }
    guard count >= 0 else { throw Self.error(errno, path) }
    guard count == bytes.count else { return nil }
    func number(at offset: Int) -> Int32 {
      Int32(bitPattern: bytes[offset..<offset + 4].reduce(0 as UInt32) { $0 << 8 | UInt32($1) })
    }
    return Header(
      isDatabase: bytes.starts(with: "SQLite format 3\0".utf8), isBlank: bytes.allSatisfy { $0 == 0 },
      userVersion: number(at: 60), applicationID: number(at: 68))
  }

  /// Bytes of the file itself and of the log beside it.
  var size: (main: UInt64, log: UInt64) {
    var status = stat()
    let main = fstat(descriptor, &status) == 0 ? UInt64(clamping: status.st_size) : 0
    let log = lstat(path + "-wal", &status) == 0 ? UInt64(clamping: status.st_size) : 0
    return (main, log)
  }

  /// Whether the path still leads to this file.
  var isInPlace: Bool {
    var mine = stat()
    var there = stat()
    return fstat(descriptor, &mine) == 0 && lstat(path, &there) == 0 && mine.st_ino == there.st_ino
      && mine.st_dev == there.st_dev
  }

  /// Takes reading away from everybody else.
  func secure() {
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_mode & 0o077 != 0 { fchmod(descriptor, 0o600) }
  }

  /// Undoes the making of a file that could not be filled.
  func remove() {
    for suffix in [""] + Self.companions { unlink(path + suffix) }
  }

  /// Gives it, and what belongs to it, another name that nothing has yet, and returns that.
  func moveAside(at time: Double) throws(JournalError) -> String {
    let stem = "\(path).damaged-\(utcStamp(time))"
    for attempt in 0..<100 {
      let target = attempt == 0 ? stem : "\(stem)-\(attempt + 1)"
      if try rename(to: target) { return target }
    }
    throw JournalError(.failed, "\(stem): too many files of this name")
  }

  /// - Returns: False when something has that name.
  private func rename(to target: String) throws(JournalError) -> Bool {
    // A link takes no name that is taken. Not every file system has them; there a look before has to do.
    let isLinked = link(path, target) == 0
    if !isLinked, access(target, F_OK) == 0 { return false }
    // First what belongs to it: beside a new file SQLite would take the log for a stale one and delete it.
    for suffix in Self.companions { Glibc.rename(path + suffix, target + suffix) }
    guard (isLinked ? unlink(path) : Glibc.rename(path, target)) == 0 else { throw Self.error(errno, path) }
    return true
  }

  /// The directory without links. One that another user could have planted is not followed.
  private static func resolved(directory: String) throws(JournalError) -> String {
    var done = ""
    var rest = directory.split(separator: "/").map(String.init)
    var links = 0
    while !rest.isEmpty {
      let part = rest.removeFirst()
      if part == "." { continue }
      if part == ".." {
        done = done.lastIndex(of: "/").map { String(done[..<$0]) } ?? ""
        continue
      }
      let next = "\(done)/\(part)"
      var status = stat()
      guard lstat(next, &status) == 0 else { throw error(errno, next) }
      guard status.st_mode & S_IFMT == S_IFLNK else {
        done = next
        continue
      }
      guard status.st_uid == 0 || status.st_uid == geteuid() else {
        throw JournalError(.unsafe, "\(next): a link that user \(status.st_uid) made is not followed")
      }
      links += 1
      guard links <= 40, let target = realLink(next) else { throw JournalError(.notFound, "\(next): too many links") }
      if target.hasPrefix("/") { done = "" }
      rest = target.split(separator: "/").map(String.init) + rest
    }
    var status = stat()
    let result = done.isEmpty ? "/" : done
    guard stat(result, &status) == 0 else { throw error(errno, result) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw JournalError(.notFound, "\(result): not a directory") }
    // Where everybody may rename everybody's files, any file can be exchanged at any time.
    if status.st_mode & 0o002 != 0, status.st_mode & S_ISVTX == 0 {
      throw JournalError(.unsafe, "\(result): everybody may exchange files there")
    }
    return result
  }

  private static func realLink(_ path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes {
      readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return count > 0 && count < buffer.count ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }

  private static func error(_ number: Int32, _ path: String) -> JournalError {
    let code: JournalError.Code =
      switch number {
      case ENOENT, ENOTDIR: .notFound
      case EACCES, EPERM: .notPermitted
      case EROFS: .readOnly
      case ENOSPC, EDQUOT: .full
      case ELOOP: .unsafe
      case EISDIR, ENXIO: .notAJournal
      default: .failed
      }
    return JournalError(code, "\(path): \(systemText(number))")
  }
}

/// Again as long as a signal came between.
private func retrying<Number: BinaryInteger>(_ call: () -> Number) -> Number {
  while true {
    let answer = call()
    if answer != -1 || errno != EINTR { return answer }
  }
}

/// What the system calls this error.
func systemText(_ number: Int32) -> String { String(cString: strerror(number)) }
