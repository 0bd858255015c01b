import Glibc
import Model

extension ProcFS {
  /// Every mapping with what of it is in memory (smaps), ascending by address. Empty for kernel threads and zombies.
  ///
  /// Paths are as the process sees them. Two kinds the text alone cannot tell apart are looked up in the file system: a
  /// file that was deleted from one whose name ends in " (deleted)", and a line feed from the four characters `\012`.
  public func mappings(of pid: Int32) throws(PlatformError) -> [Mapping] {
    let directory = try directory(of: pid)
    let text = try contents("smaps", directory, pid, limit: Self.smapsLimit, expected: 512 << 10)
    let entries = try Smaps.entries(text)
    var mappings: [Mapping] = []
    mappings.reserveCapacity(entries.count)
    // The segments of a library follow each other: share the path instead of copying it five times.
    var previous: (entry: Smaps.Entry, backing: Mapping.Backing)?
    for entry in entries {
      let backing: Mapping.Backing
      if let previous, entry.inode != 0, previous.entry.inode == entry.inode, previous.entry.device == entry.device,
        text[previous.entry.name].elementsEqual(text[entry.name])
      {
        backing = previous.backing
      } else {
        backing = self.backing(entry, text[entry.name], directory, pid)
      }
      previous = (entry, backing)
      mappings.append(
        Mapping(
          start: entry.start, end: entry.end, permissions: entry.permissions, offset: entry.offset, backing: backing,
          usage: entry.usage))
    }
    return mappings
  }

  /// Files mapped with a right to execute them, from maps: the kernel need not look at a single page for it.
  public func moduleCount(of pid: Int32) throws(PlatformError) -> Int {
    let directory = try directory(of: pid)
    let text = try contents("maps", directory, pid, limit: Self.smapsLimit, expected: 64 << 10)
    var files: Set<MappedFile> = []
    var reader = ByteReader(text)
    while !reader.isAtEnd {
      guard let end = reader.lineEnd(), let entry = Smaps.header(text, reader.position, end) else {
        throw PlatformError(.malformed, context: "\(root)/\(pid)/maps: line at byte \(reader.position)")
      }
      if entry.permissions.contains(.execute), case .path = MappingName(text[entry.name]) {
        files.insert(MappedFile(device: entry.device, inode: entry.inode, name: text[entry.name]))
      }
      reader.position = end + 1
    }
    return files.count
  }

  private struct MappedFile: Hashable {
    var device: UInt64
    var inode: UInt64
    var name: ArraySlice<UInt8>
  }

  func backing(
    _ entry: Smaps.Entry, _ name: ArraySlice<UInt8>, _ directory: borrowing OpenFile, _ pid: Int32
  ) -> Mapping.Backing {
    switch MappingName(name) {
    case .none: return .anonymous(label: "")
    case .anonymous(let label): return .anonymous(label: label)
    case .kernel(let label): return .kernel(label: label)
    case .path(var path, let isAmbiguous):
      if isAmbiguous, let target = linkOfMapping(entry, directory) { path = target }
      var isDeleted = false
      let suffix = MappingName.deletedSuffix
      if path.count > suffix.count, path.suffix(suffix.count).elementsEqual(suffix),
        !isThere(path, inode: entry.inode, pid)
      {
        path.removeLast(suffix.count)
        isDeleted = true
      }
      return .file(FileReference(device: entry.device, inode: entry.inode, path: path, isDeleted: isDeleted))
    }
  }

  /// The path as map_files has it: unescaped. Nil without the right to look, or when it is longer than a page.
  private func linkOfMapping(_ entry: Smaps.Entry, _ directory: borrowing OpenFile) -> [UInt8]? {
    try? linkTarget(Self.mapFile(entry.start, entry.end), in: directory.descriptor)
  }

  static func mapFile(_ start: UInt64, _ end: UInt64) -> String {
    "map_files/\(String(start, radix: 16))-\(String(end, radix: 16))"
  }

  /// Whether the process sees a file with this inode under exactly this path. The device is not compared: that of maps
  /// and that of stat(2) differ on btrfs and overlayfs.
  func isThere(_ path: [UInt8], inode: UInt64, _ pid: Int32) -> Bool {
    guard let root = try? RootDirectory(path: "\(root)/\(pid)/root"), let status = try? root.status(path) else { return false }
    return UInt64(status.st_ino) == inode
  }

  /// A regular file under the path by which a process knows it, open for reading: also from other mount namespaces.
  /// Fails with `malformed` on anything but a regular file, which is then not opened.
  public func openFile(of pid: Int32, path: [UInt8]) throws(PlatformError) -> OpenFile {
    _ = try directory(of: pid)
    return try RootDirectory(path: "\(root)/\(pid)/root").openRegular(path)
  }

  /// The file that is really behind a mapping, deleted or replaced ones too.
  ///
  /// By path where that still leads to the same inode; else through map_files, which needs CAP_SYS_ADMIN or
  /// CAP_CHECKPOINT_RESTORE (proc(5)): then `notPermitted`.
  public func openMappedFile(of pid: Int32, _ mapping: Mapping) throws(PlatformError) -> OpenFile {
    guard case .file(let file) = mapping.backing else {
      throw PlatformError(.notFound, context: "no file behind this mapping")
    }
    if !file.isDeleted, let found = try? openFile(of: pid, path: file.path),
      let status = try? found.status("stat"), UInt64(status.st_ino) == file.inode
    {
      return found
    }
    let directory = try directory(of: pid)
    let handle = try openPath(Self.mapFile(mapping.start, mapping.end), in: directory, MLOS_O_PATH)
    return try reopen(handle, file.displayPath)
  }
}
