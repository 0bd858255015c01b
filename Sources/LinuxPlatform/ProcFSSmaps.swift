import Model

/// Parses /proc/PID/smaps and smaps_rollup (proc(5); Documentation/filesystems/proc.rst in the kernel's sources).
enum Smaps {
  /// A mapping whose name is still as the kernel printed it.
  struct Entry {
    var start: UInt64
    var end: UInt64
    var permissions: Mapping.Permissions
    var offset: UInt64
    var device: UInt64
    var inode: UInt64
    /// Range of the name in the text, empty for none.
    var name: Range<Int>
    var usage: MemoryUsage
    /// A Rss line was seen. Every entry the kernel finishes has one.
    var isComplete = false
  }

  static func entries(_ text: [UInt8]) throws(PlatformError) -> [Entry] {
    var entries: [Entry] = []
    // An entry is about 700 bytes.
    entries.reserveCapacity(text.count / 600)
    var reader = ByteReader(text)
    while let byte = reader.current {
      guard let lineEnd = reader.lineEnd() else { throw malformed("its last line is cut off") }
      switch byte {
      case 0x30...0x39, 0x61...0x66:
        if let last = entries.last, !last.isComplete { throw malformed("an entry without figures") }
        guard let entry = header(text, reader.position, lineEnd) else { throw malformed("line at byte \(reader.position)") }
        entries.append(entry)
      default:
        guard !entries.isEmpty else { throw malformed("figures without an entry") }
        let last = entries.count - 1
        guard value(ByteReader(text, from: reader.position, to: lineEnd), &entries[last])
        else { throw malformed("line at byte \(reader.position)") }
      }
      reader.position = lineEnd + 1
    }
    if let last = entries.last, !last.isComplete { throw malformed("it ends in the middle of an entry") }
    return entries
  }

  /// `start-end perms offset major:minor inode   name`
  static func header(_ text: [UInt8], _ start: Int, _ end: Int) -> Entry? {
    var reader = ByteReader(text, from: start, to: end)
    guard let first = reader.hexadecimal(), reader.skip(UInt8(ascii: "-")), let last = reader.hexadecimal(), first <= last,
      reader.skip(0x20), let permissions = permissions(&reader), reader.skip(0x20), let offset = reader.hexadecimal(),
      reader.skip(0x20), let major = reader.hexadecimal(), reader.skip(UInt8(ascii: ":")),
      let minor = reader.hexadecimal(), major <= UInt32.max, minor <= UInt32.max, reader.skip(0x20),
      let inode = reader.decimal()
    else { return nil }
    reader.skipBlanks()
    return Entry(
      start: first, end: last, permissions: permissions, offset: offset, device: major << 32 | minor, inode: inode,
      name: reader.position..<end, usage: MemoryUsage())
  }

  private static func permissions(_ reader: inout ByteReader) -> Mapping.Permissions? {
    var permissions: Mapping.Permissions = []
    for (letter, flag) in [(UInt8(ascii: "r"), Mapping.Permissions.read), (0x77, .write), (0x78, .execute)] {
      if reader.skip(letter) {
        permissions.insert(flag)
      } else if !reader.skip(UInt8(ascii: "-")) {
        return nil
      }
    }
    if reader.skip(UInt8(ascii: "s")) {
      permissions.insert(.shared)
    } else if !reader.skip(UInt8(ascii: "p")) {
      return nil
    }
    return permissions
  }

  /// Takes one `Key:  N kB` line in; lines it does not know are none of its business. False: a known key, a bad number.
  private static func value(_ line: ByteReader, _ entry: inout Entry) -> Bool {
    var line = line
    let field: WritableKeyPath<MemoryUsage, Bytes>
    switch line.current {
    case UInt8(ascii: "S"):
      if line.skip("Size:") {
        field = \.mapped
      } else if line.skip("Shared_Clean:") {
        field = \.sharedClean
      } else if line.skip("Shared_Dirty:") {
        field = \.sharedDirty
      } else if line.skip("Swap:") {
        field = \.swap
      } else {
        return true
      }
    case UInt8(ascii: "R"):
      if line.skip("Rss:") {
        field = \.resident
        entry.isComplete = true
      } else if line.skip("Referenced:") {
        field = \.referenced
      } else {
        return true
      }
    case UInt8(ascii: "P"):
      if line.skip("Pss:") {
        field = \.proportional
      } else if line.skip("Private_Clean:") {
        field = \.privateClean
      } else if line.skip("Private_Dirty:") {
        field = \.privateDirty
      } else {
        return true
      }
    case UInt8(ascii: "A"):
      guard line.skip("Anonymous:") else { return true }
      field = \.anonymous
    default: return true
    }
    line.skipBlanks()
    guard let kibibytes = line.decimal(), kibibytes <= UInt64.max >> 10 else { return false }
    entry.usage[keyPath: field] = .kibibytes(kibibytes)
    return true
  }

  private static func malformed(_ what: String) -> PlatformError { PlatformError(.malformed, context: "smaps: \(what)") }
}
