import Model

/// The heap of a process that uses glibc's malloc and has an agent that counts.
public struct HeapObservation: Hashable, Sendable {
  public var process: ProcessIdentity
  public var processName: String
  public var heap: HeapCounters
  public var mappings: [Mapping]
  /// Names of packages in it.
  public var packages: [String]

  public init(process: ProcessIdentity, processName: String, heap: HeapCounters, mappings: [Mapping], packages: [String]) {
    self.process = process
    self.processName = processName
    self.heap = heap
    self.mappings = mappings
    self.packages = packages
  }
}

/// Where glibc's malloc keeps what is smaller than its mmap threshold.
public enum GlibcHeaps {
  /// HEAP_MAX_SIZE of malloc/arena.c on 64-bit machines: an arena begins at a multiple of it.
  static let arena: UInt64 = 64 << 20

  /// Resident in the heap of the program break and in arenas. Everything else that is anonymous belongs to others (Python's own
  /// arenas, stacks) or goes by itself when it is freed (blocks with a mapping of their own).
  ///
  /// An arena that has grown to its full size looks like any other mapping and is left out: this is never too much.
  public static func resident(_ mappings: [Mapping]) -> Bytes {
    var sum = Bytes.zero
    for (index, mapping) in mappings.enumerated() {
      guard case .anonymous(let label) = mapping.backing else { continue }
      if label == "heap" || (index + 1 < mappings.count && isArena(mapping, label, before: mappings[index + 1])) {
        sum += mapping.usage.resident
      }
    }
    return sum
  }

  /// What live blocks take there at most, each with its header; nil when the counts cannot be.
  ///
  /// - Parameter mapped: Of blocks with a mapping of their own, which are among the live ones and do not lie there.
  public static func taken(by heap: HeapCounters, mapped: Bytes = .zero) -> Bytes? {
    let blocks = heap.allocations >= heap.frees ? heap.allocations - heap.frees : 0
    let (headers, isTooMuch) = blocks.multipliedReportingOverflow(by: header)
    return isTooMuch ? nil : heap.live + Bytes(headers) - mapped
  }

  /// A chunk's header on a 64-bit machine (malloc/malloc.c), which the live bytes do not have.
  static let header: UInt64 = 8

  /// What it uses can be written; the rest of its 64 MiB is reserved behind it, without any right.
  private static func isArena(_ mapping: Mapping, _ label: String, before next: Mapping) -> Bool {
    guard label.isEmpty || label.hasPrefix("anon: glibc: malloc"), mapping.permissions == [.read, .write],
      mapping.start % arena == 0, mapping.end > mapping.start, mapping.end - mapping.start < arena,
      case .anonymous = next.backing
    else { return false }
    return next.permissions.isEmpty && next.start == mapping.end && next.end - mapping.start >= arena
  }
}

enum HeapAdvice {
  /// 16 MiB: less is not worth the page faults of growing again.
  static let leastFree = Bytes.mebibytes(16)
  /// A quarter of what the heaps hold: some of it is always free between blocks.
  static let leastShare = 0.25
  /// Packages whose resident memory a threshold of 128 KiB is measured to lower.
  static let profiled = ["onnxruntime", "tensorflow"]

  static func free(_ observation: HeapObservation) -> FreeHeap? {
    guard let taken = GlibcHeaps.taken(by: observation.heap) else { return nil }
    let found = FreeHeap(
      process: observation.process, processName: observation.processName, resident: GlibcHeaps.resident(observation.mappings),
      live: taken,
      profiled: profiled.filter { name in observation.packages.contains { $0 == name || $0.hasPrefix("\(name)-") } })
    guard found.free >= leastFree, Double(found.free.count) >= leastShare * Double(found.resident.count) else { return nil }
    return found
  }
}
