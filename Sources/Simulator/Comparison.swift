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
    /// Time it was over the reference's limit; nil for a policy that was given a limit of its own.
    public var secondsOverLimit: Double?
    public var reference: String
    public var referenceReloadSeconds: Double
  }

  public var source: String
  public var duration: Double
  public var totalBytes: Bytes
  public var rows: [Row]
  public var equalMemory: [EqualMemory]
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
  /// - Parameter reference: Also what each policy needs when it holds as much memory as this one; takes some thirty runs a policy.
  public static func compare(
    trace: Trace, limits: [Double] = defaultLimits, policies: [PolicyChoice] = PolicyChoice.all,
    equalMemoryTo reference: PolicyChoice? = nil, options: SimulationOptions = .init()
  ) -> Comparison {
    let bound = LowerBound(trace)
    var rows: [Comparison.Row] = []
    for share in limits {
      let limit = trace.bytes(share: share)
      let achieved = run(trace, limit: limit, policy: .clairvoyant, options: options).reloadSeconds
      let limitBound = bound.reloadSeconds(limit: limit, achieved: achieved)
      for policy in policies {
        let measures = run(trace, limit: limit, policy: policy, options: options)
        let servedAll = measures.refusedUses == 0
        rows.append(
          Comparison.Row(
            policy: policy.name, limitShare: share, limit: limit, measures: measures,
            limitBound: servedAll && measures.secondsOverLimit == 0 ? limitBound : nil,
            memoryBound: servedAll ? bound.reloadSeconds(holding: measures.byteSeconds) : nil))
      }
    }
    let others = policies.filter { $0.name != reference?.name }
    let equal = reference.map {
      compareAtEqualMemory(trace: trace, limits: limits, reference: $0, policies: others, options: options)
    }
    return Comparison(
      source: trace.header.source, duration: trace.header.duration, totalBytes: trace.totalBytes, rows: rows,
      equalMemory: equal ?? [])
  }

  /// What each policy needs when it is set to hold as many byte-seconds as `reference` does under each limit: its own limit or
  /// its timeout is varied, and between the two nearest settings its reload seconds are interpolated.
  static func compareAtEqualMemory(
    trace: Trace, limits: [Double], reference: PolicyChoice, policies: [PolicyChoice], options: SimulationOptions
  ) -> [Comparison.EqualMemory] {
    let bound = LowerBound(trace)
    var result: [Comparison.EqualMemory] = []
    // By limit the curve is the same for all limits of the reference.
    let shares = (1...25).map { Double($0) * 0.04 }
    let curves = policies.map { policy -> Curve? in
      guard case .limit = policy.knob else { return nil }
      return Curve(shares.map { run(trace, limit: trace.bytes(share: $0), policy: policy, options: options) })
    }
    for share in limits {
      let limit = trace.bytes(share: share)
      let measured = run(trace, limit: limit, policy: reference, options: options)
      func row(_ policy: String, _ seconds: Double?, over: Double? = nil) -> Comparison.EqualMemory {
        Comparison.EqualMemory(
          policy: policy, limitShare: share, byteSeconds: measured.byteSeconds, reloadSeconds: seconds, secondsOverLimit: over,
          reference: reference.name, referenceReloadSeconds: measured.reloadSeconds)
      }
      for (policy, byLimit) in zip(policies, curves) {
        let curve = byLimit ?? Curve(timeouts: policy, trace: trace, limit: limit, options: options)
        let point = curve.point(at: measured.byteSeconds)
        result.append(row(policy.name, point?.reloadSeconds, over: byLimit == nil ? point?.secondsOverLimit : nil))
      }
      result.append(row("bound", bound.reloadSeconds(holding: measured.byteSeconds)))
    }
    return result
  }
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
    var secondsOverLimit: Double
  }

  private let points: [Point]

  init(_ measures: [Measures]) {
    points =
      measures.filter { $0.refusedUses == 0 }
      .map { Point(byteSeconds: $0.byteSeconds, reloadSeconds: $0.reloadSeconds, secondsOverLimit: $0.secondsOverLimit) }
      .sorted { ($0.byteSeconds, $0.reloadSeconds) < ($1.byteSeconds, $1.reloadSeconds) }
  }

  init(timeouts policy: PolicyChoice, trace: Trace, limit: Bytes, options: SimulationOptions) {
    guard case .seconds(let make) = policy.knob else {
      self.init([])
      return
    }
    var seconds: [Double] = [0]
    while let last = seconds.last, last < trace.header.duration { seconds.append(max(last * 1.5, 2)) }
    self.init(seconds.map { Simulation.run(trace, limit: limit, policy: make($0), options: options) })
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
      secondsOverLimit: left.secondsOverLimit + part * (right.secondsOverLimit - left.secondsOverLimit))
  }
}
