import CAgentABI
import CLinux
import Glibc
import Model

/// The shared memory of one heap profile, made here, filled by an agent. After the agent was told of it everything in it is
/// hostile: numbers are clamped, records are copied before they are looked at, and nothing read decides how long anything
/// takes. For one thread, but for `endSampling`.
final class HeapSegment: @unchecked Sendable {
  /// One sample as the agent wrote it, clamped.
  struct Sample {
    var id: UInt64
    var bytes: UInt64
    var mean: UInt64
    var stack: StackCopy
  }
  enum Taken {
    case nothing
    /// It made no sense.
    case refused
    case sample(Sample)
  }
  struct Live {
    var id: UInt64
    var bytes: UInt64
    var mean: UInt64
  }

  let descriptor: Int32
  private let base: UnsafeMutableRawPointer
  private let scratch: UnsafeMutableRawPointer
  private var next: UInt64 = 0

  /// No block is larger than the address space, no mean larger than the agent makes it.
  static let sizeLimit: UInt64 = 1 << 47
  static let meanLimit: UInt64 = 1 << 44

  /// - Parameter deadline: CLOCK_MONOTONIC nanoseconds; the agent stops by itself with the first sample after it.
  init(mean: UInt64, rate: UInt32, deadline: UInt64) throws(PlatformError) {
    let descriptor = try retryingCall("memfd_create") { mlos_linux_sealed_memfd("mlos-heap", layout.size) }
    let address = mmap(nil, layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let address, address != MAP_FAILED else {
      let code = errno
      close(descriptor)
      throw PlatformError(.failed, errno: code, context: "map a heap profile")
    }
    self.descriptor = descriptor
    base = address
    scratch = .allocate(byteCount: layout.recordSize, alignment: 16)
    var header = mlos_heap_header()
    header.magic = layout.magic
    header.version = MLOS_HEAP_VERSION
    header.header_size = UInt32(MemoryLayout<mlos_heap_header>.size)
    header.segment_size = UInt64(layout.size)
    header.live_offset = UInt32(layout.liveOffset)
    header.live_size = UInt32(layout.liveSize)
    header.live_capacity = MLOS_HEAP_LIVE_CAPACITY
    header.ring_offset = UInt32(layout.ringOffset)
    header.record_size = UInt32(layout.recordSize)
    header.ring_capacity = MLOS_HEAP_RING_CAPACITY
    header.mean = mean
    header.rate = rate
    header.deadline_ns = deadline
    base.storeBytes(of: header, as: mlos_heap_header.self)
    for index in 0..<UInt64(MLOS_HEAP_RING_CAPACITY) { mlos_linux_store_release_64(place(index), index) }
  }

  deinit {
    munmap(base, layout.size)
    close(descriptor)
    scratch.deallocate()
  }

  /// One copy of the header, so that no field is read twice with different values.
  func header() -> mlos_heap_header { base.load(as: mlos_heap_header.self) }

  /// Ends sampling without a word: the next sample finds its time over. What is freed is still noted.
  func endSampling() { mlos_linux_store_release_64(base + layout.deadlineOffset, 0) }

  private func place(_ index: UInt64) -> UnsafeMutableRawPointer {
    base + layout.ringOffset + Int(index % UInt64(MLOS_HEAP_RING_CAPACITY)) * layout.recordSize
  }

  /// The next record that is ready, if any. Its place is given back at once.
  func take() -> Taken {
    let place = place(next)
    guard mlos_linux_load_acquire_64(place) == next &+ 1 else { return .nothing }
    scratch.copyMemory(from: place, byteCount: layout.recordSize)
    mlos_linux_store_release_64(place, next &+ UInt64(MLOS_HEAP_RING_CAPACITY))
    next &+= 1
    return decode().map { .sample($0) } ?? .refused
  }

  private func decode() -> Sample? {
    func word(_ index: Int) -> UInt64 { scratch.load(fromByteOffset: layout.wordsOffset + index * 8, as: UInt64.self) }
    let (id, bytes, mean) = (word(0), word(1), word(2))
    let filled = Int(scratch.load(fromByteOffset: layout.filledOffset, as: UInt32.self))
    guard id > 0, bytes > 0, bytes <= Self.sizeLimit, mean > 0, mean <= Self.meanLimit, filled <= Int(MLOS_HEAP_STACK_BYTES)
    else {
      return nil
    }
    let stack = UnsafeRawBufferPointer(start: scratch + layout.stackOffset, count: filled)
    let first = (layout.pcOffset - layout.wordsOffset) / 8
    var registers: [Int: UInt64] = [:]
    for (index, number) in StackUnwinder.savedRegisters.enumerated() { registers[number] = word(first + 2 + index) }
    return Sample(
      id: id, bytes: bytes, mean: mean,
      stack: StackCopy(programCounter: word(first), stackPointer: word(first + 1), registers: registers, stack: Array(stack)[...])
    )
  }

  /// Every live sample the table holds now, each id once.
  func live() -> [Live] {
    var seen: Set<UInt64> = []
    var rows: [Live] = []
    for index in 0..<Int(MLOS_HEAP_LIVE_CAPACITY) {
      let row = base + layout.liveOffset + index * layout.liveSize
      let address = mlos_linux_load_acquire_64(row)
      guard address > 1 else { continue }
      let entry = row.load(as: mlos_heap_live.self)
      mlos_linux_read_fence()
      // Freed, and perhaps another's, while it was read.
      guard mlos_linux_load_acquire_64(row) == address else { continue }
      guard entry.id > 0, entry.bytes > 0, entry.bytes <= Self.sizeLimit, entry.mean > 0, entry.mean <= Self.meanLimit else {
        continue
      }
      if seen.insert(entry.id).inserted { rows.append(Live(id: entry.id, bytes: entry.bytes, mean: entry.mean)) }
    }
    return rows
  }
}

/// What Swift's importer cannot fold from the header's macros; the sizes are asserted there.
private enum layout {
  static let magic: UInt64 = 0x3150_4145_4853_534F
  static let liveOffset = 4096
  static let liveSize = MemoryLayout<mlos_heap_live>.stride
  static let ringOffset = liveOffset + Int(MLOS_HEAP_LIVE_CAPACITY) * liveSize
  static let stackOffset = 168
  static let recordSize = stackOffset + Int(MLOS_HEAP_STACK_BYTES)
  static let size = (ringOffset + Int(MLOS_HEAP_RING_CAPACITY) * recordSize + 4095) & ~4095
  static let deadlineOffset = MemoryLayout<mlos_heap_header>.offset(of: \mlos_heap_header.deadline_ns)!
  /// id, bytes, mean, time, tid and filled, pc, sp, saved.
  static let wordsOffset = 8
  static let filledOffset = 44
  static let pcOffset = 48
}
