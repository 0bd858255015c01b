import Model

/// Policies side by side on one trace.
public struct Comparison: Hashable, Sendable {
  /// One policy under one limit.
  public struct Row: Hashable, Sendable {
    public var policy: String
    /// Share of the bytes of all units.
    public var limitShare: Double
    public var limit: Bytes
    public var measures: Measures
    /// Below this no schedule gets that keeps to the limit; nil for a policy that did not, or that sent uses elsewhere.
    public var limitBound: Double?
    /// Below this no schedule gets that holds as many byte-seconds; nil for a policy that sent uses elsewhere.
    public var memoryBound: Double?

    public var bound: Double? {
      guard let memoryBound else { return limitBound }
      return max(memoryBound, limitBound ?? 0)
    }
  }

  /// What a policy needs when it holds, on average, as much memory as the reference did.
  public struct EqualMemory: Hashable, Sendable {
    public var policy: String
    public var limitShare: Double
    public var byteSeconds: Double
    /// Nil where no setting of the policy holds so little or so much.
    public var reloadSeconds: Double?
    /// Between two settings a part of one; nil as above, and for the bound.
    public var reloads: Double?
    /// Time it was over the reference's limit; nil for a policy that was given a limit of its own.
    public var secondsOverLimit: Double?
    public var reference: String
    public var referenceReloadSeconds: Double
    public var referenceReloads: Int
  }

  /// What a policy needs at equal memory, over all limits together.
  public struct EqualMemorySum: Hashable, Sendable {
    public var policy: String
    /// Nil where it is at any of the limits.
    public var reloadSeconds: Double?
    public var reloads: Double?
  }

  /// What is being played, for who waits.
  public struct Progress: Hashable, Sendable {
    public var policy: String
    public var limitShare: Double
    /// Runs that are over, of all that there will be.
    public var done: Int
    public var total: Int

    public init(policy: String, limitShare: Double, done: Int, total: Int) {
      self.policy = policy
      self.limitShare = limitShare
      self.done = done
      self.total = total
    }
  }

  public var source: String
  public var duration: Double
  public var totalBytes: Bytes
  public var rows: [Row]
  public var equalMemory: [EqualMemory]

  /// The reference first, then the others in their order.
  public var equalMemorySums: [EqualMemorySum] {
    guard let reference = equalMemory.first?.reference else { return [] }
    var policies: [String] = []
    for row in equalMemory where !policies.contains(row.policy) { policies.append(row.policy) }
    // Every policy has a row for every limit.
    let own = equalMemory.filter { $0.policy == policies[0] }
    func sum(_ values: [Double?]) -> Double? { values.reduce(0) { sum, value in sum.flatMap { sum in value.map { sum + $0 } } } }
    let first = EqualMemorySum(
      policy: reference, reloadSeconds: own.reduce(0) { $0 + $1.referenceReloadSeconds },
      reloads: own.reduce(0) { $0 + Double($1.referenceReloads) })
    return [first]
      + policies.map { policy in
        let rows = equalMemory.filter { $0.policy == policy }
        return EqualMemorySum(policy: policy, reloadSeconds: sum(rows.map(\.reloadSeconds)), reloads: sum(rows.map(\.reloads)))
      }
  }
}

public enum Simulation {
  /// Limits as shares of all units' bytes.
  public static let defaultLimits = [0.25, 0.5, 0.75]

  /// One policy under one limit.
  public static func run(
    _ trace: Trace, limit: Bytes, policy: PolicyChoice, options: SimulationOptions = .init()
  ) -> Measures {
    func play(_ policy: some EvictionPolicy) -> Measures {
      var engine = Engine(trace, limit: limit, policy: policy, options: options)
      return engine.run()
    }
    let results = policy.candidates(trace).map { play($0) }
    return results.min { $0.reloadSeconds < $1.reloadSeconds } ?? Measures()
  }

  /// Every policy under every limit, with the bounds.
  ///
  /// - Parameters:
  ///   - reference: Also what each policy needs when it holds as much memory as this one; takes some thirty runs a policy.
  ///   - progress: Called before each run.
  public static func compare(
    trace: Trace, limits: [Double] = defaultLimits, policies: [PolicyChoice] = PolicyChoice.all,
    equalMemoryTo reference: PolicyChoice? = nil, options: SimulationOptions = .init(),
    progress: @escaping (Comparison.Progress) -> Void = { _ in }
  ) -> Comparison {
    let others = policies.filter { $0.name != reference?.name }
    var count = RunCount(total: limits.count * policies.count, tell: progress)
    if reference != nil {
      count.total += others.reduce(0) { $0 + ($1.isSetByLimit ? curveShares.count : limits.count * curveSeconds(trace).count) }
    }
    let bound = LowerBound(trace)
    var rows: [Comparison.Row] = []
    for share in limits {
      let limit = trace.bytes(share: share)
      let achieved = run(trace, limit: limit, policy: .clairvoyant, options: options).reloadSeconds
      let limitBound = bound.reloadSeconds(limit: limit, achieved: achieved)
      for policy in policies {
        count.begin(policy, share)
        let measures = run(trace, limit: limit, policy: policy, options: options)
        let servedAll = measures.refusedUses == 0
        rows.append(
          Comparison.Row(
            policy: policy.name, limitShare: share, limit: limit, measures: measures,
            limitBound: servedAll && measures.secondsOverLimit == 0 ? limitBound : nil,
            memoryBound: servedAll ? bound.reloadSeconds(holding: measures.byteSeconds) : nil))
      }
    }
    let equal = reference.map {
      compareAtEqualMemory(trace: trace, limits: limits, reference: $0, policies: others, options: options, count: &count)
    }
    return Comparison(
      source: trace.header.source, duration: trace.header.duration, totalBytes: trace.totalBytes, rows: rows,
      equalMemory: equal ?? [])
  }

  /// What each policy needs when it is set to hold as many byte-seconds as `reference` does under each limit: its own limit or
  /// its timeout is varied, and between the two nearest settings its reload seconds are interpolated.
  private static func compareAtEqualMemory(
    trace: Trace, limits: [Double], reference: PolicyChoice, policies: [PolicyChoice], options: SimulationOptions,
    count: inout RunCount
  ) -> [Comparison.EqualMemory] {
    let bound = LowerBound(trace)
    var result: [Comparison.EqualMemory] = []
    // By limit the curve is the same for all limits of the reference.
    var curves: [Curve?] = []
    for policy in policies {
      guard policy.isSetByLimit else {
        curves.append(nil)
        continue
      }
      var measures: [Measures] = []
      for share in curveShares {
        count.begin(policy, share)
        measures.append(run(trace, limit: trace.bytes(share: share), policy: policy, options: options))
      }
      curves.append(Curve(measures))
    }
    for share in limits {
      let limit = trace.bytes(share: share)
      let measured = run(trace, limit: limit, policy: reference, options: options)
      func row(_ policy: String, _ seconds: Double?, reloads: Double? = nil, over: Double? = nil) -> Comparison.EqualMemory {
        Comparison.EqualMemory(
          policy: policy, limitShare: share, byteSeconds: measured.byteSeconds, reloadSeconds: seconds, reloads: reloads,
          secondsOverLimit: over, reference: reference.name, referenceReloadSeconds: measured.reloadSeconds,
          referenceReloads: measured.reloads)
      }
      for (policy, byLimit) in zip(policies, curves) {
        var curve = byLimit
        if curve == nil, case .seconds(let make) = policy.knob {
          var measures: [Measures] = []
          for seconds in curveSeconds(trace) {
            count.begin(policy, share)
            measures.append(run(trace, limit: limit, policy: make(seconds), options: options))
          }
          curve = Curve(measures)
        }
        let point = curve?.point(at: measured.byteSeconds)
        result.append(
          row(
            policy.name, point?.reloadSeconds, reloads: point?.reloads, over: byLimit == nil ? point?.secondsOverLimit : nil))
      }
      result.append(row("bound", bound.reloadSeconds(holding: measured.byteSeconds)))
    }
    return result
  }

  /// Limits from which a policy's curve is made.
  private static let curveShares = (1...25).map { Double($0) * 0.04 }

  /// Timeouts from which the curve is made of a policy that is set by one.
  private static func curveSeconds(_ trace: Trace) -> [Double] {
    var seconds: [Double] = [0]
    while let last = seconds.last, last < trace.header.duration { seconds.append(max(last * 1.5, 2)) }
    return seconds
  }

  private struct RunCount {
    var total: Int
    var done = 0
    var tell: (Comparison.Progress) -> Void

    init(total: Int, tell: @escaping (Comparison.Progress) -> Void) {
      self.total = total
      self.tell = tell
    }

    mutating func begin(_ policy: PolicyChoice, _ share: Double) {
      tell(Comparison.Progress(policy: policy.name, limitShare: share, done: done, total: total))
      done += 1
    }
  }
}

extension PolicyChoice {
  fileprivate var isSetByLimit: Bool { if case .limit = knob { true } else { false } }
}

extension Trace {
  /// A limit; at least one byte.
  public func bytes(share: Double) -> Bytes {
    Bytes(UInt64(min(max(share * Double(totalBytes.count), 1), 9e18).rounded(.up)))
  }
}

/// What one policy needs by the byte-seconds it holds.
private struct Curve {
  struct Point {
    var byteSeconds: Double
    var reloadSeconds: Double
    var reloads: Double
    var secondsOverLimit: Double
  }

  private let points: [Point]

  init(_ measures: [Measures]) {
    points =
      measures.filter { $0.refusedUses == 0 }
      .map {
        Point(
          byteSeconds: $0.byteSeconds, reloadSeconds: $0.reloadSeconds, reloads: Double($0.reloads),
          secondsOverLimit: $0.secondsOverLimit)
      }
      .sorted { ($0.byteSeconds, $0.reloadSeconds) < ($1.byteSeconds, $1.reloadSeconds) }
  }

  /// Between the two nearest; nil outside of what was measured.
  func point(at byteSeconds: Double) -> Point? {
    guard let above = points.firstIndex(where: { $0.byteSeconds >= byteSeconds }) else { return nil }
    let right = points[above]
    if right.byteSeconds == byteSeconds { return right }
    guard above > 0 else { return nil }
    let left = points[above - 1]
    let part = (byteSeconds - left.byteSeconds) / (right.byteSeconds - left.byteSeconds)
    return Point(
      byteSeconds: byteSeconds, reloadSeconds: left.reloadSeconds + part * (right.reloadSeconds - left.reloadSeconds),
      reloads: left.reloads + part * (right.reloads - left.reloads),
      secondsOverLimit: left.secondsOverLimit + part * (right.secondsOverLimit - left.secondsOverLimit))
  }
}
