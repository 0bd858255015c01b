/// The modules (and data files) that belong together and would be unloaded together.
public struct PackageIdentity: Hashable, Sendable, Comparable {
  /// Where the name comes from. The order is the order of display for equal names.
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    /// A distribution under site-packages or dist-packages, its `.libs` folder included.
    case python
    /// A Debian package.
    case system
    /// The program itself and what was installed with it (for Python: the interpreter and its standard library).
    case program
    /// A file no package owns: named after its project folder or the file.
    case file
    /// Provided by the kernel or by MLOS: vdso, shared memory segments.
    case runtime
  }

  public var name: String
  public var kind: Kind
  /// As the package's own metadata says; nil when not known.
  public var version: String?

  public init(name: String, kind: Kind, version: String? = nil) {
    self.name = name
    self.kind = kind
    self.version = version
  }

  public static func < (left: PackageIdentity, right: PackageIdentity) -> Bool {
    if left.name != right.name { return left.name < right.name }
    if left.kind != right.kind { return left.kind.rawValue < right.kind.rawValue }
    return (left.version ?? "") < (right.version ?? "")
  }
}
