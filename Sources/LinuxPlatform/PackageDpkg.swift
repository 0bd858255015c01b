import Model

/// The database of dpkg(1): which Debian package installed a path. Lists are read through for a batch of paths at a time;
/// kept are answers only.
struct DpkgDatabase {
  private var stamp: DirectoryStamp?
  private var answers: [[UInt8]: PackageIdentity?] = [:]
  /// Where files were moved to for another package's sake, and from where (dpkg-divert(1)). Looked up, never walked: the file may
  /// list as many as it has room for.
  private var diversionsTo: [[UInt8]: Diversion] = [:]
  private var diversionsFrom: [[UInt8]: Diversion] = [:]
  private var installed: Set<String> = []

  private struct Diversion {
    var original: [UInt8]
    var divertedTo: [UInt8]
    var package: String
  }

  private static let information = bytes("/var/lib/dpkg/info")
  /// The largest list known, of a kernel's or TeX's documentation, is below 4 MiB; status of a full desktop below 16 MiB.
  private static let fileLimit = 64 << 20
  /// More answers than this are forgotten at once and found again.
  private static let answerLimit = 65_536

  /// Forgets its answers when packages were installed or removed since.
  mutating func refresh(_ root: borrowing RootDirectory) {
    let now = DirectoryStamp(Self.information, in: root)
    guard now != stamp || answers.count > Self.answerLimit else { return }
    stamp = now
    answers = [:]
    let diversions = Self.diversions(root)
    diversionsTo = Dictionary(diversions.map { ($0.divertedTo, $0) }, uniquingKeysWith: { first, _ in first })
    diversionsFrom = Dictionary(diversions.map { ($0.original, $0) }, uniquingKeysWith: { first, _ in first })
    installed = Set(((try? root.names(Self.information)) ?? []).compactMap { Self.package(ofList: $0) })
  }

  /// nil: not asked yet. Otherwise the owner, or that there is none.
  func answer(for path: [UInt8]) -> PackageIdentity?? { answers[path] }

  func isInstalled(_ package: String) -> Bool { installed.contains(package) }

  /// Finds the owners of the paths; each comes with the other names it may be listed under, best first.
  mutating func look(for paths: [[UInt8]: [[UInt8]]], _ root: borrowing RootDirectory) {
    guard !paths.isEmpty else { return }
    var owners: [[UInt8]: [String]] = [:]
    if stamp != nil {
      var names = Set<[UInt8]>()
      for (path, others) in paths { for name in [path] + others { names.formUnion(listedNames(name)) } }
      let wanted = WantedPaths(names)
      for list in (try? root.names(Self.information)) ?? [] {
        guard let package = Self.package(ofList: list) else { continue }
        guard let text = try? root.contents(Self.information + [slash] + list, limit: Self.fileLimit) else { continue }
        wanted.scan(text) { owners[$0, default: []].append(package) }
      }
    }
    var found: [[UInt8]: String] = [:]
    for (path, others) in paths {
      for name in [path] + others where found[path] == nil { found[path] = owner(name, owners) }
    }
    let versions = versions(of: Set(found.values), root)
    for path in paths.keys {
      let identity = found[path].map { PackageIdentity(name: $0, kind: .system, version: versions[$0]) }
      answers.updateValue(identity, forKey: path)
    }
  }

  /// Versions of installed packages, from the status file.
  func versions(of packages: Set<String>, _ root: borrowing RootDirectory) -> [String: String] {
    guard !packages.isEmpty, let text = try? root.contents(bytes("/var/lib/dpkg/status"), limit: Self.fileLimit) else {
      return [:]
    }
    var versions: [String: String] = [:]
    var reader = ByteReader(text)
    var package: String?
    while !reader.isAtEnd {
      let end = reader.lineEnd() ?? text.count
      if reader.position == end {
        package = nil
      } else if reader.skip("Package: ") {
        let name = String(decoding: text[reader.position..<end], as: UTF8.self)
        package = packages.contains(name) ? name : nil
      } else if let name = package, reader.skip("Version: ") {
        versions[name] = printable(text[reader.position..<end].prefix(128))
      }
      reader.position = end + 1
    }
    return versions
  }

  /// `libc6:amd64.list` -> `libc6`.
  private static func package(ofList name: [UInt8]) -> String? {
    guard name.hasSuffix(".list") else { return nil }
    return printable(name.dropLast(5).prefix { $0 != UInt8(ascii: ":") })
  }

  /// Names under which a path can stand in the lists: with and without the /usr of merged systems, and before a diversion.
  private func listedNames(_ path: [UInt8]) -> [[UInt8]] {
    var names = [path]
    if let twin = Self.usrTwin(path) { names.append(twin) }
    names += names.compactMap { diversionsTo[$0]?.original }
    return names
  }

  private func owner(_ path: [UInt8], _ owners: [[UInt8]: [String]]) -> String? {
    for name in [path] + [Self.usrTwin(path)].compactMap(\.self) {
      if let diversion = diversionsTo[name],
        let owner = owners[diversion.original]?.filter({ $0 != diversion.package }).min()
      {
        return owner
      }
      guard let packages = owners[name] else { continue }
      if let diversion = diversionsFrom[name], packages.contains(diversion.package) {
        return diversion.package
      }
      return packages.min()
    }
    return nil
  }

  /// /usr/lib/x and /lib/x are one file on systems where /lib leads to /usr/lib, and packages list either.
  static func usrTwin(_ path: [UInt8]) -> [UInt8]? {
    let merged: [StaticString] = ["/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"]
    if path.hasPrefix("/usr/") {
      let short = Array(path.dropFirst(4))
      return merged.contains { short.hasPrefix($0) } ? short : nil
    }
    return merged.contains { path.hasPrefix($0) } ? bytes("/usr") + path : nil
  }

  private static func diversions(_ root: borrowing RootDirectory) -> [Diversion] {
    guard let text = try? root.contents(bytes("/var/lib/dpkg/diversions"), limit: 1 << 20) else { return [] }
    let lines = text.split(separator: 0x0A).map { Array($0) }
    // Three lines each: from, to, by; `:` for the administrator.
    return stride(from: 0, to: lines.count - lines.count % 3, by: 3).map { index in
      Diversion(original: lines[index], divertedTo: lines[index + 1], package: printable(lines[index + 2]))
    }
  }
}
