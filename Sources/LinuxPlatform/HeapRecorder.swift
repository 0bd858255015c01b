import CAgentABI
import CLinux
import Glibc
import Model
import Synchronization

/// Records one heap profile of one process: makes its segment and, on a thread of its own, takes the samples out of it five
/// times a second, finds their callers and adds them up.
public final class HeapRecorder: Sendable {
  /// 200 ms: the ring holds a quarter of a second's samples at the highest rate.
  static let pause: Int32 = 200
  /// 50 ms of every 200: a process that floods the ring costs a quarter of a processor, and loses the rest of its samples.
  static let budget: UInt64 = 50_000_000
  /// 2 s for what is left at the end: some ten times what a full ring takes.
  static let lastBudget: UInt64 = 2_000_000_000
  /// 150 ms that the last sample of a round may take over the round's budget, for files that are read for the first time. Where
  /// it is not enough the sample's stack is incomplete.
  static let grace: UInt64 = 150_000_000
  /// 20 s for the names: half of the time that a client waits for them.
  static let namingBudget: UInt64 = 20_000_000_000

  private struct State {
    var isEnding = false
    var samples: UInt64 = 0
    var began: UInt64?
    var completion: (@Sendable (HeapRecord) -> Void)?
  }
  private let segment: HeapSegment
  private let pid: Int32
  private let state = Mutex(State())
  private let wakeup: Int32

  /// - Parameters:
  ///   - mean: Bytes between two samples to begin with.
  ///   - rate: Samples a second at most.
  ///   - deadline: CLOCK_MONOTONIC nanoseconds after which the agent stops by itself.
  public init(pid: Int32, mean: UInt64, rate: UInt32, deadline: UInt64) throws(PlatformError) {
    self.pid = pid
    segment = try HeapSegment(mean: mean, rate: rate, deadline: deadline)
    wakeup = try retryingCall("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
    let context = Unmanaged.passRetained(self).toOpaque()
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { context in
        mlos_linux_name_thread("heap-profile")
        Unmanaged<HeapRecorder>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context)
    guard code == 0 else {
      Unmanaged<HeapRecorder>.fromOpaque(context).release()
      throw PlatformError(.failed, errno: code, context: "start a thread")
    }
    pthread_detach(thread)
  }

  deinit { close(wakeup) }

  /// The memfd for the agent; valid as long as this object lives.
  public var descriptor: Int32 { segment.descriptor }

  /// Samples taken so far, by the agent's word, and when it began.
  public var progress: (samples: UInt64, began: UInt64?) { state.withLock { ($0.samples, $0.began) } }

  /// Ends the profile. `completion` is called once, on the recorder's thread, after the last samples and the names are in.
  public func finish(_ completion: @escaping @Sendable (HeapRecord) -> Void) {
    state.withLock { state in
      state.isEnding = true
      state.completion = completion
    }
    var one: UInt64 = 1
    _ = write(wakeup, &one, 8)
  }

  private func run() {
    let unwinder = StackUnwinder(map: CodeMap(pid: pid))
    var aggregate = HeapAggregate()
    var refused: UInt64 = 0
    while !state.withLock({ $0.isEnding }) {
      drain(unwinder, &aggregate, &refused, budget: Self.budget)
      note()
      var event = pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0)
      _ = poll(&event, 1, Self.pause)
    }
    segment.endSampling()
    drain(unwinder, &aggregate, &refused, budget: Self.lastBudget)
    let record = record(unwinder.map, &aggregate, refused)
    let completion = state.withLock { state in
      defer { state.completion = nil }
      return state.completion
    }
    completion?(record)
  }

  private func drain(
    _ unwinder: StackUnwinder, _ aggregate: inout HeapAggregate, _ refused: inout UInt64, budget: UInt64
  ) {
    let limit = monotonicTime() + budget
    unwinder.map.beginRound()
    while true {
      switch segment.take() {
      case .nothing: return
      case .refused: refused &+= 1
      case .sample(let sample):
        if aggregate.isFull { aggregate.keep(only: segment.live()) }
        let stack = unwinder.unwind(sample.stack) { monotonicTime() < limit + Self.grace }
        aggregate.add(id: sample.id, size: sample.bytes, mean: sample.mean, stack)
      }
      if monotonicTime() > limit { return }
    }
  }

  private func note() {
    let header = segment.header()
    state.withLock { state in
      state.samples = header.samples
      if header.state != MLOS_HEAP_NEW.rawValue { state.began = header.started_ns }
    }
  }

  private func record(_ map: CodeMap, _ aggregate: inout HeapAggregate, _ refused: UInt64) -> HeapRecord {
    let header = segment.header()
    var record = HeapRecord()
    (record.liveWithoutStack, record.liveBeyondLimit) = aggregate.addLive(segment.live())
    record.allocatedBeyondLimit = aggregate.allocatedBeyondLimit
    record.hasBegun = header.state != MLOS_HEAP_NEW.rawValue
    record.end = Self.end(header)
    record.began = record.hasBegun ? header.started_ns : nil
    record.ended = header.state == MLOS_HEAP_ENDED.rawValue ? header.ended_ns : nil
    record.countersAtStart.allocations = header.sums_at_start.0
    record.countersAtStart.frees = header.sums_at_start.1
    record.countersAtStart.bytesAllocated = Bytes(header.sums_at_start.2)
    record.countersAtStart.bytesFreed = Bytes(header.sums_at_start.3)
    record.mean = header.mean
    record.largestMean = header.mean &<< UInt64(min(header.doublings_max, 24))
    record.samples = header.samples
    record.throttled = header.throttled
    record.stacksLost = header.ring_lost
    record.liveLost = header.live_lost
    record.refused = refused
    let limit = monotonicTime() + Self.namingBudget
    HeapNaming(map: map, pid: pid) { monotonicTime() < limit }.fill(&record, aggregate.stacks)
    return record
  }

  private static func end(_ header: mlos_heap_header) -> HeapEnd {
    guard header.state == MLOS_HEAP_ENDED.rawValue else { return .none }
    switch header.end_reason {
    case MLOS_HEAP_END_STOPPED.rawValue: return .stopped
    case MLOS_HEAP_END_DEADLINE.rawValue: return .deadline
    case MLOS_HEAP_END_FILTER.rawValue: return .filter
    case MLOS_HEAP_END_NOT_COUNTING.rawValue: return .notCounting
    case MLOS_HEAP_END_DISCONNECTED.rawValue: return .disconnected
    default: return .unknown
    }
  }
}

/// CLOCK_MONOTONIC nanoseconds.
func monotonicTime() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Gives the places in stacks their files and functions.
struct HeapNaming {
  let map: CodeMap
  let pid: Int32
  /// Asked before every table that is read: what is left when the time is over has addresses and no names.
  var mayGoOn: () -> Bool = { true }

  private struct Function: Hashable {
    var image: Int?
    var start: UInt64
  }

  /// Frames are functions, not addresses: two calls out of one function are one frame, and stacks that differ in no more are
  /// one stack.
  func fill(_ record: inout HeapRecord, _ stacks: [HeapAggregate.Stack]) {
    let symbols = symbols(stacks)
    var indexOfFrame: [Function: Int] = [:]
    var indexOfStack: [[Int]: Int] = [:]
    for stack in stacks {
      let frames = stack.frames.map { location -> Int in
        let symbol = location.image.flatMap { symbols[$0]?[location.address] }
        let key = Function(image: location.image, start: symbol?.address ?? entry(location) ?? location.address)
        if let known = indexOfFrame[key] { return known }
        record.frames.append(
          HeapFrame(file: location.image.map { map.images[$0].file }, address: key.start, function: symbol?.name))
        indexOfFrame[key] = record.frames.count - 1
        return record.frames.count - 1
      }
      // A last number tells complete stacks from others.
      let key = frames + [stack.isComplete ? -1 : -2]
      let index: Int
      if let known = indexOfStack[key] {
        index = known
      } else {
        index = record.stacks.count
        indexOfStack[key] = index
        record.stacks.append(HeapStack(frames: frames, isComplete: stack.isComplete))
      }
      record.stacks[index].allocated += stack.allocated
      record.stacks[index].live += stack.live
    }
  }

  /// Where the code's entry in the unwind table begins.
  private func entry(_ location: CodeLocation) -> UInt64? {
    guard let image = location.image, mayGoOn() else { return nil }
    return map.images[image].table?.row(at: location.address)?.start
  }

  private func symbols(_ stacks: [HeapAggregate.Stack]) -> [Int: [UInt64: SymbolFinder.Symbol]] {
    var addresses: [Int: Set<UInt64>] = [:]
    for stack in stacks {
      for location in stack.frames { if let image = location.image { addresses[image, default: []].insert(location.address) } }
    }
    var result: [Int: [UInt64: SymbolFinder.Symbol]] = [:]
    for (index, wanted) in addresses.sorted(by: { $0.key < $1.key }) {
      guard let elf = map.images[index].elf, mayGoOn() else { continue }
      var found = SymbolFinder.functions(elf, at: wanted.sorted())
      let missing = wanted.filter { found[$0] == nil }
      if !missing.isEmpty, let separate = separate(elf, map.images[index].file.path) {
        found.merge(SymbolFinder.functions(separate, at: missing.sorted())) { first, _ in first }
      }
      result[index] = found
    }
    return result
  }

  /// The file with the symbols that were stripped off this one; it must carry the same build ID.
  private func separate(_ elf: ElfImage, _ path: [UInt8]) -> ElfImage? {
    let identity = SymbolFinder.buildID(elf)
    for candidate in SymbolFinder.debugPaths(elf, path: path) {
      guard let file = try? ProcFS().openFile(of: pid, path: candidate),
        let image = try? ElfImage(file: file, number: .max, cache: BlockCache()), SymbolFinder.buildID(image) == identity
      else { continue }
      return image
    }
    return nil
  }
}
