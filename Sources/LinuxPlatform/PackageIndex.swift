import Model

/// Tells which package a file belongs to. Safe from any thread; calls wait for each other.
public final class PackageIndex: Sendable {
  let root: String

  /// - Parameter root: The directory that is `/` for the paths asked about; a container's is /proc/PID/root.
  public init(root: String = "/") { self.root = root }

  /// The owner of each path, as seen inside the root; every path gets an answer.
  /// - Parameter program: The executable of the process that maps the files.
  public func packages(for paths: Set<[UInt8]>, program: [UInt8]?) -> [[UInt8]: PackageIdentity] {
    var answers: [[UInt8]: PackageIdentity] = [:]
    for path in paths { answers[path] = PackageIdentity(name: printable(path), kind: .file) }
    return answers
  }
}
