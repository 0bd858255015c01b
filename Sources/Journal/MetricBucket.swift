/// Samples of one metric within one stretch of time, put together.
struct MetricBucket: Hashable, Sendable {
  /// Seconds: the finest, and what they become.
  static let resolutions: [Int64] = [10, 60, 600, 3600]

  var count: Int64
  var sum: Double
  var min: Double
  var max: Double
  var last: Double
  /// Of the last sample.
  var lastTime: Double

  init(_ value: Double, at time: Double) {
    (count, sum, min, max, last, lastTime) = (1, value, value, value, value, time)
  }

  init(count: Int64, sum: Double, min: Double, max: Double, last: Double, lastTime: Double) {
    (self.count, self.sum, self.min, self.max, self.last, self.lastTime) = (count, sum, min, max, last, lastTime)
  }

  mutating func add(_ other: MetricBucket) {
    // A damaged file must not stop the program.
    let (total, isTooMuch) = count.addingReportingOverflow(other.count)
    count = isTooMuch ? .max : total
    sum += other.sum
    min = Swift.min(min, other.min)
    max = Swift.max(max, other.max)
    if other.lastTime >= lastTime { (last, lastTime) = (other.last, other.lastTime) }
  }

  /// Where the bucket begins that a time falls into; nil for what is no time that people live in.
  static func start(of time: Double, resolution: Int64) -> Int64? {
    guard time >= 0, time < 1e12 else { return nil }
    return start(of: Int64(time), resolution: resolution)
  }

  static func start(of time: Int64, resolution: Int64) -> Int64 { time - time % resolution }
}

/// One step of a metric's course.
public struct MetricPoint: Hashable, Sendable {
  var bucket: MetricBucket
  /// Where the step begins, wall-clock seconds since 1970.
  public let start: Double
  /// Of the coarsest bucket in it, seconds: above the step, its samples may belong to the steps after it.
  public internal(set) var resolution: Double

  init(bucket: MetricBucket, start: Double, resolution: Double) {
    self.bucket = bucket
    self.start = start
    self.resolution = resolution
  }

  /// Samples; at least one.
  public var count: Int64 { bucket.count }

  public func value(_ aggregation: MetricAggregation) -> Double {
    switch aggregation {
    case .average: bucket.sum / Double(bucket.count)
    case .minimum: bucket.min
    case .maximum: bucket.max
    case .sum: bucket.sum
    case .count: Double(bucket.count)
    case .last: bucket.last
    }
  }
}

/// What is made of the samples of a step.
public enum MetricAggregation: String, Hashable, Sendable, Codable, CaseIterable {
  case average = "avg"
  case minimum = "min"
  case maximum = "max"
  case sum
  case count
  case last
}
