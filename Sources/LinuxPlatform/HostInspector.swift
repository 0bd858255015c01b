import Model

/// Finds out what this machine offers MLOS, for `mlos doctor`. Leaves nothing behind.
public struct HostInspector: Sendable {
  let root: String
  let procRoot: String

  /// - Parameters:
  ///   - root: `/`; tests give a tree of their own with sys, etc, run and var below.
  ///   - procRoot: Where procfs is mounted.
  public init(root: String = "/", procRoot: String = "/proc") {
    self.root = root
    self.procRoot = procRoot
  }

  /// Everything looked at, in the order of display.
  public func findings() -> [Finding] { [] }
}
