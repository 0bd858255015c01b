extension Journal {
  /// The course of a metric in steps, oldest first; steps without a sample are left out.
  ///
  /// - Parameters:
  ///   - from: Wall-clock seconds since 1970; steps begin at multiples of `step`.
  ///   - step: Seconds, 10 at least; 10,000 steps at most are answered.
  public func metric(
    _ name: String, from: Double, to: Double, step: Double
  ) throws(JournalError) -> [MetricPoint] {
    guard step >= 10, step <= 1e9, let step = Int64(exactly: step.rounded(.down)),
      let first = MetricBucket.start(of: max(0, from), resolution: 1), to > from
    else { return [] }
    let end = Int64(max(0, min(to.rounded(.up), 1e12)))
    return try reading { database throws(SQLiteFailure) in
      guard let series = try database.number("SELECT id FROM series WHERE name = ?", .text(name.limited(toBytes: TextLimit.name)))
      else { return [] }
      var points: [MetricPoint] = []
      // A bucket belongs to the step that it begins in. Sorted over four short ranges of the primary key.
      try database.prepare(
        """
        SELECT start, resolution, count, sum, min, max, last, last_time FROM bucket
        WHERE resolution IN (10, 60, 600, 3600) AND series = ? AND start >= ? AND start < ? ORDER BY start, resolution DESC
        """
      ).rows([.integer(series), .integer(MetricBucket.start(of: first, resolution: step)), .integer(end)]) { row in
        guard let start = row.integer(0), let resolution = row.integer(1), let content = MetricBucket(row, from: 2) else {
          return true
        }
        let place = MetricBucket.start(of: start, resolution: step)
        if points.last?.start == Double(place) {
          points[points.count - 1].add(content, resolution: resolution)
          return true
        }
        guard points.count < JournalQuery.largestLimit else { return false }
        points.append(MetricPoint(content, start: place, resolution: resolution))
        return true
      }
      return points
    }
  }

  /// All that have been measured, sorted.
  public func metricNames() throws(JournalError) -> [String] {
    try reading { database throws(SQLiteFailure) in
      var names: [String] = []
      try database.prepare("SELECT name FROM series ORDER BY name LIMIT 10000").rows([]) {
        if let name = $0.text(0) { names.append(name) }
        return true
      }
      return names
    }
  }
}

extension MetricPoint {
  fileprivate init(_ bucket: MetricBucket, start: Int64, resolution: Int64) {
    self.init(bucket: bucket, start: Double(start), resolution: Double(resolution))
  }

  fileprivate mutating func add(_ other: MetricBucket, resolution: Int64) {
    bucket.add(other)
    self.resolution = max(self.resolution, Double(resolution))
  }
}
