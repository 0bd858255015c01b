import Model

/// Reads what an ELF file says about itself. Safe from any thread; blocks on storage.
public struct ElfReader: Sendable {
  /// Bounds on what is read of one file; beyond them the answer is `tooLarge`.
  public struct Limits: Sendable, Hashable {
    /// Bytes read altogether. Symbols of the largest framework libraries take about 20 MiB.
    public var bytesRead = 64 << 20
    /// Longest name, in bytes.
    public var nameBytes = 4096
    /// DT_NEEDED entries.
    public var needed = 4096
    /// Symbols looked at.
    public var symbols = 8 << 20

    /// The defaults.
    public init() {}
  }

  let limits: Limits

  /// - Parameter limits: Bounds on what is read of one file.
  public init(limits: Limits = Limits()) { self.limits = limits }

  /// Facts of an open file. The descriptor stays the caller's, its position is not moved.
  public func facts(descriptor: Int32) throws(PlatformError) -> ElfFacts {
    throw PlatformError(.failed, context: "not built yet")
  }

  /// Facts of the file at `path` on this machine; `malformed` for anything but a regular file.
  public func facts(path: [UInt8]) throws(PlatformError) -> ElfFacts {
    let file = try RootDirectory(path: "/").openRegular(path)
    return try facts(descriptor: file.descriptor)
  }
}
