import Glibc
import Model
import Synchronization

/// ELF facts and owners of the files that processes map, remembered by the file's identity. Safe from any thread.
public final class FileCatalog: Sendable {
  /// What a file was when it was read: another size or time of change is another file.
  private struct Key: Hashable {
    var device: UInt64
    var inode: UInt64
    var size: Int64
    var seconds: Int
    var nanoseconds: Int
  }
  /// Nil inside: read, and no usable ELF file.
  private struct Remembered {
    var facts: [Key: ElfFacts?] = [:]
    var indexes: [String: (pid: Int32, index: PackageIndex)] = [:]
  }

  /// Some 300 bytes each; when full it starts over, which costs one more reading a file.
  private static let factsLimit = 8_192
  /// Mount namespaces beside our own, each with an index of its own.
  private static let namespaceLimit = 64

  private let proc: ProcFS
  private let reader: ElfReader
  private let host: PackageIndex
  private let ownNamespace: String?
  private let remembered = Mutex(Remembered())

  public init(proc: ProcFS = ProcFS(), reader: ElfReader = ElfReader(), host: PackageIndex = PackageIndex()) {
    self.proc = proc
    self.reader = reader
    self.host = host
    ownNamespace = Self.mountNamespace("self")
  }

  /// Facts of the file a process maps; nil for a file that is no ELF file or a broken one.
  /// Fails when it cannot be opened, or when the path leads to another file than the one that is mapped.
  public func elf(_ file: FileReference, of pid: Int32) throws(PlatformError) -> ElfFacts? {
    guard !file.isDeleted else { throw PlatformError(.notFound, context: "\(file.displayPath) is deleted or replaced") }
    let open = try proc.openFile(of: pid, path: file.path)
    let status = try open.status("stat")
    guard UInt64(status.st_ino) == file.inode else {
      throw PlatformError(.notFound, context: "\(file.displayPath) is another file now")
    }
    let key = Key(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size), seconds: status.st_mtim.tv_sec,
      nanoseconds: status.st_mtim.tv_nsec)
    if let known = remembered.withLock({ $0.facts[key] }) { return known }
    var facts: ElfFacts?
    do throws(PlatformError) {
      facts = try reader.facts(descriptor: open.descriptor)
    } catch {
      guard error.code == .malformed || error.code == .tooLarge else { throw error }
    }
    remembered.withLock { state in
      if state.facts.count >= Self.factsLimit { state.facts = [:] }
      state.facts[key] = facts
    }
    return facts
  }

  /// Owners of paths as `pid` sees them: in a container by the container's own package database.
  public func packages(for paths: Set<[UInt8]>, of pid: Int32, program: [UInt8]?) -> [[UInt8]: PackageIdentity] {
    guard !paths.isEmpty else { return [:] }
    return index(for: pid).packages(for: paths, program: program)
  }

  private func index(for pid: Int32) -> PackageIndex {
    guard let space = Self.mountNamespace("\(pid)"), space != ownNamespace else { return host }
    return remembered.withLock { state in
      // The index reads through /proc/PID/root, which ends with the process.
      if let known = state.indexes[space], Self.mountNamespace("\(known.pid)") == space { return known.index }
      if state.indexes.count >= Self.namespaceLimit { state.indexes = [:] }
      let index = PackageIndex(root: "/proc/\(pid)/root")
      state.indexes[space] = (pid, index)
      return index
    }
  }

  private static func mountNamespace(_ process: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = readlink("/proc/\(process)/ns/mnt", &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
  }
}
