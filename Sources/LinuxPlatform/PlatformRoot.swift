import CLinux
import Glibc

/// A directory that stands for `/`: the machine's, or another mount namespace's through /proc/PID/root.
///
/// Symbolic links, absolute ones too, are followed inside it (openat2(2), RESOLVE_IN_ROOT), so that a hostile container
/// cannot point the reader at files outside. Only regular files are ever opened for reading.
struct RootDirectory: ~Copyable, Sendable {
  private let directory: OpenFile
  /// What the kernel calls the directory itself, cut off what it calls the files below.
  private let ownName: [UInt8]

  init(path: String) throws(PlatformError) {
    let opened = try openPath(path, MLOS_O_PATH | O_DIRECTORY)
    let name = try linkTarget("/proc/self/fd/\(opened.descriptor)")
    directory = opened
    ownName = name == [slash] ? [] : name
  }

  /// A handle on whatever is at `path`, not open for reading.
  func locate(_ path: [UInt8]) throws(PlatformError) -> OpenFile {
    guard !path.contains(0) else { throw PlatformError(.malformed, context: "a path with a NUL byte") }
    var rest = path[...]
    // Holds the directory reached so far; below it only its number is passed on.
    var base: OpenFile? = nil
    var number: Int32?
    // The kernel takes 4095 bytes a call, paths in /proc are longer where somebody descended step by step.
    while rest.count >= 4095, let cut = rest.prefix(4000).lastIndex(of: slash), cut > rest.startIndex {
      let next = try open(rest[..<cut], number, MLOS_O_PATH | O_DIRECTORY)
      number = next.descriptor
      base = consume next
      rest = rest[cut...]
    }
    let file = try open(rest, number, MLOS_O_PATH)
    _ = consume base
    return file
  }

  private func open(_ part: ArraySlice<UInt8>, _ base: Int32?, _ flags: Int32) throws(PlatformError) -> OpenFile {
    let relative = part.drop { $0 == slash }
    let name = relative.isEmpty ? [CChar(0x2E), 0] : relative.map { CChar(bitPattern: $0) } + [0]
    // Below a part of a path there is no root to resolve against; the kernel's own paths need no links.
    let resolve =
      base == nil
      ? MLOS_LINUX_RESOLVE_IN_ROOT | MLOS_LINUX_RESOLVE_NO_MAGICLINKS
      : MLOS_LINUX_RESOLVE_BENEATH | MLOS_LINUX_RESOLVE_NO_SYMLINKS
    let start = base ?? directory.descriptor
    let flags = flags | O_CLOEXEC
    do throws(PlatformError) {
      return OpenFile(
        adopting: try retryingCall("open \(shown(part))") {
          mlos_linux_openat2(start, name, UInt64(flags), UInt64(resolve))
        })
    } catch {
      // Before Linux 5.6. Links along the way may then lead outside; the last one is not followed.
      guard error.errno == ENOSYS else { throw error }
      return OpenFile(adopting: try retryingCall("open \(shown(part))") { openat(start, name, flags | O_NOFOLLOW) })
    }
  }

  /// The file at `path` open for reading; `malformed` when it is no regular file.
  ///
  /// The kind is looked at before the file is opened: opening a device or FIFO may do something or wait. O_NONBLOCK also
  /// keeps a lease of somebody else (fcntl(2), F_SETLEASE) from holding the caller up.
  func openRegular(_ path: [UInt8]) throws(PlatformError) -> OpenFile {
    let handle = try locate(path)
    return try reopen(handle, shown(path[...]))
  }

  /// Contents of a regular file.
  func contents(_ path: [UInt8], limit: Int) throws(PlatformError) -> [UInt8] {
    let file = try openRegular(path)
    let size = try file.status(shown(path[...])).st_size
    guard size <= limit else { throw PlatformError(.tooLarge, context: "\(shown(path[...])) (\(size) bytes)") }
    return try file.contents(limit: limit, expected: Int(size) + 1, shown(path[...]))
  }

  /// stat(2) of what is at `path`.
  func status(_ path: [UInt8]) throws(PlatformError) -> stat { try locate(path).status(shown(path[...])) }

  /// Sorted names in a directory.
  func names(_ path: [UInt8], limit: Int = 100_000) throws(PlatformError) -> [[UInt8]] {
    try directoryNames(locate(path), limit: limit, shown(path[...]))
  }

  /// `path` with every link followed, as seen inside this root.
  func realPath(_ path: [UInt8]) throws(PlatformError) -> [UInt8] {
    let handle = try locate(path)
    let target = try linkTarget("/proc/self/fd/\(handle.descriptor)")
    return target.starts(with: ownName) ? Array(target.dropFirst(ownName.count)) : target
  }
}

/// Opens what an O_PATH handle stands for, if it is a regular file.
func reopen(_ handle: borrowing OpenFile, _ context: String) throws(PlatformError) -> OpenFile {
  guard try handle.status(context).st_mode & S_IFMT == S_IFREG else {
    throw PlatformError(.malformed, context: "\(context): not a regular file")
  }
  return try openPath("/proc/self/fd/\(handle.descriptor)", O_RDONLY | O_NONBLOCK)
}

let slash = UInt8(ascii: "/")
let MLOS_O_PATH = Int32(MLOS_LINUX_O_PATH)

private func shown(_ path: ArraySlice<UInt8>) -> String {
  // An error message is no place for 60 kB of somebody's path.
  String(decoding: path.suffix(200).map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
}
