import Model
import TestKit
import Testing

@testable import LinuxPlatform

/// A container's databases may be as long as it likes: they are read into tables once, and each file is looked up.
@Suite struct PackageBoundsTests {
  let tree = TemporaryTree()

  @Test("Many diversions and many files")
  func diversions() throws {
    let count = 1_000
    tree.write("var/lib/dpkg/info/libfoo1.list", "/o7\n/d8\n")
    tree.write("var/lib/dpkg/diversions", (0..<count).map { "/o\($0)\n/d\($0)\nlibbar\n" }.joined())
    let paths = Set((0..<count).map { bytes("/d\($0)") })
    let owners = PackageIndex(root: tree.path).packages(for: paths, program: nil)
    #expect(owners[bytes("/d7")] == PackageIdentity(name: "libfoo1", kind: .system))
    #expect(owners[bytes("/d8")] == PackageIdentity(name: "libfoo1", kind: .system))
    #expect(owners.values.count { $0.kind == .system } == 2)
  }

  @Test("Many distributions and many files that none of them lists")
  func distributions() {
    let site = "lib/python3/dist-packages"
    for index in 0..<200 { tree.write("\(site)/p\(index)-1.egg-info/top_level.txt", "t\(index)\nshared\n") }
    let paths = Set((0..<500).map { bytes("/\(site)/t\($0)/x.so") } + [bytes("/\(site)/shared/x.so")])
    let owners = PackageIndex(root: tree.path).packages(for: paths, program: nil)
    #expect(owners[bytes("/\(site)/t199/x.so")] == PackageIdentity(name: "p199", kind: .python, version: "1"))
    #expect(owners[bytes("/\(site)/t200/x.so")] == PackageIdentity(name: "t200", kind: .python))
    // Of several the first by name.
    #expect(owners[bytes("/\(site)/shared/x.so")] == PackageIdentity(name: "p0", kind: .python, version: "1"))
  }
}
