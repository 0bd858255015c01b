/// Makes coarser buckets of old ones, and forgets the oldest.
struct MetricRollup {
  let database: SQLiteDatabase
  let limits: JournalLimits

  /// Buckets of one metric and resolution in one transaction.
  private static let chunk: Int64 = 512

  func run(at time: Double) throws(SQLiteFailure) {
    let resolutions = MetricBucket.resolutions
    let series = try numbers("SELECT id FROM series ORDER BY id")
    for (level, seconds) in limits.bucketSeconds.prefix(resolutions.count).enumerated() {
      let coarser = level + 1 < resolutions.count ? resolutions[level + 1] : resolutions[level]
      guard let cut = MetricBucket.start(of: time - seconds, resolution: coarser) else { continue }
      for series in series {
        if level + 1 < resolutions.count {
          try coarsen(series, from: resolutions[level], to: coarser, before: cut)
        } else {
          try forget(series, resolution: resolutions[level], before: cut)
        }
      }
    }
  }

  private func coarsen(_ series: Int64, from fine: Int64, to coarse: Int64, before cut: Int64) throws(SQLiteFailure) {
    var found: [(start: Int64, bucket: MetricBucket)] = []
    try database.prepare(
      """
      SELECT start, count, sum, min, max, last, last_time FROM bucket
      WHERE resolution = ? AND series = ? AND start < ? ORDER BY start LIMIT ?
      """
    ).rows([.integer(fine), .integer(series), .integer(cut), .integer(Self.chunk)]) { row in
      if let bucket = MetricBucket(row, from: 1) { found.append((row.integer(0) ?? 0, bucket)) }
      return true
    }
    guard let last = found.last else { return }
    try database.transaction { () throws(SQLiteFailure) in
      let writing = JournalWriting(database: database, limits: limits)
      for (start, bucket) in found {
        try writing.merge(
          bucket, resolution: coarse, series: series, start: MetricBucket.start(of: start, resolution: coarse))
      }
      try database.run(
        "DELETE FROM bucket WHERE resolution = ? AND series = ? AND start <= ?", .integer(fine), .integer(series),
        .integer(last.start))
    }
  }

  private func forget(_ series: Int64, resolution: Int64, before cut: Int64) throws(SQLiteFailure) {
    try database.run(
      "DELETE FROM bucket WHERE resolution = ? AND series = ? AND start < ?", .integer(resolution), .integer(series),
      .integer(cut))
    // A name that is no longer measured makes room for another one.
    try database.run(
      "DELETE FROM series WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM bucket WHERE resolution IN (10, 60, 600, 3600) AND series = ?1)",
      .integer(series))
  }

  /// Where the oldest bucket begins; within the times that samples can have, whatever a damaged file says.
  func oldest() throws(SQLiteFailure) -> Int64? {
    var result: Int64?
    let series = try numbers("SELECT id FROM series ORDER BY id")
    for resolution in MetricBucket.resolutions {
      for series in series {
        let start = try database.number(
          "SELECT min(start) FROM bucket WHERE resolution = ? AND series = ?", .integer(resolution), .integer(series))
        if let start { result = min(result ?? start, max(0, start), 1_000_000_000_000) }
      }
    }
    return result
  }

  /// A day of all metrics, from a time on.
  func deleteOldest(from start: Int64) throws(SQLiteFailure) {
    let series = try numbers("SELECT id FROM series ORDER BY id")
    try database.transaction { () throws(SQLiteFailure) in
      for resolution in MetricBucket.resolutions {
        for series in series {
          try database.run(
            "DELETE FROM bucket WHERE resolution = ? AND series = ? AND start < ?", .integer(resolution), .integer(series),
            .integer(start + 86_400))
        }
      }
    }
  }

  private func numbers(_ text: String) throws(SQLiteFailure) -> [Int64] {
    var result: [Int64] = []
    try database.prepare(text).rows([]) { row in
      if let number = row.integer(0) { result.append(number) }
      return true
    }
    return result
  }
}

extension MetricBucket {
  /// From six columns; nil when one is missing.
  init?(_ row: SQLiteRow, from column: Int32) {
    guard let count = row.integer(column), let sum = row.real(column + 1), let min = row.real(column + 2),
      let max = row.real(column + 3), let last = row.real(column + 4), let lastTime = row.real(column + 5), count > 0
    else { return nil }
    self.init(count: count, sum: sum, min: min, max: max, last: last, lastTime: lastTime)
  }
}
