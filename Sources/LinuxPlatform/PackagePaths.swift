import Glibc

/// Changes whenever names are added to or removed from a directory.
struct DirectoryStamp: Equatable {
  var inode: UInt64
  var seconds: Int
  var nanoseconds: Int

  init(_ status: stat) {
    inode = UInt64(status.st_ino)
    seconds = status.st_mtim.tv_sec
    nanoseconds = status.st_mtim.tv_nsec
  }

  /// nil: there is no such directory, or it may not be looked at.
  init?(_ path: [UInt8], in root: borrowing RootDirectory) {
    guard let status = try? root.status(path) else { return nil }
    self.init(status)
  }
}

/// Paths looked for in long lists: each line costs one pass over its bytes and one look-up, and no allocation.
struct WantedPaths {
  private var byHash: [UInt64: [[UInt8]]] = [:]
  var isEmpty: Bool { byHash.isEmpty }

  init(_ paths: some Sequence<[UInt8]>) {
    for path in paths { path.withUnsafeBufferPointer { byHash[Self.hash($0), default: []].append(path) } }
  }

  /// Calls `found` for each wanted path that is a line of `text`, or the first column of one when there is a separator.
  /// A column in double quotes (RFC 4180, as RECORD files have it) is taken without them.
  func scan(_ text: [UInt8], separator: UInt8? = nil, _ found: ([UInt8]) -> Void) {
    text.withUnsafeBufferPointer { text in
      var start = 0
      while start < text.count {
        var end = start
        var hash = Self.basis
        while end < text.count, text[end] != 0x0A, text[end] != separator {
          hash = (hash ^ UInt64(text[end])) &* Self.prime
          end += 1
        }
        if separator != nil, text[start] == UInt8(ascii: "\"") {
          let path = Self.unquoted(text[start...])
          path.withUnsafeBufferPointer { match($0, Self.hash($0), found) }
        } else {
          match(UnsafeBufferPointer(rebasing: text[start..<end]), hash, found)
        }
        while end < text.count, text[end] != 0x0A { end += 1 }
        start = end + 1
      }
    }
  }

  private func match(_ line: UnsafeBufferPointer<UInt8>, _ hash: UInt64, _ found: ([UInt8]) -> Void) {
    guard let paths = byHash[hash] else { return }
    for path in paths where path.elementsEqual(line) { found(path) }
  }

  private static func unquoted(_ line: Slice<UnsafeBufferPointer<UInt8>>) -> [UInt8] {
    var path: [UInt8] = []
    var index = line.startIndex + 1
    while index < line.endIndex, line[index] != 0x0A {
      if line[index] == UInt8(ascii: "\"") {
        guard index + 1 < line.endIndex, line[index + 1] == UInt8(ascii: "\"") else { break }
        index += 1
      }
      path.append(line[index])
      index += 1
    }
    return path
  }

  // FNV-1a, 64 bits. Collisions are compared away.
  private static let basis: UInt64 = 0xcbf2_9ce4_8422_2325
  private static let prime: UInt64 = 0x100_0000_01b3
  private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
    bytes.reduce(basis) { ($0 ^ UInt64($1)) &* prime }
  }
}

extension [UInt8] {
  /// The last component.
  var baseName: [UInt8] { lastIndex(of: slash).map { Array(self[($0 + 1)...]) } ?? self }
  /// Everything before the last component, without the slash; empty for the root.
  var parent: [UInt8] { lastIndex(of: slash).map { Array(self[..<$0]) } ?? [] }
  var components: [ArraySlice<UInt8>] { split(separator: slash) }

  func hasPrefix(_ text: StaticString) -> Bool {
    count >= text.utf8CodeUnitCount
      && zip(self, UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)).allSatisfy { $0 == $1 }
  }

  func hasSuffix(_ text: StaticString) -> Bool {
    count >= text.utf8CodeUnitCount
      && suffix(text.utf8CodeUnitCount).elementsEqual(
        UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Inside `directory`, at any depth.
  func isBelow(_ directory: [UInt8]) -> Bool {
    count > directory.count && self[directory.count] == slash && starts(with: directory)
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
