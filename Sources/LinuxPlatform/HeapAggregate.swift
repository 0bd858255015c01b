import Glibc
import Model

extension HeapSums {
  /// A sampled allocation of `size` bytes whose countdown was drawn with this mean.
  mutating func add(size: UInt64, mean: UInt64) {
    add(bytes: Double(size), probability: -expm1(-Double(size) / Double(mean)))
  }
}

/// Samples added up by their stacks, within bounds.
struct HeapAggregate {
  /// Stacks told apart, and frames in them altogether: 16 MiB. What is beyond is summed up.
  static let stackLimit = 32_768
  static let frameLimit = 2 << 20
  /// Samples remembered between two looks at which of them are live: twice what the table of live samples holds.
  static let sampleLimit = 131_072

  private struct Key: Hashable {
    var frames: [CodeLocation]
    var isComplete: Bool
  }
  private struct Sampled {
    /// Nil: beyond the limit.
    var stack: Int?
    var size: UInt64
    var mean: UInt64
  }
  struct Stack {
    var frames: [CodeLocation]
    var isComplete: Bool
    var allocated = HeapSums()
    var live = HeapSums()
  }

  private(set) var stacks: [Stack] = []
  private(set) var allocatedBeyondLimit = HeapSums()
  private var indexOfStack: [Key: Int] = [:]
  private var frameCount = 0
  private var samples: [UInt64: Sampled] = [:]

  /// True when it is time for `keep(only:)`.
  var isFull: Bool { samples.count >= Self.sampleLimit }

  mutating func add(id: UInt64, size: UInt64, mean: UInt64, _ unwound: UnwoundStack) {
    let index = index(of: unwound)
    if let index {
      stacks[index].allocated.add(size: size, mean: mean)
    } else {
      allocatedBeyondLimit.add(size: size, mean: mean)
    }
    // A liar may use an id twice: the first stays.
    if !isFull, samples[id] == nil { samples[id] = Sampled(stack: index, size: size, mean: mean) }
  }

  private mutating func index(of unwound: UnwoundStack) -> Int? {
    let key = Key(frames: unwound.frames, isComplete: unwound.isComplete)
    if let known = indexOfStack[key] { return known }
    guard stacks.count < Self.stackLimit, frameCount + unwound.frames.count <= Self.frameLimit else { return nil }
    frameCount += unwound.frames.count
    stacks.append(Stack(frames: unwound.frames, isComplete: unwound.isComplete))
    indexOfStack[key] = stacks.count - 1
    return stacks.count - 1
  }

  /// Forgets samples that are live no more.
  mutating func keep(only live: [HeapSegment.Live]) {
    let ids = Set(live.map(\.id))
    samples = samples.filter { ids.contains($0.key) }
  }

  /// Adds up what is live; what has no stack is returned.
  mutating func addLive(_ live: [HeapSegment.Live]) -> (withoutStack: HeapSums, beyondLimit: HeapSums) {
    var withoutStack = HeapSums()
    var beyondLimit = HeapSums()
    for entry in live {
      guard let sample = samples[entry.id] else {
        withoutStack.add(size: entry.bytes, mean: entry.mean)
        continue
      }
      if let stack = sample.stack {
        stacks[stack].live.add(size: sample.size, mean: sample.mean)
      } else {
        beyondLimit.add(size: sample.size, mean: sample.mean)
      }
    }
    return (withoutStack, beyondLimit)
  }
}
