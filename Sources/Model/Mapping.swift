/// One entry of /proc/PID/smaps: an address range and what of it is in memory.
public struct Mapping: Hashable, Sendable {
  /// What stands behind the addresses.
  public enum Backing: Hashable, Sendable {
    /// A file, found by device and inode; the path is as the process sees it, `\ooo` escapes undone, not UTF-8 by promise.
    case file(FileReference)
    /// Anonymous memory; the kernel's label without brackets: `heap`, `stack`, `anon:...`, empty for none.
    case anonymous(label: String)
    /// Kernel-provided pages: `vdso`, `vvar`, `vsyscall`.
    case kernel(label: String)
  }

  public var start: UInt64
  public var end: UInt64
  public var permissions: Permissions
  public var offset: UInt64
  public var backing: Backing
  public var usage: MemoryUsage

  public init(
    start: UInt64, end: UInt64, permissions: Permissions, offset: UInt64, backing: Backing, usage: MemoryUsage
  ) {
    self.start = start
    self.end = end
    self.permissions = permissions
    self.offset = offset
    self.backing = backing
    self.usage = usage
  }

  public struct Permissions: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let read = Permissions(rawValue: 1)
    public static let write = Permissions(rawValue: 2)
    public static let execute = Permissions(rawValue: 4)
    public static let shared = Permissions(rawValue: 8)
  }
}

/// A file as a mapping names it.
public struct FileReference: Hashable, Sendable {
  /// `major << 32 | minor` as printed in maps.
  public var device: UInt64
  public var inode: UInt64
  /// Raw bytes: a path may hold newlines and bytes that are no UTF-8.
  public var path: [UInt8]
  /// The name was unlinked or replaced after mapping.
  public var isDeleted: Bool

  public init(device: UInt64, inode: UInt64, path: [UInt8], isDeleted: Bool) {
    self.device = device
    self.inode = inode
    self.path = path
    self.isDeleted = isDeleted
  }

  /// For people: invalid UTF-8 repaired, control characters escaped.
  public var displayPath: String { printable(path) }
}

/// Bytes that came from outside as text for a terminal or JSON: bad UTF-8 becomes U+FFFD, control characters `\xNN`, line
/// ends and turns of the writing direction beyond ASCII `\u{NNNN}`.
public func printable(_ bytes: some Sequence<UInt8>) -> String {
  var text = ""
  for scalar in String(decoding: Array(bytes), as: UTF8.self).unicodeScalars {
    switch scalar.value {
    case 0..<0x20, 0x7F...0x9F:
      let digits = Array("0123456789abcdef")
      text += "\\x\(digits[Int(scalar.value >> 4) & 15])\(digits[Int(scalar.value) & 15])"
    case 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0x061C:
      text += "\\u{\(String(scalar.value, radix: 16))}"
    default: text.unicodeScalars.append(scalar)
    }
  }
  return text
}

/// Memory as the kernel counts it, in bytes. For a range, a file, a package or a process.
public struct MemoryUsage: Hashable, Sendable {
  /// Size of the address ranges.
  public var mapped = Bytes.zero
  /// Resident set size.
  public var resident = Bytes.zero
  /// Proportional set size: each page divided by the number of processes that map it.
  public var proportional = Bytes.zero
  public var privateClean = Bytes.zero
  public var privateDirty = Bytes.zero
  public var sharedClean = Bytes.zero
  public var sharedDirty = Bytes.zero
  /// Resident pages with the referenced bit set since it was last cleared.
  public var referenced = Bytes.zero
  /// Resident pages that no file backs.
  public var anonymous = Bytes.zero
  public var swap = Bytes.zero

  public init() {}

  /// Unique set size: what would come back if this alone went away.
  public var privateBytes: Bytes { privateClean + privateDirty }
  /// Resident pages that a file backs.
  public var fileBacked: Bytes { resident - anonymous }

  public static func += (left: inout MemoryUsage, right: MemoryUsage) {
    left.mapped += right.mapped
    left.resident += right.resident
    left.proportional += right.proportional
    left.privateClean += right.privateClean
    left.privateDirty += right.privateDirty
    left.sharedClean += right.sharedClean
    left.sharedDirty += right.sharedDirty
    left.referenced += right.referenced
    left.anonymous += right.anonymous
    left.swap += right.swap
  }
}
