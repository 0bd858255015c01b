import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct PackageIndexTests {
  let tree = TemporaryTree()

  /// A small machine: Debian packages, a pyenv interpreter, a virtual environment, a program of its own.
  init() {
    tree.write(
      "var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n/lib/x86_64-linux-gnu/libc.so.6\n/lib/x86_64-linux-gnu/libm.so.6\n")
    tree.write("var/lib/dpkg/info/libfoo1.list", "/usr/lib/libfoo.so.1.2.3\n/usr/lib/shared.so\n")
    tree.write("var/lib/dpkg/info/libdivert.list", "/usr/lib/shared.so\n")
    tree.write("var/lib/dpkg/info/locales.list", "/usr/sbin/locale-gen\n")
    tree.write("var/lib/dpkg/info/libc-bin.list", "/sbin/ldconfig\n")
    tree.write("var/lib/dpkg/info/python3-yaml.list", "/usr/lib/python3/dist-packages/yaml/_yaml.so\n")
    tree.write("var/lib/dpkg/diversions", "/usr/lib/shared.so\n/usr/lib/shared.so.diverted\nlibdivert\n")
    tree.write(
      "var/lib/dpkg/status",
      "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\nPackage: libfoo1\nDescription: x\n y\nVersion: 1.2.3-1\n\n"
        + "Package: other\nVersion: 9\n\nPackage: locales\nVersion: 2.36-9\n")
    tree.write("usr/lib/libfoo.so.1.2.3", "")
    tree.link("usr/lib/libfoo.so.1", to: "libfoo.so.1.2.3")
    let site = "opt/py/3.11.7/lib/python3.11/site-packages"
    tree.write("opt/py/3.11.7/include/python3.11/patchlevel.h", "#define PY_MAJOR 3\n#define PY_VERSION      \t\"3.11.7\"\n")
    tree.write("opt/py/3.11.7/bin/python3.11", "")
    tree.write("\(site)/numpy-2.4.6.dist-info/METADATA", "Metadata-Version: 2.1\nName: numpy\nVersion: 2.4.6\n\nName: no\n")
    tree.write("\(site)/numpy-2.4.6.dist-info/RECORD", "numpy/_core/x.so,sha256=a,1\nnumpy.libs/libblas-1.so,sha256=b,2\n")
    tree.write("\(site)/scikit_learn-1.5.dist-info/METADATA", "Name: scikit-learn\r\nVersion: 1.5\r\n\r\n")
    tree.write("\(site)/scikit_learn-1.5.dist-info/RECORD", "sklearn/_a.so,,\n\"sklearn/we\"\"ird,name.so\",sha256=c,3\n")
    tree.write("\(site)/mkl-2024.1.dist-info/METADATA", "Name: mkl\nVersion: 2024.1\n")
    tree.write("\(site)/mkl-2024.1.dist-info/RECORD", "../../../lib/libmkl_core.so.2,,\n")
    tree.write("\(site)/Pillow-9.0.egg-info/PKG-INFO", "Name: Pillow\nVersion: 9.0\n")
    tree.write("\(site)/Pillow-9.0.egg-info/top_level.txt", "PIL\n")
    tree.write("\(site)/old-1.egg-info/installed-files.txt", "../oldies/x.so\nPKG-INFO\n")
    tree.write("\(site)/fast-1.0-py3.11-linux-x86_64.egg/EGG-INFO/PKG-INFO", "Name: fast\nVersion: 1.0\n")
    tree.write("usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/PKG-INFO", "Name: PyYAML\nVersion: 6.0\n")
    tree.write("usr/lib/python3/dist-packages/PyYAML-6.0.egg-info/top_level.txt", "_yaml\nyaml\n")
    tree.link("venv/bin/python3", to: "/opt/py/3.11.7/bin/python3.11")
    tree.link("venv/lib/python3.11/site-packages", to: "/\(site)")
  }

  static let site = "/opt/py/3.11.7/lib/python3.11/site-packages"
  static let python = PackageIdentity(name: "python3.11", kind: .program, version: "3.11.7")
  static let numpy = PackageIdentity(name: "numpy", kind: .python, version: "2.4.6")
  static let learn = PackageIdentity(name: "scikit-learn", kind: .python, version: "1.5")
  static let libc = PackageIdentity(name: "libc6", kind: .system, version: "2.36-9")
  static let foo = PackageIdentity(name: "libfoo1", kind: .system, version: "1.2.3-1")
  static let app = PackageIdentity(name: "app", kind: .program)

  static let table: [(String, PackageIdentity)] = [
    // dpkg, either side of the merged /usr, through links, deleted, diverted
    ("/lib/x86_64-linux-gnu/libc.so.6", libc), ("/usr/lib/x86_64-linux-gnu/libm.so.6", libc),
    ("/usr/lib/libfoo.so.1.2.3", foo), ("/lib/libfoo.so.1.2.3", foo), ("/usr/lib/libfoo.so.1", foo),
    ("/usr/lib/shared.so", PackageIdentity(name: "libdivert", kind: .system)), ("/usr/lib/shared.so.diverted", foo),
    // distributions by RECORD, bundled folders, quoted names, other folders' names, files next to the interpreter's
    ("\(site)/numpy/_core/x.so", numpy), ("\(site)/numpy.libs/libblas-1.so", numpy), ("\(site)/numpy.libs/gone.so", numpy),
    ("\(site)/sklearn/_a.so", learn), ("\(site)/sklearn/we\"ird,name.so", learn),
    ("\(site)/scikit_learn.libs/libgomp.so", learn),
    ("/opt/py/3.11.7/lib/libmkl_core.so.2", PackageIdentity(name: "mkl", kind: .python, version: "2024.1")),
    ("\(site)/PIL/_imaging.so", PackageIdentity(name: "Pillow", kind: .python, version: "9.0")),
    ("\(site)/oldies/x.so", PackageIdentity(name: "old", kind: .python, version: "1")),
    ("\(site)/fast-1.0-py3.11-linux-x86_64.egg/fast/x.so", PackageIdentity(name: "fast", kind: .python, version: "1.0")),
    ("\(site)/unheard/of.so", PackageIdentity(name: "unheard", kind: .python)),
    ("\(site)/_single.cpython-311.so", PackageIdentity(name: "_single", kind: .python)),
    ("/usr/lib/python3/dist-packages/yaml/_yaml.so", PackageIdentity(name: "PyYAML", kind: .python, version: "6.0")),
    ("/gone/lib/python3.9/site-packages/torch/lib/libtorch.so", PackageIdentity(name: "torch", kind: .python)),
    // interpreters outside dpkg
    ("/opt/py/3.11.7/bin/python3.11", python), ("/opt/py/3.11.7/lib/libpython3.11.so.1.0", python),
    ("/opt/py/3.11.7/lib/python3.11/lib-dynload/math.so", python), ("/venv/bin/python3", python),
    ("/usr/local/lib/python3.12/lib-dynload/x.so", PackageIdentity(name: "python3.12", kind: .program)),
    // the program and what lies with it
    ("/srv/app/bin/app", app), ("/srv/app/bin/libhelp.so", app), ("/srv/app/lib/libapp.so", app),
    // generated files
    ("/usr/lib/locale/locale-archive", PackageIdentity(name: "locales", kind: .system, version: "2.36-9")),
    ("/etc/ld.so.cache", PackageIdentity(name: "libc-bin", kind: .system)),
    ("/var/cache/fontconfig/x.cache-7", PackageIdentity(name: "fontconfig", kind: .file)),
    // the kernel's and MLOS's own
    ("/memfd:mlos-agent", PackageIdentity(name: "mlos", kind: .runtime)),
    ("/usr/lib/mlos/libmlosagent.so", PackageIdentity(name: "mlos", kind: .runtime)),
    ("[vdso]", PackageIdentity(name: "kernel", kind: .runtime)),
    ("anon_inode:[x]", PackageIdentity(name: "kernel", kind: .runtime)),
    ("/SYSV00000000", PackageIdentity(name: "shared-memory", kind: .runtime)),
    ("", PackageIdentity(name: "kernel", kind: .runtime)),
    // everything else
    ("/tmp/x.so", PackageIdentity(name: "x.so", kind: .file)), ("/", PackageIdentity(name: "/", kind: .file)),
    ("/home/me/project/build/libx.so", PackageIdentity(name: "project", kind: .file)),
    ("/home/me/libx.so", PackageIdentity(name: "libx.so", kind: .file)),
    ("/tmp/a\nb", PackageIdentity(name: "a\\x0ab", kind: .file)),
    ("/tmp/nul\u{0}", PackageIdentity(name: "nul\\x00", kind: .file)),
  ]

  @Test("Every rule, in one batch, one path at a time, and again from memory")
  func rules() {
    let program = bytes("/srv/app/bin/app")
    let paths = Set(Self.table.map { bytes($0.0) })
    let index = PackageIndex(root: tree.path)
    for _ in 0..<2 {
      let answers = index.packages(for: paths, program: program)
      #expect(answers.count == paths.count)
      for (path, identity) in Self.table { #expect(answers[bytes(path)] == identity, "\(path)") }
    }
    for (path, identity) in Self.table where !path.contains("libmkl") {
      let alone = PackageIndex(root: tree.path).packages(for: [bytes(path)], program: program)
      #expect(alone == [bytes(path): identity], "\(path)")
    }
  }

  @Test("A virtual environment's libraries belong to the distributions they are linked from")
  func virtualEnvironment() {
    let path = bytes("/venv/lib/python3.11/site-packages/numpy/_core/x.so")
    #expect(PackageIndex(root: tree.path).packages(for: [path], program: nil)[path] == Self.numpy)
  }

  @Test("Installing or removing a package is noticed")
  func invalidation() {
    let index = PackageIndex(root: tree.path)
    let library = bytes("/usr/lib/libnew.so")
    let module = bytes("\(Self.site)/fresh/x.so")
    func names() -> [String?] {
      let answers = index.packages(for: [library, module], program: nil)
      return [answers[library]?.name, answers[module]?.version]
    }
    #expect(names() == ["libnew.so", nil])
    tree.write("var/lib/dpkg/info/libnew.list", "/usr/lib/libnew.so\n")
    tree.write("\(Self.site.dropFirst())/fresh-3.dist-info/METADATA", "Name: fresh\nVersion: 3\n")
    tree.write("\(Self.site.dropFirst())/fresh-3.dist-info/RECORD", "fresh/x.so,,\n")
    #expect(names() == ["libnew", "3"])
    #expect(unlink("\(tree.path)/var/lib/dpkg/info/libnew.list") == 0)
    #expect(names() == ["libnew.so", "3"])
  }

  @Test("Without a root every path still gets an answer")
  func noRoot() {
    let paths = Set(["/usr/lib/x.so", "/opt/py/bin/python3.11", "/srv/app/bin/app", "[vdso]"].map(bytes))
    let answers = PackageIndex(root: "/nowhere").packages(for: paths, program: bytes("/srv/app/bin/app"))
    #expect(answers.count == paths.count)
    #expect(answers[bytes("/srv/app/bin/app")] == Self.app)
  }

  @Test("Hostile metadata is cut, escaped or ignored")
  func hostileMetadata() throws {
    let site = "opt/bad/lib/python3.11/site-packages"
    tree.write("\(site)/esc-1.dist-info/METADATA", "Name: \u{1B}[31m\(String(repeating: "x", count: 4000))\nVersion: 1\n")
    tree.write("\(site)/esc-1.dist-info/RECORD", "esc/x.so,,\n\"unfinished")
    tree.makeDirectory("\(site)/pipe-1.dist-info")
    try #require(mkfifo("\(tree.path)/\(site)/pipe-1.dist-info/RECORD", 0o644) == 0)
    try #require(mkfifo("\(tree.path)/\(site)/pipe-1.dist-info/METADATA", 0o644) == 0)
    tree.link("\(site)/out-1.dist-info/RECORD", to: "../../../../../../../../../../etc/passwd")
    let paths = Set(["esc/x.so", "pipe/x.so", "out/x.so"].map { bytes("/\(site)/\($0)") })
    let answers = PackageIndex(root: tree.path).packages(for: paths, program: nil)
    let name = try #require(answers[bytes("/\(site)/esc/x.so")]?.name)
    #expect(name.hasPrefix("\\x1b[31mxxx") && name.count < 200)
    #expect(answers[bytes("/\(site)/pipe/x.so")] == PackageIdentity(name: "pipe", kind: .python, version: "1"))
    #expect(answers[bytes("/\(site)/out/x.so")] == PackageIdentity(name: "out", kind: .python, version: "1"))
  }

  @Test("On this machine the C library and numpy are found")
  func realMachine() throws {
    guard access("/var/lib/dpkg/status", R_OK) == 0 else {
      print("skipped: no dpkg here")
      return
    }
    let mappings = try ProcFS().mappings(of: getpid())
    let paths = Set(
      mappings.compactMap { mapping -> [UInt8]? in
        guard case .file(let file) = mapping.backing else { return nil }
        return file.path
      })
    let answers = PackageIndex().packages(for: paths, program: nil)
    let libc = try #require(paths.first { $0.hasSuffix("/libc.so.6") })
    #expect(answers[libc]?.name == "libc6" && answers[libc]?.kind == .system && answers[libc]?.version != nil)
    guard let child = ChildProcess(["python3", "-c", "import numpy, sys; print(1, flush=True); sys.stdin.read()"]),
      child.read().hasPrefix("1")
    else {
      print("skipped: no python3 with numpy")
      return
    }
    let program = try ProcFS().facts(of: child.pid).executable
    let found = Set(
      PackageIndex(root: "/proc/\(child.pid)/root").packages(
        for: Set(
          try ProcFS().mappings(of: child.pid).compactMap { mapping -> [UInt8]? in
            guard case .file(let file) = mapping.backing else { return nil }
            return file.path
          }), program: program
      ).values)
    #expect(found.contains { $0.name == "numpy" && $0.kind == .python && $0.version != nil })
    #expect(!found.contains { $0.kind == .file }, "\(found)")
  }
}
