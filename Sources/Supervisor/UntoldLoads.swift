import Model

/// Loads that the agent saw asked for and cannot tell the outcome of. Its hook of dlopen has nothing after the real call, so the
/// table is brought up to date by its thread or by a later allocation; a process that loads its last library before it has a
/// thread and then only waits has neither. /proc shows what came of it.
struct UntoldLoads {
  struct Key: Hashable {
    var inode: UInt64
    var name: [UInt8]

    init(inode: UInt64, path: [UInt8]) {
      self.inode = inode
      name = Array(path[(path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0)...])
    }
  }

  /// 2 s: an agent that can tell has done so by then.
  static let patience: UInt64 = 2_000_000_000
  /// Of one process; more are not remembered.
  static let limit = 1_000

  /// CLOCK_MONOTONIC of the last dlopen that was not followed by a load.
  private(set) var askedAt: UInt64?
  /// Found in /proc, with the time of the dlopen before.
  private(set) var loads: [Key: UInt64] = [:]

  mutating func take(_ event: AgentEvent) {
    switch event.kind {
    case .dlopen: askedAt = event.time
    case .loaded: if let asked = askedAt, event.time >= asked { askedAt = nil }
    default: break
    }
  }

  func isDue(at monotonic: UInt64) -> Bool {
    guard let askedAt else { return false }
    return monotonic >= askedAt && monotonic - askedAt >= Self.patience
  }

  /// The files that are mapped with execute permission and not in the agent's table, each once. Not to be asked again until the
  /// next dlopen.
  mutating func find(in mappings: [Mapping], besides modules: [AgentModule]) -> [(file: FileReference, at: UInt64)] {
    guard let asked = askedAt else { return [] }
    askedAt = nil
    var known = Set(modules.lazy.filter(\.isLoaded).map { Key(inode: $0.inode ?? 0, path: $0.path) })
    var found: [(file: FileReference, at: UInt64)] = []
    for mapping in mappings where mapping.permissions.contains(.execute) {
      guard case .file(let file) = mapping.backing, loads.count < Self.limit else { continue }
      let key = Key(inode: file.inode, path: file.path)
      guard known.insert(key).inserted, loads[key] == nil else { continue }
      loads[key] = asked
      found.append((file, asked))
    }
    return found
  }

  /// The agent tells of it after all. False if it had not been found before.
  mutating func isTold(inode: UInt64, path: [UInt8]) -> Bool { loads.removeValue(forKey: Key(inode: inode, path: path)) != nil }

  func time(of file: FileReference) -> UInt64? { loads.isEmpty ? nil : loads[Key(inode: file.inode, path: file.path)] }
}
