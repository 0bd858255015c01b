import Model

/// Whether memory is to be given back for want of it, and how much: three watermarks with hysteresis.
///
/// It opens at once beyond the critical mark, at once when something waits for memory and the level is high, and when the
/// threshold was held for its time. It closes at the target, below the threshold.
struct PressureGate: Hashable {
  /// A tenth of the time: less is the noise of a machine that works.
  static let stallShare = 0.1

  private(set) var isOpen = false
  /// Since when the threshold is passed without a break.
  private(set) var aboveSince: Instant?

  /// - Returns: What is to be given back now; zero when nothing is.
  mutating func update(_ memory: MemoryPressure?, _ settings: UnloadingSettings, at now: Instant) -> Bytes {
    guard let memory, memory.limit > .zero, settings.enableMemoryPressureUnloading else {
      self = PressureGate()
      return .zero
    }
    let share = memory.share
    if share >= settings.memoryPressureThreshold {
      aboveSince = aboveSince.map { min($0, now) } ?? now
    } else {
      aboveSince = nil
    }
    let isStalled = memory.level >= .high && (memory.stall ?? 0) >= Self.stallShare && share > settings.memoryPressureTarget
    let isHeld = aboveSince.map { now.seconds(since: $0) >= settings.memoryPressureTimeoutSeconds } ?? false
    if share > settings.memoryPressureCritical || isStalled || isHeld {
      isOpen = true
    } else if share <= settings.memoryPressureTarget {
      isOpen = false
    }
    let target = Bytes(UInt64(max(0, settings.memoryPressureTarget) * Double(memory.limit.count)))
    let excess = isOpen ? memory.used - target : .zero
    // What a load waits for does not wait for any mark.
    let missing = memory.wanted == .zero ? .zero : memory.used + memory.wanted - memory.limit
    return max(excess, missing)
  }
}
