import Model

/// What waits to be written: bounded, and no disk in sight.
struct JournalQueue {
  enum Row {
    case decision(DecisionRecord)
    case outcome(OutcomeRecord)
    case change(ConfigurationChange)
    case notice(JournalNotice)
  }

  struct BucketKey: Hashable, Comparable {
    var name: String
    var start: Int64
    static func < (left: BucketKey, right: BucketKey) -> Bool { (left.name, left.start) < (right.name, right.start) }
  }

  /// Rows without a place, told in one row when writing works again.
  struct Loss: Hashable {
    var rows: UInt64
    var began: Double
    var ended: Double
    var why: String
  }

  private(set) var rows: [Row] = []
  private(set) var buckets: [BucketKey: MetricBucket] = [:]
  /// Of outcomes that were lost as rows; the others are counted when they are written.
  private(set) var totals: [TotalKey: UnloadTotals] = [:]
  private(set) var loss: Loss?
  private(set) var lostRows: UInt64 = 0
  let limit: Int
  private let metricNames: Int
  private var names: Set<String> = []

  init(limits: JournalLimits) {
    limit = max(1, limits.queueRows)
    metricNames = max(1, limits.metricNames)
  }

  /// What a flush has something to do for.
  var isEmpty: Bool { rows.isEmpty && buckets.isEmpty && totals.isEmpty && loss == nil }

  /// - Parameter why: Why nothing is written at the moment.
  /// - Returns: False when there is no room, or when the time is none.
  mutating func append(_ row: Row, at time: Double, why: @autoclosure () -> String) -> Bool {
    guard time.isFinite else {
      lose(1, at: loss?.ended ?? 0, why: "without a time")
      return false
    }
    guard rows.count < limit else {
      lose(1, at: time, why: why())
      return false
    }
    rows.append(row)
    return true
  }

  /// Keeps of a lost outcome what the totals need.
  mutating func count(_ outcome: OutcomeRecord) {
    guard outcome.result != .dryRun, outcome.time.isFinite else { return }
    for var key in TotalKey.keys(of: outcome) {
      if totals[key] == nil, totals.count >= limit { key.name = TotalKey.others }
      totals[key, default: UnloadTotals()].count(outcome)
    }
  }

  mutating func append(_ sample: MetricSample, why: @autoclosure () -> String) -> Bool {
    guard sample.value.isFinite, let start = MetricBucket.start(of: sample.time, resolution: MetricBucket.resolutions[0])
    else {
      lose(1, at: sample.time, why: "not a number")
      return false
    }
    let name = sample.name.limited(toBytes: TextLimit.name)
    if !names.contains(name) {
      guard names.count < metricNames else {
        lose(1, at: sample.time, why: "more than \(metricNames) names of metrics")
        return false
      }
      names.insert(name)
    }
    let key = BucketKey(name: name, start: start)
    let bucket = MetricBucket(sample.value, at: sample.time)
    guard buckets[key] != nil || buckets.count < limit else {
      lose(1, at: sample.time, why: why())
      return false
    }
    if buckets[key]?.add(bucket) == nil { buckets[key] = bucket }
    return true
  }

  /// Counts rows as lost that were meant for `time`.
  mutating func lose(_ count: UInt64, at time: Double, why: String) {
    lostRows += count
    let time = time.isFinite ? time : 0
    if var known = loss {
      known.rows += count
      known.began = min(known.began, time)
      known.ended = max(known.ended, time)
      loss = known
    } else {
      loss = Loss(rows: count, began: time, ended: time, why: why)
    }
  }

  /// The first rows are on the disk.
  mutating func removeRows(_ count: Int) { rows.removeFirst(count) }
  mutating func removeBuckets(_ keys: some Sequence<BucketKey>) { for key in keys { buckets[key] = nil } }
  mutating func removeTotals() { totals = [:] }
  mutating func removeLoss() { loss = nil }
}
