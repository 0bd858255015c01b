import CAgentABI
import CFuzz
import Glibc
import Model

@testable import LinuxPlatform
@testable import Supervised

/// The memory of a heap profile, and a process that writes into it what the input says, between any two steps of the reader:
/// header, table of live samples, ring records with their stacks. Then what was read goes all the way to packages.
final class HeapStage: @unchecked Sendable {
  static let shared = HeapStage()

  private let segment: HeapSegment
  private let view: UnsafeMutableRawPointer
  /// The library that the process maps; its functions call each other.
  private let library: [UInt8]
  /// Index that the segment reads next: it goes on from input to input, so the input counts from here.
  private var next: UInt64 = 0

  private init() {
    guard let segment = try? HeapSegment(mean: 524_288, rate: 1_000, deadline: .max),
      let view = fuzz_heap_view(segment.descriptor)
    else { fatalError("no memory for a profile, errno \(errno)") }
    self.segment = segment
    self.view = view
    library =
      SmallElf(
        common: SmallElf.usualCommon,
        programs: [
          // A leaf; one that pushes rbp; one that keeps it as the frame; one whose return address is not known.
          [], [0x41, 0x0E, 16, 0x86, 2], [0x41, 0x0E, 16, 0x86, 2, 0x43, 0x0D, 6], [0x07, 16],
        ],
        symbols: [
          ("main", 0x1000, 0x400), ("_ZN5numpy3addIdEEvT_", 0x1400, 0x200), ("_ZN5numpy3addIfEEvT_", 0x1600, 0x200),
        ]
      ).bytes()
  }

  func read(_ input: [UInt8]) {
    var pieces = Pieces(input)
    var touched: Set<UInt64> = []
    var rows: Set<UInt64> = []
    let header = Array(UnsafeRawBufferPointer(start: view, count: 4096))
    let map = MappedProcess.map(library)
    let unwinder = StackUnwinder(map: map)
    var aggregate = HeapAggregate()
    while !pieces.isAtEnd {
      switch pieces.byte() % 6 {
      case 0: writeHeader(&pieces)
      case 1:
        let place = pieces.number(2)
        rows.insert(place)
        fuzz_heap_live(view, place, pieces.address(), pieces.number(1), pieces.address(), pieces.address())
      case 2, 3: touched.insert(writeRecord(&pieces))
      case 4: _ = take(unwinder, &aggregate)
      default: aggregate.keep(only: segment.live())
      }
    }
    var refused: UInt64 = 0
    drain: for _ in 0...Int(MLOS_HEAP_RING_CAPACITY) {
      switch take(unwinder, &aggregate) {
      case .nothing: break drain
      case .refused: refused += 1
      case .sample: continue
      }
    }
    finish(map, &aggregate, refused)
    // Back to an empty segment.
    header.withUnsafeBytes { view.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    for place in rows { fuzz_heap_live(view, place, 0, 0, 0, 0) }
    // The capacity is a power of two: the difference is right when it wraps.
    for place in touched { fuzz_heap_free(view, place, next + (place &- next) % UInt64(MLOS_HEAP_RING_CAPACITY)) }
  }

  private func writeHeader(_ pieces: inout Pieces) {
    let offset = Int(pieces.number(2) % 4096)
    let bytes = pieces.short().prefix(4096 - offset)
    bytes.withUnsafeBytes { if let start = $0.baseAddress { (view + offset).copyMemory(from: start, byteCount: $0.count) } }
  }

  /// - Returns: Its place in the ring.
  private func writeRecord(_ pieces: inout Pieces) -> UInt64 {
    let index = next + UInt64(pieces.byte())
    let isReady = pieces.byte()
    let sequence = isReady < 200 ? index + 1 : pieces.number(8)
    var sample = fuzz_sample()
    sample.id = pieces.number(1)
    sample.bytes = pieces.address()
    sample.mean = pieces.address()
    sample.pc = pieces.address()
    sample.sp = pieces.address()
    let saved = (0..<12).map { $0 < 6 ? pieces.address() : 0 }
    let words = (0..<Int(pieces.byte() % 64)).map { _ in pieces.address() }
    let claimed = pieces.byte()
    sample.stack_bytes = claimed < 200 ? UInt32(words.count * 8) : UInt32(truncatingIfNeeded: pieces.number(4))
    fuzz_heap_record(view, index, sequence, &sample, saved, words, words.count)
    return index % UInt64(MLOS_HEAP_RING_CAPACITY)
  }

  private func take(_ unwinder: StackUnwinder, _ aggregate: inout HeapAggregate) -> HeapSegment.Taken {
    let taken = segment.take()
    if case .nothing = taken { return taken }
    next += 1
    if case .sample(let sample) = taken {
      aggregate.add(id: sample.id, size: sample.bytes, mean: sample.mean, unwinder.unwind(sample.stack))
    }
    return taken
  }

  private func finish(_ map: CodeMap, _ aggregate: inout HeapAggregate, _ refused: UInt64) {
    var record = HeapRecord()
    (record.liveWithoutStack, record.liveBeyondLimit) = aggregate.addLive(segment.live())
    record.allocatedBeyondLimit = aggregate.allocatedBeyondLimit
    let header = segment.header()
    record.samples = header.samples
    record.refused = refused
    HeapNaming(map: map, pid: MappedProcess.pid).fill(&record, aggregate.stacks)
    let attribution = HeapAttribution(record, packages: [:])
    for stack in attribution.stacks { for frame in stack.frames { consume(attribution.frames[frame].package) } }
    for figures in attribution.packages.map(\.own) + [attribution.total, attribution.withoutStack] {
      for sums in [figures.live, figures.allocated] {
        precondition(sums.bytes.isFinite && sums.bytesVariance.isFinite && sums.objects.isFinite)
        if let (low, high) = sums.interval { precondition(low <= high && low >= 0 && high.isFinite) }
      }
    }
  }
}
