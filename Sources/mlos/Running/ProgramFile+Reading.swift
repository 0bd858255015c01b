import Glibc

extension ProgramFile {
  /// Of the file at `path`; `other` when it cannot be read (it may be executable all the same).
  static func inspect(path: UnsafePointer<CChar>) -> ProgramFile? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return inspect { offset, count in
      guard let position = off_t(exactly: offset), count > 0 else { return [] }
      return [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
        used = max(pread(descriptor, buffer.baseAddress, count, position), 0)
      }
    }
  }
}

extension WatchObstacle {
  /// Of the program at `path`; nil too when the file may be executed but not read.
  static func of(path: UnsafePointer<CChar>) -> WatchObstacle? {
    guard let file = ProgramFile.inspect(path: path) else { return nil }
    var status = stat()
    let changesUser =
      stat(path, &status) == 0
      && (status.st_mode & S_ISUID != 0 && status.st_uid != geteuid()
        || status.st_mode & S_ISGID != 0 && status.st_gid != getegid())
    return judge(file, changesUser: changesUser) { ProgramFile.inspect(path: $0) ?? .dynamic(interpreter: "") }
  }
}
