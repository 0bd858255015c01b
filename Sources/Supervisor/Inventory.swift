import Model

/// Joins one reading of smaps with the agent's module table: which object each mapping belongs to, what nobody owns.
struct Inventory {
  struct Object {
    var file: FileReference
    var usage = MemoryUsage()
    /// Mapped with execute permission, or listed by the agent: a module rather than a data file.
    var isModule = false
    var start: UInt64
    var agent: AgentModule?
  }

  /// Objects with a file behind them, by lowest address.
  private(set) var objects: [Object] = []
  /// Modules the agent knows that are no longer mapped, by time of unload.
  private(set) var unloaded: [AgentModule] = []
  /// Everything in smaps.
  private(set) var total = MemoryUsage()
  /// Anonymous and kernel mappings outside any module.
  private(set) var remainder = MemoryUsage()

  init(mappings: [Mapping], agentModules: [AgentModule]) {
    let loaded = agentModules.filter { $0.isLoaded && $0.mapEnd > $0.mapStart }.sorted {
      ($0.mapStart, $0.id) < ($1.mapStart, $1.id)
    }
    var indexOfFile: [FileReference: Int] = [:]
    var anonymous: [Mapping] = []
    for mapping in mappings {
      total += mapping.usage
      guard case .file(let file) = mapping.backing else {
        anonymous.append(mapping)
        continue
      }
      let index: Int
      if let known = indexOfFile[file] {
        index = known
      } else {
        index = objects.count
        indexOfFile[file] = index
        objects.append(Object(file: file, start: mapping.start))
      }
      objects[index].usage += mapping.usage
      objects[index].start = min(objects[index].start, mapping.start)
      if mapping.permissions.contains(.execute) { objects[index].isModule = true }
    }
    objects.sort { ($0.start, $0.file.inode) < ($1.start, $1.file.inode) }
    for module in loaded {
      if let index = objectIndex(covering: module) {
        objects[index].agent = module
        objects[index].isModule = true
      }
    }
    // A module's zero-initialised data continues its last segment as anonymous memory inside the module's range.
    for mapping in anonymous {
      if let owner = Self.owner(of: mapping, among: loaded), let index = objects.firstIndex(where: { $0.agent?.id == owner.id }) {
        objects[index].usage += mapping.usage
      } else {
        remainder += mapping.usage
      }
    }
    unloaded = agentModules.filter { !$0.isLoaded }.sorted { (($0.unload ?? 0), $0.id) < (($1.unload ?? 0), $1.id) }
  }

  /// The object whose lowest mapping starts inside the module's range; the path decides between several.
  private func objectIndex(covering module: AgentModule) -> Int? {
    var fallback: Int?
    for (index, object) in objects.enumerated() where object.start >= module.mapStart && object.start < module.mapEnd {
      if object.file.path == module.path { return index }
      if fallback == nil { fallback = index }
    }
    return fallback
  }

  private static func owner(of mapping: Mapping, among modules: [AgentModule]) -> AgentModule? {
    guard case .anonymous(let label) = mapping.backing, label.isEmpty else { return nil }
    return modules.first { $0.mapStart <= mapping.start && mapping.end <= $0.mapEnd }
  }

  /// Resident pages that files back, over all file mappings.
  var fileBacked: Bytes { objects.reduce(.zero) { $0 + $1.usage.fileBacked } }
}

/// Who names whom in DT_NEEDED, among objects of one process.
struct DependencyGraph {
  /// Indices of the objects that need the object at the index.
  private(set) var dependents: [[Int]]

  /// - Parameter names: for each object its path's last component and its ELF facts, nil where not known.
  init(_ objects: [(baseName: String, elf: ElfFacts?)]) {
    var byName: [String: Int] = [:]
    for (index, object) in objects.enumerated() {
      if let soname = object.elf?.soname, byName[soname] == nil { byName[soname] = index }
    }
    for (index, object) in objects.enumerated() where byName[object.baseName] == nil { byName[object.baseName] = index }
    dependents = Array(repeating: [], count: objects.count)
    for (index, object) in objects.enumerated() {
      for needed in object.elf?.needed ?? [] {
        if let target = byName[needed], target != index, dependents[target].last != index { dependents[target].append(index) }
      }
    }
  }
}

/// Last component of a path, for display and for DT_NEEDED.
func baseName(_ path: [UInt8]) -> String {
  let slash = path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
  return printable(path[slash...])
}
