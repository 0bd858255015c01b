import Model
import Synchronization

/// Tells which package a file belongs to: a Python distribution, a Debian package, the program, or none.
///
/// Answers are kept until the directory they came from changes (its modification time), at most 65,536 a database. Safe
/// from any thread; calls wait for each other. The first call reads dpkg's lists (tens of milliseconds), later ones stat
/// a few directories.
public final class PackageIndex: Sendable {
  private let root: String
  private let state = Mutex(State())

  fileprivate struct State {
    var dpkg = DpkgDatabase()
    /// By directory; few, since a process has few such directories.
    var sites: [[UInt8]: PythonSite] = [:]
    /// Paths with their links followed, where that gives another path.
    var realPaths: [[UInt8]: [UInt8]] = [:]
    var interpreters: [[UInt8]: String?] = [:]
  }

  /// Above these many the oldest knowledge is not worth keeping apart from the rest: all is forgotten.
  fileprivate static let siteLimit = 256
  fileprivate static let pathLimit = 65_536

  /// - Parameter root: The directory that is `/` for the paths asked about; a container's is /proc/PID/root.
  public init(root: String = "/") { self.root = root }

  /// The owner of each path, as seen inside the root; every path gets an answer, also when the root cannot be read.
  ///
  /// A deleted file keeps the owner of its former path (given without the kernel's " (deleted)").
  /// - Parameter program: The executable of the process that maps the files.
  public func packages(for paths: Set<[UInt8]>, program: [UInt8]?) -> [[UInt8]: PackageIdentity] {
    state.withLock { state in
      guard let root = try? RootDirectory(path: root) else {
        return Dictionary(uniqueKeysWithValues: paths.map { ($0, Self.withoutDatabases($0, program)) })
      }
      return state.packages(for: paths, program: program, root)
    }
  }

  private static func withoutDatabases(_ path: [UInt8], _ program: [UInt8]?) -> PackageIdentity {
    if let runtime = SpecialRules.runtime(path) { return runtime }
    if let interpreter = ProgramRules.interpreter(of: path) {
      return PackageIdentity(name: interpreter.name, kind: .program)
    }
    if let program, ProgramRules.belongs(path, to: program) {
      return PackageIdentity(name: printable(program.baseName), kind: .program)
    }
    return PackageIdentity(name: ProgramRules.fileName(path), kind: .file)
  }
}

extension PackageIndex.State {
  fileprivate mutating func packages(
    for paths: Set<[UInt8]>, program: [UInt8]?, _ root: borrowing RootDirectory
  ) -> [[UInt8]: PackageIdentity] {
    forgetTooMuch()
    dpkg.refresh(root)
    var answers: [[UInt8]: PackageIdentity] = [:]
    answers.reserveCapacity(paths.count)
    var files: [[UInt8]] = []
    for path in paths {
      if let runtime = SpecialRules.runtime(path) { answers[path] = runtime } else { files.append(path) }
    }
    let others = lookInSites(files, &answers, root)
    lookInDpkg(others, &answers, root)
    let unowned = others.filter { answers[$0] == nil }
    lookBelowPrefixes(unowned, &answers, root)
    let program = program.map { (try? root.realPath($0)) ?? $0 }
    for path in unowned where answers[path] == nil { answers[path] = byRule(path, program, root) }
    return answers
  }

  private mutating func forgetTooMuch() {
    if sites.count > PackageIndex.siteLimit { sites = [:] }
    if realPaths.count > PackageIndex.pathLimit { realPaths = [:] }
    if interpreters.count > PackageIndex.siteLimit { interpreters = [:] }
  }

  /// Answers what lies in a Python site; gives back the rest.
  private mutating func lookInSites(
    _ files: [[UInt8]], _ answers: inout [[UInt8]: PackageIdentity], _ root: borrowing RootDirectory
  ) -> [[UInt8]] {
    var bySite: [[UInt8]: [[UInt8]]] = [:]
    var others: [[UInt8]] = []
    for file in files {
      if let site = PythonSite.directory(of: realPaths[file] ?? file) {
        bySite[site, default: []].append(file)
      } else {
        others.append(file)
      }
    }
    for (directory, files) in bySite {
      var site = sites.removeValue(forKey: directory) ?? PythonSite(path: directory)
      site.refresh(root)
      let real = files.map { realPaths[$0] ?? $0 }
      site.look(for: real.filter { site.answer(for: $0) == nil }, root)
      for (file, real) in zip(files, real) { answers[file] = site.answer(for: real) ?? nil }
      sites[directory] = site
    }
    return others
  }

  private mutating func lookInDpkg(
    _ files: [[UInt8]], _ answers: inout [[UInt8]: PackageIdentity], _ root: borrowing RootDirectory
  ) {
    var unknown: [[UInt8]: [[UInt8]]] = [:]
    var moved: [[UInt8]] = []
    for file in files where dpkg.answer(for: file) == nil {
      var others: [[UInt8]] = []
      if let real = try? root.realPath(file), real != file {
        realPaths[file] = real
        others.append(real)
        if PythonSite.directory(of: real) != nil { moved.append(file) }
      }
      unknown[file] = others
    }
    dpkg.look(for: unknown, root)
    for file in files { answers[file] = dpkg.answer(for: file) ?? nil }
    // A link that leads into a Python site: known only now.
    _ = lookInSites(moved.filter { answers[$0] == nil }, &answers, root)
  }

  /// Libraries that wheels install next to the interpreter's own: `PREFIX/lib/libmkl_core.so.2`.
  private mutating func lookBelowPrefixes(
    _ files: [[UInt8]], _ answers: inout [[UInt8]: PackageIdentity], _ root: borrowing RootDirectory
  ) {
    for (directory, known) in sites.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      let prefix = known.prefix
      let below = files.filter { answers[$0] == nil && $0.isBelow(prefix) }
      guard prefix.count > 1, !below.isEmpty else { continue }
      var site = known
      site.refresh(root)
      site.look(for: below.filter { site.answer(for: $0) == nil }, root)
      for file in below { answers[file] = site.answer(for: file) ?? nil }
      sites[directory] = site
    }
  }

  private mutating func byRule(
    _ path: [UInt8], _ program: [UInt8]?, _ root: borrowing RootDirectory
  ) -> PackageIdentity {
    let real = realPaths[path] ?? path
    if let generator = SpecialRules.generator(of: path, { dpkg.isInstalled($0) }) {
      return PackageIdentity(name: generator, kind: .system, version: dpkg.versions(of: [generator], root)[generator])
    }
    if let interpreter = ProgramRules.interpreter(of: real) { return identity(interpreter, root) }
    if let program, ProgramRules.belongs(real, to: program) {
      if let interpreter = ProgramRules.interpreter(of: program) { return identity(interpreter, root) }
      return PackageIdentity(name: printable(program.baseName.prefix(128)), kind: .program)
    }
    return PackageIdentity(name: ProgramRules.fileName(path), kind: .file)
  }

  private mutating func identity(
    _ interpreter: ProgramRules.Interpreter, _ root: borrowing RootDirectory
  ) -> PackageIdentity {
    let key = interpreter.prefix + [0] + bytes(interpreter.name)
    if interpreters[key] == nil { interpreters.updateValue(ProgramRules.version(of: interpreter, root), forKey: key) }
    return PackageIdentity(name: interpreter.name, kind: .program, version: interpreters[key] ?? nil)
  }
}
