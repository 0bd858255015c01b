/// A tree that looks like /proc to the code under test: only what was put in is there.
public struct FakeProc: Sendable {
  /// Holds the files; gone with the last copy.
  public let tree = TemporaryTree()

  /// An empty /proc.
  public init() {}

  /// Where it is.
  public var root: String { tree.path }

  /// Adds or replaces a process. Texts are as proc(5) prints them.
  public func add(_ process: FakeProcess) {
    let directory = "\(process.pid)"
    tree.write("\(directory)/stat", process.statLine)
    tree.write("\(directory)/statm", "\(process.pages) \(process.residentPages) \(process.sharedPages) 1 0 1 0\n")
    tree.write("\(directory)/status", process.status)
    tree.write("\(directory)/cmdline", process.arguments.flatMap { Array($0.utf8) + [0] })
    if let smaps = process.smaps { tree.write("\(directory)/smaps", smaps) }
    if let rollup = process.rollup { tree.write("\(directory)/smaps_rollup", rollup) }
    tree.write("\(directory)/clear_refs", "")
  }
}

/// What a process of a `FakeProc` shows.
public struct FakeProcess: Sendable {
  /// Number of the directory.
  public var pid: Int32
  /// comm, raw.
  public var name: [UInt8] = Array("program".utf8)
  /// Field 4 of stat.
  public var parent: Int32 = 1
  /// Effective user; the real one is shown as 1001.
  public var user: UInt32 = 1000
  /// Field 3 of stat.
  public var state: UInt8 = UInt8(ascii: "S")
  /// Field 20 of stat.
  public var threads = 1
  /// Field 14 of stat.
  public var userTicks: UInt64 = 7
  /// Field 15 of stat.
  public var systemTicks: UInt64 = 3
  /// Field 22 of stat.
  public var startTicks: UInt64 = 12_345
  /// Field 28 of stat; the kernel prints 0 to those who may not know.
  public var stackBottom: UInt64 = 0
  /// Field 10 of stat.
  public var minorFaults: UInt64 = 100
  /// Field 12 of stat.
  public var majorFaults: UInt64 = 2
  /// Field 1 of statm.
  public var pages: UInt64 = 1000
  /// Field 2 of statm.
  public var residentPages: UInt64 = 100
  /// Field 3 of statm.
  public var sharedPages: UInt64 = 60
  /// cmdline, without the NULs.
  public var arguments = ["program", "--flag"]
  /// Text of smaps; nil: there is no such file.
  public var smaps: [UInt8]?
  /// Text of smaps_rollup; nil: there is no such file.
  public var rollup: [UInt8]?

  /// A sleeping program of user 1000.
  public init(pid: Int32) { self.pid = pid }

  /// Field by field as in proc(5).
  public var statLine: [UInt8] {
    Array("\(pid) (".utf8) + name
      + Array(
        (") \(Character(UnicodeScalar(state))) \(parent) \(pid) \(pid) 0 -1 4194560 \(minorFaults) 0 \(majorFaults) 0 "
          + "\(userTicks) \(systemTicks) 0 0 20 0 \(threads) 0 \(startTicks) \(pages * 4096) \(residentPages) "
          + "18446744073709551615 1 1 \(stackBottom) 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n").utf8)
  }

  /// The lines of status that are read, and a name whose line feeds are escaped as the kernel does.
  public var status: [UInt8] {
    let escaped = name.flatMap { $0 == 0x0A ? [0x5C, 0x6E] : $0 == 0x5C ? [0x5C, 0x5C] : [$0] }
    return Array("Name:\t".utf8) + escaped
      + Array(
        ("\nUmask:\t0022\nState:\tS (sleeping)\nPid:\t\(pid)\nPPid:\t\(parent)\nUid:\t1001\t\(user)\t\(user)\t\(user)\n"
          + "VmRSS:\t     400 kB\nRssAnon:\t     160 kB\nRssFile:\t     200 kB\nRssShmem:\t      40 kB\n"
          + "VmSwap:\t      12 kB\nThreads:\t\(threads)\nCapEff:\t0000000000000000\nSeccomp:\t2\n").utf8)
  }
}
