import Glibc
import Model

/// The kernel's merging of equal pages (KSM; Documentation/admin-guide/mm/ksm.rst), as it is set and what came of it. Only read:
/// whether it runs is the administrator's decision.
public struct PageMerging: Sendable {
  private let root: String
  private let procRoot: String

  /// - Parameters:
  ///   - root: `/`; tests give a tree of their own with sys below.
  ///   - procRoot: Where procfs is mounted.
  public init(root: String = "/", procRoot: String = "/proc") {
    self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
    self.procRoot = procRoot
  }

  /// Why nothing would be merged, in a word; nil when the kernel merges.
  public func obstacle() -> String? {
    switch text("\(root)/sys/kernel/mm/ksm/run") {
    case "1": nil
    // 2 takes apart what was merged, and stops.
    case .some: "ksm-off"
    case nil: "no-ksm"
    }
  }

  /// Merged pages of a process, those that are only zeros among them; nil when the kernel does not say (before Linux 5.19).
  public func merged(of pid: Int32) -> Bytes? {
    let counts = (text("\(procRoot)/\(pid)/ksm_stat") ?? "").split(separator: "\n").compactMap { line -> UInt64? in
      let words = line.split(separator: " ")
      guard words.count == 2, words[0] == "ksm_merging_pages" || words[0] == "ksm_zero_pages" else { return nil }
      return UInt64(words[1])
    }
    let pages =
      counts.isEmpty
      ? text("\(procRoot)/\(pid)/ksm_merging_pages").flatMap { UInt64($0) }
      : counts.reduce(0) { $0.addingReportingOverflow($1).partialValue }
    guard let pages, pages <= UInt64.max / ProcFS.pageSize else { return nil }
    return Bytes(pages * ProcFS.pageSize)
  }

  private func text(_ path: String) -> String? {
    guard let file = try? openPath(path, O_RDONLY | O_NONBLOCK), let bytes = try? file.contents(limit: 4096, path) else {
      return nil
    }
    return String(decoding: bytes.reversed().drop { $0 == 0x0A }.reversed(), as: UTF8.self)
  }
}
