import Model

/// What the name column of maps says before anybody asked the file system.
enum MappingName: Equatable {
  case none
  /// A path with `\012` undone. `isAmbiguous`: the file's own name may hold these four characters.
  case path([UInt8], isAmbiguous: Bool)
  case anonymous(label: String)
  case kernel(label: String)

  /// Ends the name of a file that has no name any more. A file may also really be called so.
  static let deletedSuffix = Array(" (deleted)".utf8)
  private static let kernelLabels: Set<String> = [
    "vdso", "vvar", "vvar_vclock", "vsyscall", "vectors", "sigpage", "uprobes", "gate",
  ]

  /// - Parameter name: The bytes as printed; the kernel escapes line feeds as `\012` and nothing else (seq_path).
  init(_ name: ArraySlice<UInt8>) {
    guard let first = name.first else {
      self = .none
      return
    }
    if first == UInt8(ascii: "["), name.last == UInt8(ascii: "]") {
      let label = printable(name.dropFirst().dropLast())
      self = Self.kernelLabels.contains(label) ? .kernel(label: label) : .anonymous(label: label)
      return
    }
    let (path, changed) = Self.unescaped(name)
    self = .path(path, isAmbiguous: changed)
  }

  private static func unescaped(_ name: ArraySlice<UInt8>) -> ([UInt8], Bool) {
    guard name.contains(UInt8(ascii: "\\")) else { return (Array(name), false) }
    var path: [UInt8] = []
    path.reserveCapacity(name.count)
    var rest = name
    var changed = false
    while let byte = rest.first {
      if byte == UInt8(ascii: "\\"), rest.starts(with: [0x5C, 0x30, 0x31, 0x32]) {
        path.append(0x0A)
        rest = rest.dropFirst(4)
        changed = true
      } else {
        path.append(byte)
        rest = rest.dropFirst()
      }
    }
    return (path, changed)
  }
}
