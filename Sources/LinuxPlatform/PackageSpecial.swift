import Model

/// Names that stand for no installed file, and files that packages write when they are set up.
enum SpecialRules {
  /// What the kernel or MLOS provides; nil for a file.
  static func runtime(_ path: [UInt8]) -> PackageIdentity? {
    guard let first = path.first else { return PackageIdentity(name: "kernel", kind: .runtime) }
    if path.hasPrefix("/memfd:mlos") || path.hasPrefix("memfd:mlos") || path.baseName.hasPrefix("libmlosagent.so") {
      return PackageIdentity(name: "mlos", kind: .runtime)
    }
    if path.hasPrefix("/memfd:") || path.hasPrefix("memfd:") || path.hasPrefix("/SYSV") || path.hasPrefix("/dev/shm/")
      || path == bytes("/dev/zero")
    {
      return PackageIdentity(name: "shared-memory", kind: .runtime)
    }
    // [vdso], vvar, anon_inode:[io_uring], socket:[1234]
    if first != slash { return PackageIdentity(name: "kernel", kind: .runtime) }
    return nil
  }

  /// Written by a package's scripts or triggers, so in no list. The first installed of the packages has it.
  private static let generated: [(match: Match, packages: [String])] = [
    (.exactly("/etc/ld.so.cache"), ["libc-bin"]),
    (.exactly("/usr/lib/locale/locale-archive"), ["locales", "libc-bin"]),
    (.below("/usr/lib/locale/"), ["locales", "libc-bin"]),
    (.named("gconv-modules.cache"), ["libc-bin", "libc6"]),
    (.below("/var/cache/fontconfig/"), ["fontconfig"]),
    (.below("/usr/share/mime/"), ["shared-mime-info"]),
    (.named("icon-theme.cache"), ["gtk-update-icon-cache", "libgtk-3-bin"]),
    (.named("gschemas.compiled"), ["libglib2.0-bin", "libglib2.0-0t64", "libglib2.0-0"]),
    (.named("giomodule.cache"), ["libglib2.0-0t64", "libglib2.0-0"]),
    (.named("loaders.cache"), ["libgdk-pixbuf-2.0-0", "libgdk-pixbuf2.0-0"]),
    (.exactly("/etc/ssl/certs/ca-certificates.crt"), ["ca-certificates"]),
    (.below("/var/cache/nscd/"), ["nscd"]),
  ]

  private enum Match {
    case exactly(StaticString)
    case below(StaticString)
    /// Of this name below /usr.
    case named(StaticString)

    func holds(_ path: [UInt8]) -> Bool {
      switch self {
      case .exactly(let name): path.count == name.utf8CodeUnitCount && path.hasPrefix(name)
      case .below(let directory): path.hasPrefix(directory)
      case .named(let name): path.hasPrefix("/usr/") && path.hasSuffix(name) && path.baseName.count == name.utf8CodeUnitCount
      }
    }
  }

  /// The installed package that generates a file.
  static func generator(of path: [UInt8], _ isInstalled: (String) -> Bool) -> String? {
    for rule in generated where rule.match.holds(path) {
      if let package = rule.packages.first(where: isInstalled) { return package }
    }
    return nil
  }
}
