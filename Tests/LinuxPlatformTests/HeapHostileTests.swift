import CAgentABI
import CLinux
import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

/// SplitMix64, so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Every byte of a profile's memory, of a stack and of a file may be a lie: nothing may trap, hang or grow.
@Suite struct HeapHostileTests {
  static let size = 4096 + Int(MLOS_HEAP_LIVE_CAPACITY) * 32 + Int(MLOS_HEAP_RING_CAPACITY) * 32_936

  private func agentsView(_ segment: HeapSegment) throws -> UnsafeMutableRawPointer {
    let address = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, segment.descriptor, 0)
    return try #require(address)
  }

  @Test("The memory can neither shrink nor grow, and its layout is the header's") func sealed() throws {
    let segment = try HeapSegment(mean: 524_288, rate: 1_000, deadline: 1)
    #expect(ftruncate(segment.descriptor, 4096) != 0)
    #expect(ftruncate(segment.descriptor, 1 << 30) != 0)
    var status = stat()
    #expect(fstat(segment.descriptor, &status) == 0)
    #expect(Int(status.st_size) >= Self.size && Int(status.st_size) < Self.size + 4096)
    let header = segment.header()
    #expect(header.mean == 524_288 && header.rate == 1_000 && header.state == MLOS_HEAP_NEW.rawValue)
  }

  @Test("Noise in the ring and the table is taken in bounded steps", arguments: 0..<20) func noise(seed: Int) throws {
    var random = SeededGenerator(state: UInt64(seed))
    let segment = try HeapSegment(mean: 524_288, rate: 1_000, deadline: .max)
    let view = try agentsView(segment)
    defer { munmap(view, Self.size) }
    for offset in stride(from: 4096, to: Self.size - 8, by: 8) where random.next() & 3 == 0 {
      view.storeBytes(of: random.next() >> (random.next() & 63), toByteOffset: offset, as: UInt64.self)
    }
    // Every record says it is ready.
    let ring = 4096 + Int(MLOS_HEAP_LIVE_CAPACITY) * 32
    for index in 0..<Int(MLOS_HEAP_RING_CAPACITY) {
      view.storeBytes(of: UInt64(index + 1), toByteOffset: ring + index * 32_936, as: UInt64.self)
    }
    let unwinder = StackUnwinder(map: CodeMap(pid: getpid()))
    var aggregate = HeapAggregate()
    var taken = 0
    drain: while taken < 1_000 {
      switch segment.take() {
      case .nothing: break drain
      case .refused: taken += 1
      case .sample(let sample):
        taken += 1
        aggregate.add(id: sample.id, size: sample.bytes, mean: sample.mean, unwinder.unwind(sample.stack))
      }
    }
    #expect(taken == Int(MLOS_HEAP_RING_CAPACITY))
    let live = segment.live()
    #expect(live.count <= Int(MLOS_HEAP_LIVE_CAPACITY))
    let sums = aggregate.addLive(live)
    #expect(sums.withoutStack.bytes.isFinite && sums.withoutStack.bytesVariance.isFinite)
  }

  @Test("Stacks of real addresses in false places end", arguments: 0..<20) func stacks(seed: Int) throws {
    var random = SeededGenerator(state: UInt64(1_000 + seed))
    let map = CodeMap(pid: getpid())
    let unwinder = StackUnwinder(map: map)
    let code = try ProcFS().codeMappings(of: getpid())
    for _ in 0..<50 {
      let base: UInt64 = 0x7FFF_0000_0000
      var words: [UInt64] = []
      for _ in 0..<4_096 {
        let span = code[Int(random.next() % UInt64(code.count))]
        switch random.next() % 4 {
        case 0: words.append(random.next())
        case 1: words.append(base + random.next() % 32_768)
        default: words.append(span.start + random.next() % (span.end - span.start))
        }
      }
      let bytes = words.flatMap { word in withUnsafeBytes(of: word) { Array($0) } }
      var registers: [Int: UInt64] = [:]
      for number in StackUnwinder.savedRegisters { registers[number] = base + random.next() % 32_768 }
      let copy = StackCopy(programCounter: words[1], stackPointer: base, registers: registers, stack: bytes[...])
      #expect(unwinder.unwind(copy).frames.count <= StackUnwinder.frameLimit)
    }
  }

  @Test("Damaged unwind tables and symbols give wrong answers or none, and end", arguments: 0..<6) func files(seed: Int) throws {
    var random = SeededGenerator(state: UInt64(2_000 + seed))
    let path = try #require(UnwindTableTests.library("libm.so.6"))
    let original = try RootDirectory(path: "/").contents(Array(path.utf8), limit: 64 << 20)
    let intact = try UnwindTableTests.image(path)
    let header = try #require(intact.unwindHeader.flatMap { intact.offset(ofAddress: $0.address) })
    let tree = TemporaryTree()
    var damaged = original
    // Headers, the table and what follows it.
    for _ in 0..<3_000 {
      let place = random.next() % 3 == 0 ? Int(random.next() % 4_096) + 64 : Int(header) + Int(random.next() % 120_000)
      if place < damaged.count { damaged[place] = UInt8(truncatingIfNeeded: random.next()) }
    }
    if seed % 3 == 2 { damaged.removeLast(damaged.count / 2) }
    tree.write("damaged", damaged)
    guard let image = try? UnwindTableTests.image("\(tree.path)/damaged") else { return }
    let table = UnwindTable(image: image)
    for _ in 0..<3_000 { _ = table.row(at: random.next() % 0x10_0000) }
    _ = SymbolFinder.functions(image, at: (0..<1_000).map { UInt64($0) * 900 })
    _ = SymbolFinder.debugPaths(image, path: Array("/lib/libm.so.6".utf8))
  }

  @Test("A file that becomes shorter while it is read gives nothing, not a fault") func shortened() throws {
    let path = try #require(UnwindTableTests.library("libm.so.6"))
    let tree = TemporaryTree()
    tree.write("lib", try RootDirectory(path: "/").contents(Array(path.utf8), limit: 64 << 20))
    let image = try UnwindTableTests.image("\(tree.path)/lib")
    #expect(truncate("\(tree.path)/lib", 4096) == 0)
    #expect(UnwindTable(image: image).row(at: 0x10000) == nil)
    #expect(SymbolFinder.functions(image, at: [0x10000]).isEmpty)
  }

  @Test("Stacks and samples beyond the limits are summed up, not kept") func bounds() {
    var aggregate = HeapAggregate()
    for index in 0..<(HeapAggregate.stackLimit + 100) {
      let frames = [CodeLocation(image: 0, address: UInt64(index))]
      aggregate.add(id: UInt64(index + 1), size: 1 << 30, mean: 1, UnwoundStack(frames: frames, isComplete: true))
    }
    #expect(aggregate.stacks.count == HeapAggregate.stackLimit)
    #expect(aggregate.allocatedBeyondLimit.samples == 100)
    let live = aggregate.addLive(
      (1...200).map { HeapSegment.Live(id: UInt64(HeapAggregate.stackLimit - 100 + $0), bytes: 1, mean: 1) })
    #expect(live.beyondLimit.samples == 100 && live.withoutStack.samples == 0)
  }
}

/// The intervals hold what they promise.
@Suite struct HeapSumsTests {
  @Test(
    "About 95 of 100 intervals hold the truth",
    arguments: [
      (mean: 524_288, sizes: [64], count: 400_000), (mean: 524_288, sizes: [100_000], count: 100),
      (mean: 524_288, sizes: [512, 65_536, 4 << 20], count: 300), (mean: 65_536, sizes: [1_000], count: 3_000),
    ])
  func coverage(mean: Int, sizes: [Int], count: Int) {
    var random = SeededGenerator(state: 7)
    var held = 0
    var sum = 0.0
    let trials = 400
    let truth = Double(sizes.reduce(0, +) * count)
    for _ in 0..<trials {
      var sums = HeapSums()
      var countdown = -log(Double.random(in: Double.leastNonzeroMagnitude..<1, using: &random)) * Double(mean)
      for size in sizes {
        var left = count
        while left > 0 {
          // As many as the countdown lets pass, at once.
          let passing = min(left, Int(countdown / Double(size)))
          countdown -= Double(passing * size)
          left -= passing
          guard left > 0 else { break }
          sums.add(size: UInt64(size), mean: UInt64(mean))
          left -= 1
          countdown = -log(Double.random(in: Double.leastNonzeroMagnitude..<1, using: &random)) * Double(mean)
        }
      }
      sum += sums.bytes
      if let interval = sums.interval, interval.low <= truth, truth <= interval.high { held += 1 }
    }
    // 95 % of 400 is 380; five binomial deviations below are 358.
    #expect(held >= 358, "\(held) of \(trials)")
    // Without bias: within 2 % over all trials.
    #expect(abs(sum / Double(trials) / truth - 1) < 0.02, "\(sum / Double(trials)) for \(truth)")
  }

  @Test("Without a sample nothing is claimed; certain samples are exact") func edges() {
    #expect(HeapSums().interval == nil)
    var sums = HeapSums()
    sums.add(bytes: 1e9, probability: 1)
    #expect(sums.interval.map { [$0.low, $0.high] } == [1e9, 1e9])
    sums.add(bytes: 100, probability: 1e-4)
    let interval = sums.interval
    #expect(interval != nil && interval!.low < sums.bytes && interval!.high > sums.bytes && interval!.high.isFinite)
  }
}
