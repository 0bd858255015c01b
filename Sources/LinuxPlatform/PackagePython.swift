import Model

/// One site-packages or dist-packages directory and the distributions installed in it (packaging.python.org, "Recording
/// installed projects"; older ones as egg-info).
struct PythonSite {
  let path: [UInt8]
  private var stamp: DirectoryStamp?
  private var distributions: [Distribution] = []
  private var answers: [[UInt8]: PackageIdentity?] = [:]
  /// Indices of distributions by their names and by those of their entries; looked up, since both lists are the container's.
  private var indexOfName: [String: Int] = [:]
  private var indexOfEntry: [[UInt8]: Int] = [:]
  /// Index of the distribution that claims a top folder, from all top_level.txt; nil until somebody asks.
  private var claims: [[UInt8]: Int]?

  private struct Distribution {
    /// Name of the metadata's file or directory, or of an .egg directory.
    var entry: [UInt8]
    var identity: PackageIdentity
    var normalizedName: String
  }

  private static let answerLimit = 65_536
  /// Folders claimed by all distributions together; of more the first by name count.
  private static let claimLimit = 65_536
  /// RECORD of the largest framework wheels is 2 MiB.
  private static let recordLimit = 64 << 20

  init(path: [UInt8]) { self.path = path }

  /// The directory the path lies in, up to and with the first `site-packages` or `dist-packages`.
  static func directory(of path: [UInt8]) -> [UInt8]? {
    var start = 0
    while let end = path[start...].firstIndex(of: slash) {
      let name = path[start..<end]
      if name.count == 13, name.elementsEqual("site-packages".utf8) || name.elementsEqual("dist-packages".utf8) {
        return Array(path[..<end])
      }
      start = end + 1
    }
    return nil
  }

  /// `lib/pythonX.Y/site-packages` -> where `lib` is; wheels also install libraries there, as `../../../lib/x.so`.
  var prefix: [UInt8] { path.parent.parent.parent }

  /// Forgets what it knows when something was installed or removed since.
  mutating func refresh(_ root: borrowing RootDirectory) {
    let now = DirectoryStamp(path, in: root)
    guard now != stamp || answers.count > Self.answerLimit else { return }
    stamp = now
    answers = [:]
    claims = nil
    distributions = ((try? root.names(path)) ?? []).compactMap { Self.distribution($0, in: path, root) }
    // Of two with a name that means the same the first by name.
    indexOfName = Dictionary(
      distributions.enumerated().map { ($1.normalizedName, $0) }, uniquingKeysWith: { first, _ in first })
    indexOfEntry = Dictionary(distributions.enumerated().map { ($1.entry, $0) }, uniquingKeysWith: { first, _ in first })
  }

  func answer(for file: [UInt8]) -> PackageIdentity?? { answers[file] }

  /// Finds the owners of files inside the directory, and of files below the prefix that a distribution may have put there.
  mutating func look(for files: [[UInt8]], _ root: borrowing RootDirectory) {
    guard !files.isEmpty else { return }
    var relatives: [[UInt8]: [UInt8]] = [:]
    for file in files {
      if file.isBelow(path) {
        relatives[Array(file.dropFirst(path.count + 1))] = file
      } else {
        relatives[bytes("../../../") + file.dropFirst(prefix.count + 1)] = file
      }
      answers.updateValue(nil, forKey: file)
    }
    let recorded = recorded(relatives.keys, root)
    for (relative, file) in relatives {
      if let identity = recorded[relative] ?? (file.isBelow(path) ? byName(relative, root) : nil) {
        answers.updateValue(identity, forKey: file)
      }
    }
  }

  /// By the lists of installed files. Of two that list a file the first by name has it.
  private func recorded(_ relatives: some Sequence<[UInt8]>, _ root: borrowing RootDirectory) -> [[UInt8]: PackageIdentity] {
    let wanted = WantedPaths(relatives)
    // Names in installed-files.txt start from the egg-info directory.
    let wantedFromEgg = WantedPaths(relatives.map { bytes("../") + $0 })
    var owners: [[UInt8]: PackageIdentity] = [:]
    for distribution in distributions {
      let directory = path + [slash] + distribution.entry
      if distribution.entry.hasSuffix(".dist-info") {
        guard let text = try? root.contents(directory + bytes("/RECORD"), limit: Self.recordLimit) else { continue }
        wanted.scan(text, separator: UInt8(ascii: ",")) {
          owners[$0] = min(owners[$0] ?? distribution.identity, distribution.identity)
        }
      } else if distribution.entry.hasSuffix(".egg-info") {
        guard let text = try? root.contents(directory + bytes("/installed-files.txt"), limit: Self.recordLimit) else { continue }
        wantedFromEgg.scan(text) { name in
          let relative = Array(name.dropFirst(3))
          owners[relative] = min(owners[relative] ?? distribution.identity, distribution.identity)
        }
      }
    }
    return owners
  }

  /// Without a list: the distribution called like the top folder, or one that claims that folder, else the folder itself.
  private mutating func byName(_ relative: [UInt8], _ root: borrowing RootDirectory) -> PackageIdentity {
    var top = Array(relative.prefix { $0 != slash })
    if top.count == relative.count {
      // A module of its own: `_cffi_backend.cpython-311-x86_64-linux-gnu.so`.
      top = Array(top.prefix { $0 != UInt8(ascii: ".") })
    } else if top.hasSuffix(".egg"), let egg = indexOfEntry[top] {
      return distributions[egg].identity
    } else if top.hasSuffix(".libs") {
      top.removeLast(5)
    }
    let name = printable(top.prefix(128))
    if let match = indexOfName[Self.normalized(name)] { return distributions[match].identity }
    let claims = claims ?? readClaims(root)
    self.claims = claims
    return claims[top].map { distributions[$0].identity } ?? PackageIdentity(name: name, kind: .python)
  }

  /// One reading of every top_level.txt, whatever the number of files that are asked about. Of two claims the first by name wins.
  private func readClaims(_ root: borrowing RootDirectory) -> [[UInt8]: Int] {
    var claims: [[UInt8]: Int] = [:]
    for (index, distribution) in distributions.enumerated() where claims.count < Self.claimLimit {
      let file = path + [slash] + distribution.entry + bytes("/top_level.txt")
      guard let text = try? root.contents(file, limit: 64 << 10) else { continue }
      for line in text.split(separator: 0x0A) where claims[Array(line)] == nil { claims[Array(line)] = index }
    }
    return claims
  }

  private static func distribution(
    _ entry: [UInt8], in site: [UInt8], _ root: borrowing RootDirectory
  ) -> Distribution? {
    let directory = site + [slash] + entry
    let stem: ArraySlice<UInt8>
    let files: [[UInt8]]
    if entry.hasSuffix(".dist-info") {
      stem = entry.dropLast(10)
      files = [directory + bytes("/METADATA")]
    } else if entry.hasSuffix(".egg-info") {
      stem = entry.dropLast(9)
      files = [directory + bytes("/PKG-INFO"), directory]
    } else if entry.hasSuffix(".egg") {
      stem = entry.dropLast(4)
      files = [directory + bytes("/EGG-INFO/PKG-INFO")]
    } else {
      return nil
    }
    // `name-version[-more]`, where the name has no hyphen.
    let parts = stem.split(separator: UInt8(ascii: "-"), maxSplits: 2).map { printable($0.prefix(128)) }
    var name = parts.first ?? printable(entry)
    var version = parts.count > 1 ? parts[1] : nil
    for file in files {
      guard let headers = headers(file, root) else { continue }
      name = headers.name ?? name
      version = headers.version ?? version
      break
    }
    return Distribution(
      entry: entry, identity: PackageIdentity(name: name, kind: .python, version: version),
      normalizedName: normalized(name))
  }

  /// Name and Version of a METADATA file: mail headers, of which these come first.
  private static func headers(_ file: [UInt8], _ root: borrowing RootDirectory) -> (name: String?, version: String?)? {
    guard let handle = try? root.openRegular(file),
      let text = try? positionedBytes(handle.descriptor, at: 0, upTo: 16 << 10, "read METADATA")
    else { return nil }
    var name: String?
    var version: String?
    var reader = ByteReader(text)
    while !reader.isAtEnd, name == nil || version == nil {
      var end = reader.lineEnd() ?? text.count
      let next = end + 1
      if end > reader.position, text[end - 1] == 0x0D { end -= 1 }
      if end == reader.position { break }
      if name == nil, reader.skip("Name:") {
        reader.skipBlanks()
        name = printable(text[min(reader.position, end)..<end].prefix(128))
      } else if version == nil, reader.skip("Version:") {
        reader.skipBlanks()
        version = printable(text[min(reader.position, end)..<end].prefix(128))
      }
      reader.position = next
    }
    return (name.flatMap { $0.isEmpty ? nil : $0 }, version.flatMap { $0.isEmpty ? nil : $0 })
  }

  /// Names that differ in case or in `-`, `_`, `.` only are one (PEP 503).
  static func normalized(_ name: String) -> String {
    name.lowercased().split { $0 == "-" || $0 == "_" || $0 == "." }.joined(separator: "-")
  }
}
