import Glibc

/// Puts a file in the place of the one at `path`, or does not: whenever the machine stops, the old one or the new one is there,
/// whole. For the owner alone. When it returns, the file and its name are on the disk.
func writeWhole(_ bytes: [UInt8], to path: String) throws(FileFault) {
  let folderPath = RuntimePaths.directory(of: path)
  try makeFolder(folderPath)
  let folder = open(folderPath.isEmpty ? "/" : folderPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard folder >= 0 else { throw unwritable(errno) }
  defer { close(folder) }
  let name = String(path[path.index(path.startIndex, offsetBy: folderPath.count + 1)...])
  let draft = ".\(name).new"
  // One that a writer left who was stopped; there is one writer at a time.
  guard unlinkat(folder, draft, 0) == 0 || errno == ENOENT else { throw unwritable(errno) }
  let file = openat(folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
  guard file >= 0 else { throw unwritable(errno) }
  do throws(FileFault) {
    defer { close(file) }
    // Whatever the process's umask is.
    guard fchmod(file, 0o600) == 0 else { throw unwritable(errno) }
    try write(bytes, to: file)
    guard fsync(file) == 0 else { throw unwritable(errno) }
  } catch {
    unlinkat(folder, draft, 0)
    throw error
  }
  guard renameat(folder, draft, folder, name) == 0 else {
    let fault = unwritable(errno)
    unlinkat(folder, draft, 0)
    throw fault
  }
  guard fsync(folder) == 0 else { throw unwritable(errno) }
}

private func write(_ bytes: [UInt8], to file: Int32) throws(FileFault) {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    if count < 0 {
      let number = errno
      if number == EINTR { continue }
      throw unwritable(number)
    }
    rest = rest.dropFirst(count)
  }
}

/// With the folders above it.
private func makeFolder(_ path: String) throws(FileFault) {
  guard !path.isEmpty, access(path, F_OK) != 0 else { return }
  try makeFolder(RuntimePaths.directory(of: path))
  guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw unwritable(errno) }
}

private func unwritable(_ number: Int32) -> FileFault {
  FileFault(code: .unwritable, message: "cannot be written: \(String(cString: strerror(number)))", isMissing: false)
}
