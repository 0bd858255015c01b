import Glibc
import Model

/// Has the kernel take memory of a control group of its own choice: memory.reclaim (Linux 5.19;
/// Documentation/admin-guide/cgroup-v2.rst). It takes what was used least lately of all the group holds.
public struct GroupReclaimer: Sendable {
  /// 64 MiB: the call waits until the kernel is done, some tens of milliseconds for so much.
  public static let largest = Bytes.mebibytes(64)
  /// Processes of a group that are looked at, in bytes of their list.
  private static let listLimit = 1 << 20

  private let root: String
  private let procRoot: String

  /// - Parameters:
  ///   - root: `/`; tests give a tree of their own.
  ///   - procRoot: Where procfs is mounted.
  public init(root: String = "/", procRoot: String = "/proc") {
    self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
    self.procRoot = procRoot
  }

  /// What the group held before and after.
  public struct Outcome: Hashable, Sendable {
    public var before: Bytes
    public var after: Bytes
    /// The kernel found as much as was wanted.
    public var isComplete: Bool
  }

  /// Why it cannot be done, in a word.
  public struct Refusal: Error, Hashable, Sendable {
    public var word: String
    init(_ word: String) { self.word = word }
  }

  /// - Parameters:
  ///   - bytes: `largest` at most are taken.
  ///   - meant: Processes whose memory may go: the group must have no other.
  public func reclaim(_ bytes: Bytes, of pid: Int32, meant: Set<Int32>) throws(Refusal) -> Outcome {
    let path = try group(of: pid)
    let mount = try mount()
    // Names of groups are used again: all that follows is of this very folder.
    guard let folder = try? openPath("\(mount)\(path)", MLOS_O_PATH | O_DIRECTORY) else {
      throw Refusal("group-unreadable")
    }
    guard let before = number("memory.current", folder) else { throw Refusal("no-memory-controller") }
    try check(folder, pid, meant)
    let file: OpenFile
    do throws(PlatformError) {
      file = try openPath("memory.reclaim", in: folder, O_WRONLY)
    } catch {
      throw Refusal(error.code == .notFound ? "no-memory-reclaim" : "not-writable")
    }
    // Another one by now would have its members looked at for nothing.
    guard try group(of: pid) == path else { throw Refusal("group-changed") }
    let text = Array("\(min(bytes, Self.largest).count)".utf8)
    let descriptor = file.descriptor
    var isComplete = true
    do throws(PlatformError) {
      _ = try retryingCall("write memory.reclaim") { write(descriptor, text, text.count) }
    } catch {
      // It took what it could, which was less.
      guard error.errno == EAGAIN else { throw Refusal("kernel:errno-\(error.errno ?? 0)") }
      isComplete = false
    }
    guard let after = number("memory.current", folder) else { throw Refusal("group-unreadable") }
    return Outcome(before: before, after: after, isComplete: isComplete)
  }

  /// Its place in the hierarchy of version 2, as it is seen from here.
  private func group(of pid: Int32) throws(Refusal) -> String {
    guard let text = text("\(procRoot)/\(pid)/cgroup") else { throw Refusal("group-unreadable") }
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { throw Refusal("no-cgroup-v2") }
    let path = line.dropFirst(3)
    // Beside or above the root of the namespace this runs in, or removed.
    guard !path.hasPrefix("/.."), !path.hasSuffix(" (deleted)") else { throw Refusal("group-not-seen") }
    return String(path)
  }

  private func mount() throws(Refusal) -> String {
    for line in (text("\(procRoot)/self/mounts") ?? "").split(separator: "\n") {
      let fields = line.split(separator: " ")
      if fields.count >= 3, fields[2] == "cgroup2" { return "\(root)\(fields[1])" }
    }
    throw Refusal("no-cgroup-v2")
  }

  private func check(_ folder: borrowing OpenFile, _ pid: Int32, _ meant: Set<Int32>) throws(Refusal) {
    guard let children = field("nr_descendants", of: "cgroup.stat", folder), children == 0 else {
      throw Refusal("group-has-children")
    }
    guard let list = contents("cgroup.procs", folder, limit: Self.listLimit) else { throw Refusal("group-unreadable") }
    // A process of another namespace is a 0 here.
    let members = Set(list.split(separator: "\n").compactMap { Int32($0) })
    guard members.contains(pid) else { throw Refusal("group-changed") }
    let others = members.subtracting(meant)
    guard others.isEmpty else { throw Refusal("group-shared-with-\(others.count)") }
  }

  private func field(_ name: String, of file: String, _ folder: borrowing OpenFile) -> UInt64? {
    for line in (contents(file, folder, limit: 4096) ?? "").split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2, words[0] == name { return UInt64(words[1]) }
    }
    return nil
  }

  private func number(_ name: String, _ folder: borrowing OpenFile) -> Bytes? {
    contents(name, folder, limit: 64).flatMap { UInt64($0) }.map { Bytes($0) }
  }

  private func contents(_ name: String, _ folder: borrowing OpenFile, limit: Int) -> String? {
    guard let file = try? openPath(name, in: folder, O_RDONLY | O_NONBLOCK), let bytes = try? file.contents(limit: limit, name)
    else {
      return nil
    }
    return Self.trimmed(bytes)
  }

  private func text(_ path: String) -> String? {
    guard let file = try? openPath(path, O_RDONLY | O_NONBLOCK), let bytes = try? file.contents(limit: 1 << 20, path) else {
      return nil
    }
    return Self.trimmed(bytes)
  }

  private static func trimmed(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.reversed().drop { $0 == 0x0A }.reversed(), as: UTF8.self)
  }
}
