import Glibc
import Model

@testable import LinuxPlatform

/// The package databases of a container: dpkg's files and lists, Python's metadata, their very names, and the paths that are asked
/// about. The input is pieces: which kind, then its contents.
final class PackageStage: @unchecked Sendable {
  static let shared = PackageStage()

  private static let site = "opt/py/3.11.7/lib/python3.11/site-packages"
  private static let information = "var/lib/dpkg/info"
  /// What the input may replace; empty without it.
  private static let files = [
    "var/lib/dpkg/status", "var/lib/dpkg/diversions", "\(information)/libc6:amd64.list", "\(information)/libfoo1.list",
    "opt/py/3.11.7/include/python3.11/patchlevel.h", "opt/py/3.11.7/pyvenv.cfg", "\(site)/numpy-2.4.6.dist-info/METADATA",
    "\(site)/numpy-2.4.6.dist-info/RECORD", "\(site)/Pillow-9.0.egg-info/PKG-INFO", "\(site)/Pillow-9.0.egg-info/top_level.txt",
    "\(site)/Pillow-9.0.egg-info/installed-files.txt", "\(site)/fast-1.0-py3.11.egg/EGG-INFO/PKG-INFO",
  ]
  private static let prefixes = [
    "/\(site)/", "/usr/lib/", "/lib/", "/opt/py/3.11.7/lib/", "/opt/py/3.11.7/bin/python", "/srv/app/bin/", "/", "",
  ].map { Array($0.utf8) }
  private static let endings = [".dist-info", ".egg-info", ".egg", ".list", ""].map { Array($0.utf8) }
  private static let root = "container"

  private init() {
    for file in Self.files {
      Folder.makeDirectories("\(Self.root)/" + file.split(separator: "/").dropLast().joined(separator: "/"))
      Folder.write("\(Self.root)/\(file)", [])
    }
  }

  func read(_ input: [UInt8]) {
    var pieces = Pieces(input)
    var changed: Set<Int> = []
    var added: [[UInt8]] = []
    var paths: Set<[UInt8]> = []
    var program: [UInt8]?
    while !pieces.isAtEnd {
      switch pieces.byte() % 5 {
      case 0:
        let index = Int(pieces.byte()) % Self.files.count
        changed.insert(index)
        Folder.write("\(Self.root)/\(Self.files[index])", pieces.long())
      case 1 where added.count < 16: added += add(&pieces)
      case 2: program = path(&pieces)
      default: if paths.count < 32 { paths.insert(path(&pieces)) } else { _ = path(&pieces) }
      }
    }
    let answers = PackageIndex(root: "\(Folder.path)/\(Self.root)").packages(for: paths, program: program)
    for path in paths {
      guard let owner = answers[path] else { fatalError("a path without an answer") }
      checkPrintable(owner.name)
      checkPrintable(owner.version ?? "")
    }
    for name in added.reversed() { Folder.remove(name) }
    for index in changed { Folder.write("\(Self.root)/\(Self.files[index])", []) }
  }

  private func path(_ pieces: inout Pieces) -> [UInt8] {
    let prefix = Self.prefixes[Int(pieces.byte()) % Self.prefixes.count]
    return prefix + pieces.short()
  }

  /// A list of dpkg's, or metadata of Python, under a name of the input's choice.
  /// - Returns: What was made, in order.
  private func add(_ pieces: inout Pieces) -> [[UInt8]] {
    let ending = Self.endings[Int(pieces.byte()) % Self.endings.count]
    let name = pieces.short().filter { $0 != 0 && $0 != UInt8(ascii: "/") } + ending
    let content = pieces.long()
    guard name != [0x2E], name != [0x2E, 0x2E], !name.isEmpty else { return [] }
    let isList = ending == Self.endings[3]
    let place = Array("\(Self.root)/\(isList ? Self.information : Self.site)/".utf8) + name
    if isList || pieces.byte() & 1 == 1 { return Folder.create(place, content) ? [place] : [] }
    guard Folder.makeDirectory(place) else { return [] }
    let inside = ["METADATA", "RECORD", "PKG-INFO", "top_level.txt"].map { place + Array("/\($0)".utf8) }
    return [place] + inside.filter { Folder.create($0, content) }
  }
}
