import CAgentABI
import CLinux
import Glibc
import Model

/// Finds the processes that have the agent in them, connected or not: those started before the supervisor, and those that
/// a supervisor before it lost, have no reason of their own to speak up while they are idle.
public struct AgentDiscovery: Sendable {
  /// A process with the agent in it.
  public struct Found: Sendable {
    public var pid: Int32
    /// Its segment, where it had been given a memfd and we may open it; nil for one that never met a supervisor.
    public var segment: AgentSegment?
  }

  private static let library = Array("/libmlosagent.so".utf8)
  private static let memfd = "/memfd:mlos-agent"
  /// maps of a process with thousands of mappings; the library stands near the program's own.
  private static let mapsLimit = 4 << 20

  private let proc: ProcFS
  private let root: String
  private let socket: String
  private let isDefaultSocket: Bool

  /// - Parameters:
  ///   - socket: The agents' socket that is served: agents told to report to another one are another supervisor's.
  ///   - isDefaultSocket: It is also where agents report that were told nothing.
  public init(socket: String, isDefaultSocket: Bool, root: String = "/proc") {
    proc = ProcFS(root: root)
    self.root = root
    self.socket = socket
    self.isDefaultSocket = isDefaultSocket
  }

  /// Looks at every process this user may read, except `known`. Reads one file a process.
  public func find(except known: Set<Int32>) -> [Found] {
    guard let pids = try? proc.pids() else { return [] }
    return pids.sorted().compactMap { pid in
      guard !known.contains(pid), hasAgent(pid), reportsHere(pid) else { return nil }
      return Found(pid: pid, segment: segment(of: pid))
    }
  }

  private func hasAgent(_ pid: Int32) -> Bool {
    guard let maps = try? proc.wholeFile("maps", of: pid, limit: Self.mapsLimit) else { return false }
    return maps.split(separator: UInt8(ascii: "\n")).contains { line in
      // An upgrade replaces the file under the programs that run.
      let deleted = line.suffix(MappingName.deletedSuffix.count).elementsEqual(MappingName.deletedSuffix)
      let name = deleted ? line.dropLast(MappingName.deletedSuffix.count) : line
      return name.suffix(Self.library.count).elementsEqual(Self.library)
    }
  }

  private func reportsHere(_ pid: Int32) -> Bool {
    guard let environment = try? proc.wholeFile("environ", of: pid, limit: Self.mapsLimit) else { return false }
    let key = Array("MLOS_SOCKET=".utf8)
    let told = environment.split(separator: 0).first { $0.starts(with: key) }?.dropFirst(key.count)
    guard let told, !told.isEmpty else { return isDefaultSocket }
    return told.elementsEqual(socket.utf8)
  }

  /// The memfd the agent keeps for a next supervisor, among its high descriptors. A forked child that has not used it yet
  /// still holds its parent's: the header says whose it is.
  private func segment(of pid: Int32) -> AgentSegment? {
    guard let numbers = try? proc.descriptorNumbers(of: pid) else { return nil }
    for number in numbers.sorted(by: >) {
      let path = "\(root)/\(pid)/fd/\(number)"
      var target = [UInt8](repeating: 0, count: 64)
      let length = readlink(path, &target, target.count)
      guard length > 0, String(decoding: target.prefix(length), as: UTF8.self).hasPrefix(Self.memfd) else { continue }
      // The name is the process's to choose, in a mount namespace of its own: behind it may be a FIFO that would hold us up.
      guard let handle = try? openPath(path, MLOS_O_PATH), let file = try? reopen(handle, path) else { continue }
      if let segment = try? AgentSegment(descriptor: file.descriptor), proc.isOwnNumber(segment.ownerPID, of: pid) {
        return segment
      }
    }
    return nil
  }
}

extension ProcFS {
  fileprivate func wholeFile(_ name: String, of pid: Int32, limit: Int) throws(PlatformError) -> [UInt8] {
    let directory = try directory(of: pid)
    return try contents(name, directory, pid, limit: limit, expected: 1 << 16)
  }

  fileprivate func descriptorNumbers(of pid: Int32) throws(PlatformError) -> [Int32] {
    let path = "\(root)/\(pid)/fd"
    return try directoryNames(openPath(path, O_RDONLY | O_DIRECTORY), limit: 1_000_000, "list \(path)").compactMap {
      Int32(String(decoding: $0, as: UTF8.self))
    }
  }

  /// Whether a process that calls itself `number` is `pid`: they differ in another PID namespace.
  fileprivate func isOwnNumber(_ number: UInt32, of pid: Int32) -> Bool {
    guard let status = try? wholeFile("status", of: pid, limit: ProcFS.smallLimit) else { return false }
    let key = Array("NSpid:".utf8)
    let line = status.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: key) }
    let last = line?.split(whereSeparator: { $0 == 9 || $0 == 32 }).last.map { String(decoding: $0, as: UTF8.self) }
    return UInt32(last ?? "\(pid)") == number
  }
}
