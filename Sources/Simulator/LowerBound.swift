import Model

/// Reload seconds that no schedule undercuts, whatever it knows of the future. Two bounds, each proved for its own class of schedules.
///
/// Between two uses a unit is idle. A schedule either keeps it through that gap, and holds its bytes for all of it, or reloads it
/// afterwards, and pays its reload seconds; each gap is independent of the others but for the memory. Both bounds relax this:
/// gaps may be kept in part, and what a unit needs need not stay with it. With few and large units parts help much, and the bounds
/// are loose; with dozens of units they are close to what knowing the future achieves.
public struct LowerBound: Sendable {
  struct Gap: Hashable {
    var unit: Int
    /// Neither end belongs to it: there the unit is in use.
    var start: Double
    var end: Double
    var bytes: Double
    var cost: Double
  }

  let gaps: [Gap]
  /// What a schedule that reloads after every gap pays.
  public let allReloadSeconds: Double
  /// Bytes held in use, which every schedule that serves all uses here holds.
  public let inUseByteSeconds: Double
  private let trace: Trace
  /// When each unit is in use, apart from each other.
  private let inUse: [[(start: Double, end: Double)]]

  public init(_ trace: Trace) {
    self.trace = trace
    let closures = trace.closures
    var inUse = Array(repeating: [(start: Double, end: Double)](), count: trace.units.count)
    for event in trace.events {
      for unit in closures[event.unit] {
        // A load that a use waits for makes the use longer; leaving that out makes the bound lower, never wrong.
        let end = min(event.time + event.busy, trace.header.duration)
        if let last = inUse[unit].last, event.time <= last.end {
          inUse[unit][inUse[unit].count - 1].end = max(last.end, end)
        } else {
          inUse[unit].append((event.time, end))
        }
      }
    }
    var gaps: [Gap] = []
    var held = 0.0
    for (unit, periods) in inUse.enumerated() {
      let bytes = Double(trace.units[unit].bytes.count)
      for (index, period) in periods.enumerated() {
        held += bytes * (period.end - period.start)
        guard index > 0 else { continue }
        let cost = trace.units[unit].reloadSeconds
        gaps.append(Gap(unit: unit, start: periods[index - 1].end, end: period.start, bytes: bytes, cost: cost))
      }
    }
    self.inUse = inUse
    self.gaps = gaps
    inUseByteSeconds = held
    allReloadSeconds = gaps.reduce(0) { $0 + $1.cost }
  }

  /// No schedule that holds `byteSeconds` over the whole trace, with any limit or none, pays less.
  ///
  /// Proof: bytes x length of the gaps it keeps is at most what it holds beyond the uses, so the costs it saves are at most the
  /// optimum of that knapsack, and this is at most the optimum with fractions: the gaps in order of cost / (bytes x length).
  public func reloadSeconds(holding byteSeconds: Double) -> Double {
    var budget = max(byteSeconds - inUseByteSeconds, 0)
    var saved = 0.0
    for gap in gapsByDensity {
      let size = gap.bytes * (gap.end - gap.start)
      guard size <= budget else {
        saved += size > 0 ? gap.cost * budget / size : 0
        break
      }
      budget -= size
      saved += gap.cost
    }
    return max(allReloadSeconds - saved, 0)
  }

  private var gapsByDensity: [Gap] {
    gaps.sorted {
      let left = $0.cost * $1.bytes * ($1.end - $1.start)
      let right = $1.cost * $0.bytes * ($0.end - $0.start)
      return left != right ? left > right : ($0.start, $0.unit) < ($1.start, $1.unit)
    }
  }

  /// No schedule that is never over the limit where the uses alone are not pays less.
  ///
  /// Proof: at any moment the kept gaps' bytes are at most the limit less the bytes in use: linear constraints. By weak duality any
  /// price l(t) >= 0 for memory bounds the saving by  sum l(t) room(t) + sum over gaps max(0, cost - bytes x sum of l in the gap),
  /// since  sum saved <= sum (cost - bytes x price) x + sum of price x memory. The prices come from subgradient steps and only decide
  /// how close the bound is, not whether it holds.
  ///
  /// - Parameter achieved: What some schedule within the limit pays; steers the length of the steps.
  public func reloadSeconds(limit: Bytes, achieved: Double, steps: Int = 400) -> Double {
    guard !gaps.isEmpty else { return 0 }
    let line = Timeline(gaps: gaps, inUse: inUse, trace: trace, limit: limit)
    var prices = Array(repeating: 0.0, count: line.room.count)
    var best = 0.0
    var pace = 1.0
    var stale = 0
    for _ in 0..<steps {
      let (saving, slope) = line.evaluate(prices)
      let bound = allReloadSeconds - saving
      if bound > best {
        best = bound
        stale = 0
      } else {
        stale += 1
        if stale == 10 {
          pace /= 2
          stale = 0
        }
      }
      let norm = slope.reduce(0) { $0 + $1 * $1 }
      let distance = max(achieved, best) * 1.01 - bound
      guard norm > 0, distance > 0, pace > 1e-4 else { break }
      let step = pace * distance / norm
      for index in prices.indices { prices[index] = max(0, prices[index] + step * slope[index]) }
    }
    // For the rounding of the sums.
    return max(0, best - 1e-9 * allReloadSeconds)
  }
}

/// Moments at which uses begin and end, and the spans between them: 2k is the k-th moment, 2k + 1 the span after it.
private struct Timeline {
  /// In shares of the limit, as the weights are: prices of bytes would be tiny numbers.
  let room: [Double]
  private let spans: [(first: Int, end: Int, weight: Double, cost: Double)]

  init(gaps: [LowerBound.Gap], inUse: [[(start: Double, end: Double)]], trace: Trace, limit: Bytes) {
    var times = gaps.flatMap { [$0.start, $0.end] }
    for periods in inUse { for period in periods { times += [period.start, period.end] } }
    times.sort()
    var moments: [Double] = []
    for time in times where moments.last != time { moments.append(time) }
    let index = Dictionary(uniqueKeysWithValues: moments.enumerated().map { ($1, $0) })
    func position(_ time: Double) -> Int { index[time] ?? 0 }

    let scale = 1 / Double(max(limit.count, 1))
    var change = Array(repeating: 0.0, count: 2 * moments.count + 1)
    for (unit, periods) in inUse.enumerated() {
      let weight = Double(trace.units[unit].bytes.count) * scale
      for period in periods where period.end > period.start {
        // Without its two ends: another use at the very moment may come before or after.
        change[2 * position(period.start) + 1] += weight
        change[2 * position(period.end)] -= weight
      }
    }
    var used = 0.0
    var usedAt: [Double] = []
    for index in 0..<2 * moments.count {
      used += change[index]
      usedAt.append(used)
    }
    // At a moment at least one use takes place at a time, beside those that go on. Units of its own that go on are not added twice.
    let closures = trace.closures
    var extra: [Int: Double] = [:]
    for event in trace.events {
      let at = position(event.time)
      let bytes = closures[event.unit].reduce(0.0) { sum, unit in
        let goesOn = inUse[unit].contains(strictlyAround: event.time)
        return goesOn ? sum : sum + Double(trace.units[unit].bytes.count) * scale
      }
      extra[at] = max(extra[at] ?? 0, bytes)
    }
    for (at, bytes) in extra { usedAt[2 * at] += bytes }
    room = usedAt.map { max(0, 1 - $0) }
    let least = RangeMinimum(room)
    spans = gaps.compactMap { gap in
      let (first, end) = (2 * position(gap.start) + 1, 2 * position(gap.end))
      let weight = gap.bytes * scale
      // What does not fit somewhere along its gap is kept by nobody; the margin is for the rounding of sums.
      guard weight <= least.minimum(first..<end) + 1e-9 else { return nil }
      return (first, end, weight, gap.cost)
    }
  }

  /// The most that can be saved at these prices, and how the bound changes with each price.
  func evaluate(_ prices: [Double]) -> (saving: Double, slope: [Double]) {
    var sums = [0.0]
    sums.reserveCapacity(prices.count + 1)
    var sum = 0.0
    var saving = 0.0
    for (price, room) in zip(prices, room) {
      sum += price
      sums.append(sum)
      saving += price * room
    }
    var change = Array(repeating: 0.0, count: prices.count + 1)
    for span in spans {
      let gain = span.cost - span.weight * (sums[span.end] - sums[span.first])
      guard gain > 0 else { continue }
      saving += gain
      change[span.first] += span.weight
      change[span.end] -= span.weight
    }
    var kept = 0.0
    var slope = room.map { -$0 }
    for index in slope.indices {
      kept += change[index]
      slope[index] += kept
    }
    return (saving, slope)
  }
}

/// The least of any part of a row, after n log n preparation.
private struct RangeMinimum {
  /// Level k holds the minima of 2^k values from each place on.
  private var levels: [[Double]]

  init(_ values: [Double]) {
    levels = [values]
    var width = 1
    while let last = levels.last, last.count > width {
      levels.append((0..<last.count - width).map { min(last[$0], last[$0 + width]) })
      width *= 2
    }
  }

  /// - Precondition: Not empty, and within the row.
  func minimum(_ range: Range<Int>) -> Double {
    let level = Int.bitWidth - 1 - range.count.leadingZeroBitCount
    return min(levels[level][range.lowerBound], levels[level][range.upperBound - (1 << level)])
  }
}

extension [(start: Double, end: Double)] {
  /// By bisection: the periods are in order and apart.
  fileprivate func contains(strictlyAround time: Double) -> Bool {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].end <= time { low = middle + 1 } else { high = middle }
    }
    return low < count && self[low].start < time
  }
}
