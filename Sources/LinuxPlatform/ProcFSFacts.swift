import Glibc
import Model

/// What stat and statm say of a process: enough to list it, cheap enough for 1,000 processes a second.
public struct ProcessQuickFacts: Hashable, Sendable {
  /// PID and start time.
  public var identity: ProcessIdentity
  /// PID of the parent.
  public var parent: Int32
  /// comm, control characters escaped.
  public var name: String
  /// R, S, D, Z, T, ...
  public var state: Character
  /// Threads of the process.
  public var threads: UInt32
  /// Size of the address ranges.
  public var virtual: Bytes
  /// Resident set size.
  public var resident: Bytes
  /// Resident pages of files and shared memory together.
  public var residentShared: Bytes
  /// User and system time used so far, in clock ticks.
  public var processorTicks: UInt64
  /// Faults answered from memory.
  public var minorFaults: UInt64
  /// Faults that had to wait for storage.
  public var majorFaults: UInt64
}

extension ProcFS {
  /// Reads stat and statm only; the caller keeps what does not change from `facts`.
  public func quickFacts(of pid: Int32) throws(PlatformError) -> ProcessQuickFacts {
    let directory = try directory(of: pid)
    let stat = try StatLine(contents("stat", directory, pid, expected: 1024))
    let statm = try StatmLine(contents("statm", directory, pid, expected: 512))
    return ProcessQuickFacts(
      identity: ProcessIdentity(pid: pid, startTicks: stat.startTicks), parent: stat.parent, name: printable(stat.name),
      state: Character(UnicodeScalar(stat.state)), threads: stat.threads, virtual: statm.size, resident: statm.resident,
      residentShared: statm.shared, processorTicks: stat.processorTicks, minorFaults: stat.minorFaults,
      majorFaults: stat.majorFaults)
  }

  /// Reads stat, statm, status, cmdline and exe of one and the same process.
  public func facts(of pid: Int32) throws(PlatformError) -> ProcessFacts {
    let directory = try directory(of: pid)
    let stat = try StatLine(contents("stat", directory, pid, expected: 1024))
    let statm = try StatmLine(contents("statm", directory, pid, expected: 512))
    let status = try StatusFile(contents("status", directory, pid))
    guard let user = status.effectiveUser else { throw PlatformError(.malformed, context: "\(root)/\(pid)/status: no Uid") }
    if let process = status.threadGroup, process != pid {
      throw PlatformError(.gone, context: "\(pid) is a thread of process \(process)")
    }
    // A kernel thread and a zombie hold no memory: there 0 is a measured value. So it is in statm.
    let anonymous = status.residentAnonymous ?? (statm.resident - statm.shared)
    return ProcessFacts(
      identity: ProcessIdentity(pid: pid, startTicks: stat.startTicks), parent: stat.parent, user: user,
      name: printable(stat.name), commandLine: try commandLine(directory, pid), executable: executable(directory, pid),
      state: Character(UnicodeScalar(stat.state)), threads: stat.threads, virtual: statm.size, resident: statm.resident,
      residentAnonymous: anonymous, residentFile: status.residentFile ?? statm.shared,
      residentShared: status.residentShared ?? .zero, swap: status.swap ?? .zero, processorTicks: stat.processorTicks,
      minorFaults: stat.minorFaults, majorFaults: stat.majorFaults, seccomp: status.seccomp ?? 0, stackBottom: stat.stackBottom,
      virtualPeak: status.virtualPeak)
  }

  /// The facts of the same process now: one file is read instead of five as long as nothing says that the others have
  /// changed. `status` has changed only when pages came or went; program and arguments only when another program runs.
  ///
  /// An effective user or a seccomp filter that is changed by a process whose memory stays as it is shows up with its next
  /// page fault.
  public func refreshed(_ before: ProcessFacts) throws(PlatformError) -> ProcessFacts {
    let pid = before.identity.pid
    let stat = try stat(of: pid)
    guard ProcessIdentity(pid: pid, startTicks: stat.startTicks) == before.identity, let bottom = stat.stackBottom,
      bottom == before.stackBottom, printable(stat.name) == before.name
    else { return try facts(of: pid) }
    var facts = before
    if stat.minorFaults != before.minorFaults || stat.majorFaults != before.majorFaults || stat.resident != before.resident {
      let directory = try directory(of: pid)
      // Opened a moment later: it may be another process's by now.
      guard try StatLine(contents("stat", directory, pid, expected: 1024)).startTicks == stat.startTicks else {
        return try self.facts(of: pid)
      }
      let statm = try StatmLine(contents("statm", directory, pid, expected: 512))
      let status = try StatusFile(contents("status", directory, pid))
      facts.user = status.effectiveUser ?? before.user
      facts.residentAnonymous = status.residentAnonymous ?? (statm.resident - statm.shared)
      facts.residentFile = status.residentFile ?? statm.shared
      facts.residentShared = status.residentShared ?? .zero
      facts.swap = status.swap ?? .zero
      facts.seccomp = status.seccomp ?? 0
    }
    facts.parent = stat.parent
    facts.state = Character(UnicodeScalar(stat.state))
    facts.threads = stat.threads
    facts.virtual = stat.virtual
    facts.resident = stat.resident
    facts.processorTicks = stat.processorTicks
    facts.minorFaults = stat.minorFaults
    facts.majorFaults = stat.majorFaults
    return facts
  }

  /// Arguments joined by blanks. Longer ones than the limit are cut: read that much and no more.
  private func commandLine(_ directory: borrowing OpenFile, _ pid: Int32) throws(PlatformError) -> String {
    let file: OpenFile
    do throws(PlatformError) { file = try openPath("cmdline", in: directory, O_RDONLY | O_NONBLOCK) } catch {
      if error.code == .notPermitted { return "" }
      throw error
    }
    var bytes = try positionedBytes(
      file.descriptor, at: 0, upTo: Self.commandLineLimit, "read \(root)/\(pid)/cmdline")
    while bytes.last == 0 { bytes.removeLast() }
    let line = printable(bytes.map { $0 == 0 ? 0x20 : $0 })
    guard line.utf8.count > Self.commandLineLimit else { return line }
    // Escapes made it longer; cut between characters.
    var cut = line.utf8.index(line.utf8.startIndex, offsetBy: Self.commandLineLimit)
    while cut > line.startIndex, cut.samePosition(in: line.unicodeScalars) == nil { cut = line.utf8.index(before: cut) }
    return String(line.unicodeScalars[..<cut])
  }

  /// Target of the exe link, without the kernel's mark of a deleted file; nil when it may not be read or there is none.
  private func executable(_ directory: borrowing OpenFile, _ pid: Int32) -> [UInt8]? {
    guard let target = try? linkTarget("exe", in: directory.descriptor) else { return nil }
    guard target.count > MappingName.deletedSuffix.count,
      target.suffix(MappingName.deletedSuffix.count).elementsEqual(MappingName.deletedSuffix)
    else { return target }
    var status = Glibc.stat()
    guard fstatat(directory.descriptor, "exe", &status, 0) == 0 else { return target }
    if isThere(target, inode: UInt64(status.st_ino), pid) { return target }
    return Array(target.dropLast(MappingName.deletedSuffix.count))
  }
}
