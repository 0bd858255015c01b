import Glibc

/// Why a file could not be read.
struct FileFault: Error {
  var code: ConfigError.Code
  var message: String
  /// There is nothing at the path.
  var isMissing: Bool
}

/// The bytes of a file of at most `limit` bytes; a pipe will do.
func readWhole(_ path: String, limit: Int) throws(FileFault) -> [UInt8] {
  let descriptor = openRetrying(path)
  guard descriptor >= 0 else { throw fault(errno) }
  defer { close(descriptor) }
  return try readWhole(descriptor, limit: limit)
}

/// The same of what is open already, from where it stands.
func readWhole(_ descriptor: Int32, limit: Int) throws(FileFault) -> [UInt8] {
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = read(descriptor, &chunk, chunk.count)
    if count < 0 {
      let number = errno
      if number == EINTR { continue }
      throw fault(number)
    }
    if count == 0 { return bytes }
    bytes += chunk[..<count]
    guard bytes.count <= limit else {
      throw FileFault(
        code: .tooLarge, message: "larger than the \(limit) bytes a configuration file may have", isMissing: false)
    }
  }
}

private func openRetrying(_ path: String) -> Int32 {
  while true {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
    if descriptor >= 0 || errno != EINTR { return descriptor }
  }
}

private func fault(_ number: Int32) -> FileFault {
  let words = number == EISDIR ? "is a directory, not a file" : "cannot be read: \(String(cString: strerror(number)))"
  return FileFault(code: .unreadable, message: words, isMissing: number == ENOENT || number == ENOTDIR)
}
