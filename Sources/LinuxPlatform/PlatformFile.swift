import CLinux
import Glibc

/// A descriptor that is closed when it goes out of scope.
public struct OpenFile: ~Copyable, Sendable {
  /// Valid as long as this value lives.
  public let descriptor: Int32

  /// Takes over a descriptor.
  public init(adopting descriptor: Int32) { self.descriptor = descriptor }

  deinit { _ = close(descriptor) }

  /// fstat(2).
  func status(_ context: @autoclosure () -> String) throws(PlatformError) -> stat {
    var status = stat()
    _ = try retryingCall(context()) { fstat(descriptor, &status) }
    return status
  }

  /// Everything from the current position on, `tooLarge` above `limit` bytes.
  /// - Parameter expected: A guess of the size; files of /proc have none of their own.
  func contents(limit: Int, expected: Int = 4096, _ context: @autoclosure () -> String) throws(PlatformError) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: min(max(expected, 512), limit + 1))
    var filled = 0
    while true {
      if filled == buffer.count {
        guard filled <= limit else { throw PlatformError(.tooLarge, context: "\(context()) (more than \(limit) bytes)") }
        buffer += [UInt8](repeating: 0, count: min(buffer.count, limit + 1 - buffer.count))
      }
      let count = try retryingCall(context()) {
        buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + filled, $0.count - filled) }
      }
      if count == 0 { break }
      filled += count
    }
    guard filled <= limit else { throw PlatformError(.tooLarge, context: "\(context()) (more than \(limit) bytes)") }
    buffer.removeLast(buffer.count - filled)
    return buffer
  }
}

/// pread(2): at most `count` bytes at `offset`; fewer only where the file ends. The caller has bounded `count`.
func positionedBytes(
  _ descriptor: Int32, at offset: UInt64, upTo count: Int, _ context: @autoclosure () -> String
) throws(PlatformError) -> [UInt8] {
  guard let start = off_t(exactly: offset), !start.addingReportingOverflow(count).overflow else {
    throw PlatformError(.malformed, context: "\(context()): offset \(offset)")
  }
  var buffer = [UInt8](repeating: 0, count: count)
  var filled = 0
  while filled < count {
    let got = try retryingCall(context()) {
      buffer.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + filled, count - filled, start + filled) }
    }
    if got == 0 { break }
    filled += got
  }
  buffer.removeLast(count - filled)
  return buffer
}

/// open(2), close-on-exec and never a controlling terminal.
func openPath(_ path: String, _ flags: Int32) throws(PlatformError) -> OpenFile {
  OpenFile(adopting: try retryingCall("open \(path)") { Glibc.open(path, flags | O_CLOEXEC | O_NOCTTY) })
}

/// openat(2), close-on-exec and never a controlling terminal.
func openPath(_ name: String, in directory: borrowing OpenFile, _ flags: Int32) throws(PlatformError) -> OpenFile {
  let number = directory.descriptor
  return OpenFile(adopting: try retryingCall("open \(name)") { openat(number, name, flags | O_CLOEXEC | O_NOCTTY) })
}

/// Names in a directory, without `.` and `..`, sorted by bytes; `tooLarge` above `limit`.
func directoryNames(_ directory: consuming OpenFile, limit: Int, _ context: String) throws(PlatformError) -> [[UInt8]] {
  // fdopendir takes the descriptor over, and one opened with O_PATH cannot be listed.
  let path = "/proc/self/fd/\(directory.descriptor)"
  guard let stream = opendir(path) else { throw PlatformError(errno: errno, context: context) }
  defer { closedir(stream) }
  var names: [[UInt8]] = []
  while let entry = readdir(stream) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in Array(bytes.prefix { $0 != 0 }) }
    if name == [0x2E] || name == [0x2E, 0x2E] { continue }
    guard names.count < limit else { throw PlatformError(.tooLarge, context: "\(context) (more than \(limit) names)") }
    names.append(name)
  }
  names.sort { $0.lexicographicallyPrecedes($1) }
  return names
}

/// readlink(2) for links whose target may be longer than PATH_MAX; bytes, since a path need not be UTF-8.
func linkTarget(_ name: String, in directory: Int32 = AT_FDCWD) throws(PlatformError) -> [UInt8] {
  var buffer = [UInt8](repeating: 0, count: 65_536)
  let count = try retryingCall("readlink \(name)") {
    buffer.withUnsafeMutableBytes { bytes in
      readlinkat(directory, name, bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
    }
  }
  return Array(buffer[..<count])
}
