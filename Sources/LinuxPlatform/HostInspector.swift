import Glibc
import Model

/// Finds out what this machine offers MLOS, for `mlos doctor`. Leaves nothing behind and changes nothing, mounts least of
/// all. Safe from any thread; takes some milliseconds.
public struct HostInspector: Sendable {
  let root: String
  let procRoot: String
  let socketDirectory: String
  var probes = HostProbes.live

  /// - Parameters:
  ///   - root: `/`; tests give a tree of their own with sys, run and var below.
  ///   - procRoot: Where procfs is mounted.
  ///   - socketDirectory: Where the supervisor's sockets are, or will be when it starts.
  public init(root: String = "/", procRoot: String = "/proc", socketDirectory: String = "/run/mlos") {
    self.socketDirectory = socketDirectory
    self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
    self.procRoot = procRoot
  }

  /// Everything looked at, in the order of display.
  public func findings() -> [Finding] {
    [
      kernel(), libc(), architecture(), targets(), cgroup(), cgroupReclaim(), pressure(), swap(), merging(), hugePages(),
      overcommit(), pageReferences(), processMadvise(), processHandles(), tracing(), privileges(), openFiles(), seccomp(),
      landlock(), userNamespaces(), packageDatabase(), runtimeDirectory(), container(),
    ]
  }

  /// A small text file without the line end, nil when it is not there or not readable.
  func text(_ path: String) -> String? {
    guard let file = try? openPath(path, O_RDONLY | O_NONBLOCK), let bytes = try? file.contents(limit: 1 << 20, path) else {
      return nil
    }
    var text = String(decoding: bytes, as: UTF8.self)
    while text.hasSuffix("\n") { text.removeLast() }
    return text
  }

  func system(_ path: String) -> String? { text("\(root)/\(path)") }
  func proc(_ path: String) -> String? { text("\(procRoot)/\(path)") }
  func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// `always [madvise] never` -> `madvise`.
  static func chosen(_ text: String) -> String? {
    guard let open = text.firstIndex(of: "["), let close = text[open...].firstIndex(of: "]") else { return nil }
    return String(text[text.index(after: open)..<close])
  }

  /// Major and minor number of `6.1.0-18-amd64` or `2.36`.
  static func version(_ text: String) -> (Int, Int)? {
    let numbers = text.split(separator: ".", maxSplits: 2).prefix(2).map { Int($0.prefix { $0.isNumber }) }
    guard numbers.count == 2, let major = numbers[0], let minor = numbers[1] else { return nil }
    return (major, minor)
  }

  /// The words of a probe that failed.
  static func reason(_ result: Int) -> String { String(cString: strerror(Int32(clamping: -result))) }
}

extension HostInspector {
  func kernel() -> Finding {
    guard let release = proc("sys/kernel/osrelease"), let version = Self.version(release) else {
      return Finding(
        id: "kernel", subject: "Linux kernel", verdict: .unknown, found: "\(procRoot)/sys/kernel/osrelease is not readable")
    }
    // 5.10: process_madvise, the newest call everything else rests on.
    let isEnough = version >= (5, 10)
    return Finding(
      id: "kernel", subject: "Linux kernel", verdict: isEnough ? .works : .limited, found: "Linux \(release)",
      consequence: isEnough ? nil : "older than 5.10: other processes' memory cannot be paged out",
      remedy: isEnough ? nil : "install a kernel of version 5.10 or newer")
  }

  func libc() -> Finding {
    let version = probes.libcVersion()
    let isEnough = Self.version(version).map { $0 >= (2, 28) } ?? false
    return Finding(
      id: "glibc", subject: "C library", verdict: isEnough ? .works : .missing, found: "glibc \(version), needed 2.28",
      consequence: isEnough ? nil : "the agent cannot be loaded into programs that use this C library",
      remedy: isEnough ? nil : "run the programs on a system with glibc 2.28 or newer")
  }

  func architecture() -> Finding {
    var name = utsname()
    uname(&name)
    let machine = withUnsafeBytes(of: &name.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let isKnown = machine == "x86_64" || machine == "aarch64"
    return Finding(
      id: "architecture", subject: "Processor architecture", verdict: isKnown ? .works : .missing, found: machine,
      consequence: isKnown ? nil : "the agent is built for x86_64 and aarch64 only")
  }

  func targets() -> Finding {
    Finding(
      id: "targets", subject: "Programs that can be watched", verdict: .works,
      found: "dynamically linked programs that use glibc",
      consequence: "statically linked programs and those that use musl (Alpine) run, but without the agent: /proc alone")
  }

  func packageDatabase() -> Finding {
    let directory = "\(root)/var/lib/dpkg/info"
    guard let handle = try? openPath(directory, O_RDONLY | O_DIRECTORY),
      let names = try? directoryNames(handle, limit: 1_000_000, directory)
    else {
      return Finding(
        id: "dpkg", subject: "Package database", verdict: .limited, found: "no dpkg database below \(directory)",
        consequence: "system libraries are listed by folder or file, not by package")
    }
    let lists = names.count { $0.hasSuffix(".list") }
    return Finding(id: "dpkg", subject: "Package database", verdict: .works, found: "dpkg, \(lists) packages")
  }

  func runtimeDirectory() -> Finding {
    let user = probes.user()
    let directory = socketDirectory
    var status = stat()
    let subject = "Runtime directory"
    if lstat(directory, &status) == 0 {
      // As the supervisor itself judges it: others may write there only with the sticky bit, as in /tmp.
      let isSafe =
        status.st_mode & S_IFMT == S_IFDIR && (status.st_uid == user || status.st_uid == 0)
        && (status.st_mode & 0o022 == 0 || status.st_mode & S_ISVTX != 0)
      return Finding(
        id: "runtime-directory", subject: subject, verdict: isSafe ? .works : .limited,
        found: "\(directory), owner \(status.st_uid), mode \(String(status.st_mode & 0o7777, radix: 8))",
        consequence: isSafe ? nil : "others could put a socket of theirs there: it is not used",
        remedy: isSafe ? nil : "remove \(directory), or: chown \(user) \(directory); chmod go-w \(directory)")
    }
    let base = directory.lastIndex(of: "/").map { $0 == directory.startIndex ? "/" : String(directory[..<$0]) } ?? "."
    let canMake = access(base, W_OK | X_OK) == 0
    return Finding(
      id: "runtime-directory", subject: subject, verdict: canMake ? .works : .limited,
      found: canMake ? "\(directory) is made when the supervisor starts" : "\(base) is not there or not writable",
      consequence: canMake ? nil : "the supervisor needs a socket path given by hand",
      remedy: canMake ? nil : "set XDG_RUNTIME_DIR to a directory of your own, or use --socket")
  }

  func container() -> Finding {
    var signs: [String] = []
    for file in [".dockerenv", "run/.containerenv"] where exists("\(root)/\(file)") { signs.append("/\(file)") }
    let words = ["docker", "kubepods", "containerd", "lxc", "libpod"]
    if let groups = proc("1/cgroup"), let word = words.first(where: groups.contains) {
      signs.append("\(word) in \(procRoot)/1/cgroup")
    }
    guard !signs.isEmpty else {
      return Finding(id: "container", subject: "Container", verdict: .works, found: "no sign of one")
    }
    return Finding(
      id: "container", subject: "Container", verdict: .limited, found: "inside one: " + signs.joined(separator: ", "),
      consequence: "only processes of this container are seen, and its limits apply",
      remedy: "or run the supervisor on the host, and mount libmlosagent.so and the socket's directory into the container "
        + "at the same paths (docker run -v)")
  }
}
