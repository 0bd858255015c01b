/// Names of functions, from the symbol tables of a file and of its separate debug information.
///
/// A table is read once, in pieces, for all addresses that are asked for: nothing of it is kept.
struct SymbolFinder {
  /// Symbols looked at in one file, over all its tables, and addresses compared with them; the largest known library has
  /// 3 million. Any number of sections can name the same bytes as their symbols, so a limit a table would be none.
  static let stepLimit = 8 << 20
  static let nameLimit = 4096
  private static let piece = 1024

  struct Symbol: Hashable, Sendable {
    var name: [UInt8]
    var address: UInt64
  }

  /// Functions that hold the addresses; those without one are missing.
  /// - Parameters:
  ///   - addresses: As in the file, ascending.
  ///   - limit: Beyond it the search ends with what it has found.
  static func functions(_ image: ElfImage, at addresses: [UInt64], limit: Int = stepLimit) -> [UInt64: Symbol] {
    guard !addresses.isEmpty else { return [:] }
    let sections = image.sections()
    var found: [UInt64: Candidate] = [:]
    var steps = limit
    for section in sections where (section.type == 2 || section.type == 11) && section.entrySize == 24 {
      guard section.link < sections.count, sections[section.link].type == 3 else { continue }
      scan(image, section, strings: sections[section.link], addresses, &found, &steps)
    }
    return found.compactMapValues { candidate in
      image.text(at: candidate.name, limit: Self.nameLimit).flatMap { name in
        name.isEmpty ? nil : Symbol(name: name, address: candidate.start)
      }
    }
  }

  private struct Candidate {
    var start: UInt64
    var size: UInt64
    /// Global names before weak ones before local ones.
    var rank: Int
    /// Place of its name in the file.
    var name: UInt64
  }

  private static func scan(
    _ image: ElfImage, _ section: ElfImage.Section, strings: ElfImage.Section, _ addresses: [UInt64],
    _ found: inout [UInt64: Candidate], _ steps: inout Int
  ) {
    let count = Int(min(section.size / 24, UInt64(max(steps, 0))))
    var index = 0
    while index < count, steps > 0 {
      let part = min(piece, count - index)
      guard let start = section.offset.addingReportingOverflow(UInt64(index * 24)).partialValue as UInt64?,
        let bytes = image.bytes(at: start, count: part * 24)
      else { return }
      steps -= part
      for place in 0..<part {
        var entry = ByteCursor(bytes[(place * 24)..<(place * 24 + 24)])
        guard let name = entry.u32(), let info = entry.u8(), entry.skip(1), let home = entry.u16(), let value = entry.u64(),
          let size = entry.u64(), home != 0, info & 15 == 2 || info & 15 == 10, UInt64(name) < strings.size
        else { continue }
        let rank = [2, 0, 1][min(Int(info >> 4), 2)]
        let candidate = Candidate(start: value, size: size, rank: rank, name: strings.offset &+ UInt64(name))
        offer(candidate, addresses, &found, &steps)
      }
      index += part
    }
  }

  private static func offer(
    _ candidate: Candidate, _ addresses: [UInt64], _ found: inout [UInt64: Candidate], _ steps: inout Int
  ) {
    guard candidate.size > 0 else { return }
    var (low, high) = (0, addresses.count)
    while low < high {
      let middle = (low + high) / 2
      if addresses[middle] < candidate.start { low = middle + 1 } else { high = middle }
    }
    while low < addresses.count, addresses[low] - candidate.start < candidate.size, steps > 0 {
      let address = addresses[low]
      // The narrowest function that holds it, then the most public name.
      if let known = found[address], (known.size, known.rank, known.name) <= (candidate.size, candidate.rank, candidate.name) {
      } else {
        found[address] = candidate
      }
      low += 1
      steps -= 1
    }
  }

  // MARK: Separate debug information

  /// The build ID of the file's notes; empty for none.
  static func buildID(_ image: ElfImage) -> [UInt8] {
    for notes in image.notes where notes.size <= 65_536 {
      guard let bytes = image.bytes(at: notes.offset, count: Int(notes.size)) else { continue }
      let identity = buildID(in: bytes)
      if !identity.isEmpty { return identity }
    }
    return []
  }

  private static func buildID(in bytes: [UInt8]) -> [UInt8] {
    var cursor = ByteCursor(bytes[...])
    while let nameSize = cursor.u32(), let size = cursor.u32(), let type = cursor.u32() {
      guard let name = cursor.slice((Int(nameSize) + 3) & ~3), let content = cursor.slice((Int(size) + 3) & ~3) else { return [] }
      if type == 3, name.starts(with: [0x47, 0x4E, 0x55, 0]), (8...64).contains(size) { return Array(content.prefix(Int(size))) }
    }
    return []
  }

  /// Where the distribution's debug packages and `objcopy --add-gnu-debuglink` put a file's symbols, as the process sees it.
  static func debugPaths(_ image: ElfImage, path: [UInt8]) -> [[UInt8]] {
    let identity = buildID(image)
    guard identity.count > 1 else { return [] }
    let digits = Array("0123456789abcdef".utf8)
    let text = identity.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    var paths = [Array("/usr/lib/debug/.build-id/".utf8) + text[..<2] + [slash] + text[2...] + Array(".debug".utf8)]
    let sections = image.sections()
    guard let link = sections.first(where: { image.name(of: $0, in: sections) == Array(".gnu_debuglink".utf8) }),
      let name = image.text(at: link.offset, limit: 256), !name.isEmpty, !name.contains(slash)
    else { return paths }
    let folder = Array(path[..<(path.lastIndex(of: slash) ?? 0)])
    paths.append(folder + [slash] + name)
    paths.append(folder + Array("/.debug/".utf8) + name)
    paths.append(Array("/usr/lib/debug".utf8) + folder + [slash] + name)
    return paths
  }
}
