import CAgentABI
import CLinux
import Glibc
import Model

/// An agent's shared-memory segment, mapped read-only. Everything in it is hostile input: each index, length and offset is
/// checked against this version's layout, not against what the header says, and nothing read can trap.
///
/// Threading: `report`, `counters` and `events` may be called from one thread at a time; the agent writes meanwhile.
public final class AgentSegment: @unchecked Sendable {
  /// Why a descriptor was not taken as a segment.
  public enum Refusal: Error, Hashable, Sendable {
    case notSealed
    case wrongSize(UInt64)
    case wrongMagic
    case wrongVersion(UInt32)
    case wrongLayout
    case mapFailed(Int32)

    /// For the log.
    public var description: String {
      switch self {
      case .notSealed: "descriptor is no memfd sealed against shrinking"
      case .wrongSize(let size): "segment is \(size) bytes instead of \(layout.segmentSize)"
      case .wrongMagic: "segment does not begin with the magic"
      case .wrongVersion(let version): "segment has ABI version \(version), this supervisor speaks \(MLOS_ABI_VERSION)"
      case .wrongLayout: "segment's offsets are not those of ABI version \(MLOS_ABI_VERSION)"
      case .mapFailed(let code): "segment cannot be mapped, errno \(code)"
      }
    }
  }

  /// Device and inode of the memfd, to find it in the process's maps.
  public let inode: UInt64
  public let segmentSize: Int
  private let base: UnsafeRawPointer

  /// Maps the segment. Does not take over the descriptor: the caller closes it.
  public init(descriptor: Int32) throws(Refusal) {
    let seals = mlos_linux_get_seals(descriptor)
    guard seals >= 0, seals & mlos_linux_seal_shrink() != 0 else { throw .notSealed }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .mapFailed(errno) }
    guard status.st_size == Int(layout.segmentSize) else { throw .wrongSize(UInt64(max(0, status.st_size))) }
    let address = mmap(nil, Int(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0)
    guard let address, address != MAP_FAILED else { throw .mapFailed(errno) }
    base = UnsafeRawPointer(address)
    segmentSize = Int(status.st_size)
    inode = UInt64(status.st_ino)
    let header = base.load(as: mlos_header.self)
    if let refusal = Self.check(header) {
      munmap(address, segmentSize)
      throw refusal
    }
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: base), segmentSize) }

  private static func check(_ header: mlos_header) -> Refusal? {
    guard header.magic == layout.magic else { return .wrongMagic }
    guard header.abi_version == MLOS_ABI_VERSION else { return .wrongVersion(header.abi_version) }
    let matches =
      header.segment_size == layout.segmentSize
      && header.slots_offset == layout.slotsOffset && header.slot_size == MemoryLayout<mlos_slot>.stride
      && header.slots_capacity == MLOS_SLOT_CAPACITY
      && header.modules_offset == layout.modulesOffset && header.module_size == MemoryLayout<mlos_module>.stride
      && header.modules_capacity == MLOS_MODULE_CAPACITY
      && header.events_offset == layout.eventsOffset && header.event_size == MemoryLayout<mlos_event>.stride
      && header.events_capacity == MLOS_EVENT_CAPACITY
      && header.strings_offset == layout.stringsOffset && header.strings_size == layout.stringsSize
    return matches ? nil : .wrongLayout
  }

  /// Copies the header once, so that no field is read twice with different values.
  private func header() -> mlos_header { base.load(as: mlos_header.self) }

  /// Commands beyond the first version's that the agent knows.
  public var abilities: AgentAbilities {
    let capabilities = header().capabilities
    var abilities: AgentAbilities = []
    if capabilities & MLOS_CAPABILITY_HEAP_PROFILE.rawValue != 0 { abilities.insert(.heapProfile) }
    if capabilities & MLOS_CAPABILITY_RECLAIM.rawValue != 0 { abilities.insert(.reclaim) }
    if capabilities & MLOS_CAPABILITY_MODULE_CACHE.rawValue != 0 { abilities.insert(.moduleCache) }
    if capabilities & MLOS_CAPABILITY_CALLBACKS.rawValue != 0 { abilities.insert(.callbacks) }
    return abilities
  }

  /// A thread of the agent's runs in the process: it answers at once. Without one an idle program answers nothing.
  public var hasControlThread: Bool { header().control_thread != 0 }

  /// Closed libraries that the agent keeps at most; nil when it knows no such thing.
  public var cacheLimit: Int? {
    let header = header()
    return header.capabilities & MLOS_CAPABILITY_MODULE_CACHE.rawValue == 0 ? nil : Int(header.cache_limit)
  }

  /// The process as it numbers itself; the agent's word.
  public var ownerPID: UInt32 { header().pid }

  /// Sums over the threads' counters, without the module table.
  public func heap() -> HeapCounters {
    sum(header())
  }

  private func sum(_ header: mlos_header) -> HeapCounters {
    var heap = HeapCounters()
    heap.allocations = header.base_allocations &+ header.overflow.allocations
    heap.frees = header.base_frees &+ header.overflow.frees
    var bytesIn = header.base_bytes_allocated &+ header.overflow.bytes_allocated
    var bytesOut = header.base_bytes_freed &+ header.overflow.bytes_freed
    let used = min(Int(header.slots_used), Int(MLOS_SLOT_CAPACITY))
    let slots = (base + Int(layout.slotsOffset)).assumingMemoryBound(to: mlos_slot.self)
    // Frees first: a free that is counted here has its allocation counted below, so a reading of a running program is never
    // below what is live by more than what moved meanwhile.
    for index in 0..<used {
      heap.frees &+= slots[index].frees
      bytesOut &+= slots[index].bytes_freed
    }
    for index in 0..<used {
      heap.allocations &+= slots[index].allocations
      bytesIn &+= slots[index].bytes_allocated
    }
    heap.bytesAllocated = Bytes(bytesIn)
    heap.bytesFreed = Bytes(bytesOut)
    heap.isApproximate = header.base_inexact != 0
    return heap
  }

  /// One whole reading. Nil when the table was being written on every try: ask again later.
  public func report() -> AgentReport? {
    for _ in 0..<Self.tableTries {
      let before = mlos_linux_load_acquire_64(base + layout.sequenceOffset)
      guard before & 1 == 0 else { continue }
      let header = header()
      let (modules, refused) = readModules(header)
      mlos_linux_read_fence()
      guard mlos_linux_load_acquire_64(base + layout.sequenceOffset) == before else { continue }
      return AgentReport(
        state: state(header.state), reason: reason(header.reason), version: text(of: header),
        allocator: allocator(header.allocator),
        heap: sum(header), controlThread: header.control_thread == 0 ? nil : Int32(truncatingIfNeeded: header.control_thread),
        dlopenCalls: header.dlopen_calls &+ header.dlmopen_calls, dlcloseCalls: header.dlclose_calls, forks: header.forks,
        wakeups: header.wakeups, modules: modules, modulesDropped: Self.sum(header.modules_dropped, refused),
        eventsHead: header.events_head, otherNamespaces: Self.otherNamespaces(header.name_spaces))
    }
    return nil
  }

  private static func otherNamespaces(_ raw: UInt32) -> AgentReport.OtherNamespaces {
    switch raw {
    case MLOS_NAMESPACES_BASE_ONLY.rawValue: .none
    case MLOS_NAMESPACES_LISTED.rawValue: .listed
    default: .notListed
    }
  }

  /// State, heap and the number of loaded modules.
  public func summary() -> AgentSummary {
    let header = header()
    let rows = (base + Int(layout.modulesOffset)).assumingMemoryBound(to: mlos_module.self)
    // As they are listed: by files, so that one that two namespaces have counts once, and the kernel's vdso not at all.
    var loaded = 0
    var hasOthers = false
    for index in 0..<min(Int(header.modules_count), Int(MLOS_MODULE_CAPACITY))
    where rows[index].state == MLOS_MODULE_LOADED.rawValue && rows[index].flags & MLOS_MODULE_VIRTUAL.rawValue == 0 {
      if rows[index].name_space == 0 { loaded += 1 } else { hasOthers = true }
    }
    if hasOthers { loaded = Self.files(rows, min(Int(header.modules_count), Int(MLOS_MODULE_CAPACITY))) }
    return AgentSummary(
      state: state(header.state), reason: reason(header.reason), allocator: allocator(header.allocator), heap: sum(header),
      modulesLoaded: loaded, modulesDropped: header.modules_dropped, busyRegions: header.busy_regions)
  }

  private static func sum(_ one: UInt64, _ other: UInt64) -> UInt64 {
    let (sum, overflow) = one.addingReportingOverflow(other)
    return overflow ? .max : sum
  }

  /// How many files the loaded entries stand for.
  private static func files(_ rows: UnsafePointer<mlos_module>, _ count: Int) -> Int {
    var seen: Set<[UInt64]> = []
    var unknown = 0
    for index in 0..<count {
      let row = rows[index]
      guard row.state == MLOS_MODULE_LOADED.rawValue, row.flags & MLOS_MODULE_VIRTUAL.rawValue == 0 else { continue }
      if row.flags & MLOS_MODULE_NO_IDENTITY.rawValue == 0 { seen.insert([row.device, row.inode]) } else { unknown += 1 }
    }
    return seen.count + unknown
  }

  /// A table is rewritten in microseconds; a writer that is never done is broken or hostile.
  private static let tableTries = 64

  private func readModules(_ header: mlos_header) -> ([AgentModule], refused: UInt64) {
    let count = min(Int(header.modules_count), Int(MLOS_MODULE_CAPACITY))
    // A count beyond the table is one claim that is refused, not four billion entries.
    var refused: UInt64 = header.modules_count > MLOS_MODULE_CAPACITY ? 1 : 0
    // Rows that all point at the same 4 KiB would make 16 MiB of 1 MiB.
    var pathBytes = 2 * Int(layout.stringsSize)
    let rows = (base + Int(layout.modulesOffset)).assumingMemoryBound(to: mlos_module.self)
    var modules: [AgentModule] = []
    modules.reserveCapacity(count)
    for index in 0..<count {
      let row = rows[index]
      guard row.state == MLOS_MODULE_LOADED.rawValue || row.state == MLOS_MODULE_UNLOADED.rawValue else { continue }
      guard Int(row.path_length) <= pathBytes, let module = check(row) else {
        refused += 1
        continue
      }
      pathBytes -= module.path.count
      modules.append(module)
    }
    return (modules, refused)
  }

  /// stat(2)'s device as maps prints it, and with it everything else here: major << 32 | minor. glibc's dev_t has the low bits
  /// of both first (gnu_dev_makedev(3)), which Swift does not import.
  static func device(_ number: UInt64) -> UInt64 {
    let major = (number >> 8) & 0xFFF | (number >> 32) & 0xFFFF_F000
    let minor = number & 0xFF | (number >> 12) & 0xFFFF_FF00
    return major << 32 | minor
  }

  private func check(_ row: mlos_module) -> AgentModule? {
    let offset = UInt64(row.path_offset)
    let length = UInt64(row.path_length)
    guard length <= UInt64(MLOS_PATH_MAX), offset + length <= layout.stringsSize else { return nil }
    guard row.build_id_length <= UInt32(MLOS_BUILD_ID_MAX), row.map_start <= row.map_end else { return nil }
    let path = UnsafeRawBufferPointer(start: base + Int(UInt64(layout.stringsOffset) + offset), count: Int(length))
    let buildID = withUnsafeBytes(of: row.build_id) { Array($0.prefix(Int(row.build_id_length))) }
    let identified = row.flags & MLOS_MODULE_NO_IDENTITY.rawValue == 0
    var module = AgentModule(
      id: row.id, isLoaded: row.state == MLOS_MODULE_LOADED.rawValue, path: Array(path),
      device: identified ? Self.device(row.device) : nil, inode: identified ? row.inode : nil, buildID: buildID,
      loadAddress: row.load_address, mapStart: row.map_start, mapEnd: row.map_end, dlopenCount: row.dlopen_count,
      dlcloseCount: row.dlclose_count, firstLoad: row.first_load_ns, lastLoad: row.last_load_ns,
      unload: row.unload_ns == 0 ? nil : row.unload_ns, nameSpace: row.name_space,
      wasThereAtStart: row.flags & MLOS_MODULE_AT_START.rawValue != 0,
      isMain: row.flags & MLOS_MODULE_MAIN.rawValue != 0)
    module.isKept = module.isLoaded && row.flags & MLOS_MODULE_CLOSED.rawValue != 0
    return module
  }

  /// Events from `index` on that are still in the ring.
  /// - Returns: the events in order, the index to ask for next, and how many in between were overwritten or never finished.
  public func events(from index: UInt64) -> (events: [AgentEvent], next: UInt64, lost: UInt64) {
    let head = mlos_linux_load_acquire_64(base + layout.eventsHeadOffset)
    // A head that went backwards is a lie or a new segment: start over from it.
    guard head > index else { return ([], head, 0) }
    let capacity = UInt64(MLOS_EVENT_CAPACITY)
    let first = head - index > capacity ? head - capacity : index
    var lost = first - index
    var events: [AgentEvent] = []
    events.reserveCapacity(Int(head - first))
    for position in first..<head {
      let place = base + Int(layout.eventsOffset) + Int(position % capacity) * MemoryLayout<mlos_event>.stride
      guard mlos_linux_load_acquire_64(place) == position &+ 1 else {
        lost += 1
        continue
      }
      let entry = place.load(as: mlos_event.self)
      mlos_linux_read_fence()
      guard mlos_linux_load_acquire_64(place) == position &+ 1, let kind = Self.kind(entry.kind) else {
        lost += 1
        continue
      }
      let text = withUnsafeBytes(of: entry.text) { Array($0.prefix(min(Int(entry.text_length), Int(MLOS_EVENT_TEXT_MAX)))) }
      events.append(
        AgentEvent(
          index: position, time: entry.time_ns, kind: kind, thread: Int32(truncatingIfNeeded: entry.tid),
          module: entry.module == 0 ? nil : entry.module, argument: entry.argument, text: text,
          // The length is that of what is there: a longer name fills the field.
          isTextCut: entry.text_length >= MLOS_EVENT_TEXT_MAX))
    }
    return (events, head, lost)
  }

  private static func kind(_ raw: UInt32) -> AgentEvent.Kind? {
    switch raw {
    case MLOS_EVENT_DLOPEN.rawValue: .dlopen
    case MLOS_EVENT_LOADED.rawValue: .loaded
    case MLOS_EVENT_DLCLOSE.rawValue: .dlclose
    case MLOS_EVENT_UNLOADED.rawValue: .unloaded
    case MLOS_EVENT_KEPT.rawValue: .kept
    case MLOS_EVENT_FORK.rawValue: .fork
    case MLOS_EVENT_EXEC.rawValue: .exec
    case MLOS_EVENT_STATE.rawValue: .state
    default: nil
    }
  }
}

/// Offsets that Swift's importer cannot fold from the header's macros; `_Static_assert`ed there by the types' sizes.
private enum layout {
  static let magic: UInt64 = 0x3147_4553_5F53_4F4C
  static let slotsOffset: UInt32 = 4096
  static let modulesOffset = slotsOffset + UInt32(MLOS_SLOT_CAPACITY) * UInt32(MemoryLayout<mlos_slot>.stride)
  static let eventsOffset = modulesOffset + UInt32(MLOS_MODULE_CAPACITY) * UInt32(MemoryLayout<mlos_module>.stride)
  static let stringsOffset = eventsOffset + UInt32(MLOS_EVENT_CAPACITY) * UInt32(MemoryLayout<mlos_event>.stride)
  static let stringsSize: UInt64 = 1024 * 1024
  static let segmentSize = UInt64(stringsOffset) + stringsSize
  static let sequenceOffset = MemoryLayout<mlos_header>.offset(of: \mlos_header.modules_sequence)!
  static let eventsHeadOffset = MemoryLayout<mlos_header>.offset(of: \mlos_header.events_head)!
}

private func state(_ raw: UInt32) -> AgentReport.State {
  switch raw {
  case MLOS_STATE_STARTING.rawValue: .starting
  case MLOS_STATE_ACTIVE.rawValue: .active
  case MLOS_STATE_LOADER_ONLY.rawValue: .loaderOnly
  case MLOS_STATE_INERT.rawValue: .inert
  default: .invalid
  }
}

private func reason(_ raw: UInt32) -> String? {
  switch raw {
  case MLOS_REASON_NONE.rawValue: nil
  case MLOS_REASON_MIXED_ALLOCATOR.rawValue: "mixed-allocator"
  case MLOS_REASON_SANITIZER.rawValue: "sanitizer"
  case MLOS_REASON_VALGRIND.rawValue: "valgrind"
  case MLOS_REASON_SECURE.rawValue: "secure-execution"
  case MLOS_REASON_NO_MEMORY.rawValue: "no-memory"
  case MLOS_REASON_SELF_CHECK.rawValue: "self-check"
  case MLOS_REASON_SECCOMP.rawValue: "seccomp"
  case MLOS_REASON_DESCRIPTOR_CLOSED.rawValue: "descriptor-closed"
  case MLOS_REASON_DISABLED.rawValue: "disabled"
  case MLOS_REASON_SUPERVISOR_REFUSED.rawValue: "supervisor-refused"
  default: "invalid"
  }
}

private func allocator(_ raw: UInt32) -> String {
  switch raw {
  case MLOS_ALLOCATOR_GLIBC.rawValue: "glibc"
  case MLOS_ALLOCATOR_JEMALLOC.rawValue: "jemalloc"
  case MLOS_ALLOCATOR_TCMALLOC.rawValue: "tcmalloc"
  case MLOS_ALLOCATOR_MIMALLOC.rawValue: "mimalloc"
  case MLOS_ALLOCATOR_OTHER.rawValue: "other"
  default: "unknown"
  }
}

private func text(of header: mlos_header) -> String {
  withUnsafeBytes(of: header.agent_version) { bytes in printable(bytes.prefix { $0 != 0 }) }
}
