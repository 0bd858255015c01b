import Model

/// Joins one reading of smaps with the agent's module table: which object each mapping belongs to, what nobody owns.
struct Inventory {
  struct Object {
    var file: FileReference
    var usage = MemoryUsage()
    /// Clean pages of segments that are not written to: of this process alone, and its share of all.
    var droppable = (alone: Bytes.zero, together: Bytes.zero)
    /// Mapped with execute permission, or listed by the agent: a module rather than a data file.
    var isModule = false
    var start: UInt64
    /// What the agent lists of it: more than one when it is loaded in several namespaces.
    var agents: [AgentModule] = []
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
      if mapping.isDroppable {
        objects[index].droppable.alone += mapping.usage.privateClean
        objects[index].droppable.together += mapping.usage.proportional
      }
      objects[index].start = min(objects[index].start, mapping.start)
      if mapping.permissions.contains(.execute) { objects[index].isModule = true }
    }
    objects.sort { ($0.start, $0.file.inode) < ($1.start, $1.file.inode) }
    for (index, object) in objects.enumerated() { indexOfFile[object.file] = index }
    let starts = mappings.compactMap { mapping -> (start: UInt64, object: Int)? in
      guard case .file(let file) = mapping.backing, let index = indexOfFile[file] else { return nil }
      return (mapping.start, index)
    }.sorted { $0.start < $1.start }
    var objectOfModule: [UInt32: Int] = [:]
    for module in loaded {
      guard let index = objectIndex(of: module, starts) else { continue }
      objects[index].agents.append(module)
      objects[index].isModule = true
      objectOfModule[module.id] = index
    }
    // A module's zero-initialised data continues its last segment as anonymous memory inside the module's range.
    for mapping in anonymous {
      if let owner = Self.owner(of: mapping, among: loaded), let index = objectOfModule[owner.id] {
        objects[index].usage += mapping.usage
      } else {
        remainder += mapping.usage
      }
    }
    unloaded = agentModules.filter { !$0.isLoaded }.sorted { (($0.unload ?? 0), $0.id) < (($1.unload ?? 0), $1.id) }
  }

  /// The object of a mapping that starts inside the module's range; the path decides between several.
  private func objectIndex(of module: AgentModule, _ starts: [(start: UInt64, object: Int)]) -> Int? {
    let first = Self.firstIndex(in: starts) { $0.start >= module.mapStart }
    var fallback: Int?
    for (start, index) in starts[first...].prefix(Self.mappingsOfModule) {
      guard start < module.mapEnd else { break }
      if objects[index].file.path == module.path { return index }
      if fallback == nil { fallback = index }
    }
    return fallback
  }

  /// - Parameter modules: By start; the loader gives each a range of its own.
  private static func owner(of mapping: Mapping, among modules: [AgentModule]) -> AgentModule? {
    guard case .anonymous(let label) = mapping.backing, label.isEmpty else { return nil }
    let after = firstIndex(in: modules) { $0.mapStart > mapping.start }
    guard after > 0, mapping.end <= modules[after - 1].mapEnd else { return nil }
    return modules[after - 1]
  }

  /// The first of the elements for which `isBehind` holds; those before it come first.
  private static func firstIndex<Element>(in sorted: [Element], _ isBehind: (borrowing Element) -> Bool) -> Int {
    var low = 0
    var high = sorted.count
    while low < high {
      let middle = (low + high) / 2
      if isBehind(sorted[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// Mappings of a module that are looked at for its path: it has five or six, and a table that lies claims them all.
  private static let mappingsOfModule = 64

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
