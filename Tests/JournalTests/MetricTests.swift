import Model
import TestKit
import Testing

@testable import Journal

@Suite struct MetricTests {
  let scratch = Scratch()
  /// At the beginning of an hour.
  let start = 1_699_999_200.0

  @Test("samples are put together by steps, in every way that can be asked for")
  func aggregations() throws {
    let journal = try scratch.open()
    for (second, value) in [(0.0, 4.0), (3, 1), (9.5, 7), (10, 2), (65, 9), (61, 5)] {
      #expect(journal.append(MetricSample("m", value, at: start + second)))
      journal.flush(at: start)
    }
    let fine = try journal.metric("m", from: start, to: start + 3600, step: 10)
    #expect(fine.map(\.start) == [start, start + 10, start + 60])
    #expect(fine.map(\.count) == [3, 1, 2])
    let expected: [(MetricAggregation, [Double])] = [
      (.average, [4, 2, 7]), (.minimum, [1, 2, 5]), (.maximum, [7, 2, 9]), (.sum, [12, 2, 14]), (.count, [3, 1, 2]),
      (.last, [7, 2, 9]),
    ]
    for (aggregation, values) in expected { #expect(fine.map { $0.value(aggregation) } == values, "\(aggregation)") }
    let coarse = try journal.metric("m", from: start, to: start + 3600, step: 60)
    #expect(coarse.map { $0.value(.sum) } == [14, 14] && coarse.map { $0.value(.last) } == [2, 9])
    #expect(try journal.metric("m", from: start + 10, to: start + 20, step: 10).map(\.count) == [1])
    for bad in [0, -1, 9.9, .nan, .infinity] as [Double] {
      #expect(try journal.metric("m", from: start, to: start + 3600, step: bad).isEmpty)
    }
    #expect(try journal.metric("m", from: .nan, to: .nan, step: 10).isEmpty)
    #expect(try journal.metric("m", from: -.infinity, to: .infinity, step: 10).count == 3)
    #expect(try journal.metric("m", from: -.infinity, to: -1e300, step: 10).isEmpty)
    #expect(try journal.metric("m", from: 1e300, to: .infinity, step: 10).isEmpty)
    #expect(try journal.metric("x", from: start, to: start + 3600, step: 10).isEmpty)
    #expect(try journal.metricNames() == ["m"])
  }

  @Test("what is no number, no time, or one name too many is refused and counted")
  func refused() throws {
    var limits = JournalLimits()
    limits.metricNames = 2
    let journal = try scratch.open(limits)
    for sample in [
      MetricSample("m", .nan, at: start), MetricSample("m", .infinity, at: start), MetricSample("m", 1, at: .nan),
      MetricSample("m", 1, at: -1), MetricSample("m", 1, at: 1e300),
    ] {
      #expect(!journal.append(sample))
    }
    #expect(journal.append(MetricSample("a", 1, at: start)) && journal.append(MetricSample("b", 1, at: start)))
    #expect(!journal.append(MetricSample("c", 1, at: start)))
    journal.flush(at: start)
    #expect(journal.health.lostRows == 6 && journal.health.condition == .writing)
    journal.close(at: start)
    // The names in the file count too, when the program has been started again.
    let again = try scratch.open(limits)
    again.append(MetricSample("c", 1, at: start))
    again.append(MetricSample("a", 1, at: start))
    again.flush(at: start)
    #expect(try again.metricNames() == ["a", "b"] && again.health.lostRows == 1)
  }

  @Test("buckets become coarser with age and lose nothing until they are forgotten")
  func rollup() throws {
    let journal = try scratch.open()
    let day = 86_400.0
    var count = 0.0
    // A sample a minute for three hours, then one an hour for twelve days.
    for minute in 0..<180 {
      journal.append(MetricSample("m", Double(minute), at: start + Double(minute) * 60))
      count += 1
    }
    for hour in 3..<288 {
      let time = start + Double(hour) * 3600
      journal.append(MetricSample("m", Double(hour), at: time))
      journal.flush(at: time)
      count += 1
    }
    let end = start + 12 * day
    for _ in 0..<20 { journal.flush(at: end + Double.random(in: 0..<1) + 100) }
    let all = try journal.metric("m", from: start, to: end, step: 12 * day)
    #expect(all.reduce(0) { $0 + $1.value(.count) } == count)
    #expect(all.last?.value(.last) == 287)
    let oldest = try journal.metric("m", from: start, to: start + 3 * 3600, step: 10)
    #expect(oldest.map(\.start) == [start, start + 3600, start + 7200] && oldest.map(\.count) == [60, 60, 60])
    #expect(oldest.allSatisfy { $0.resolution == 3600 } && oldest.map { $0.value(.maximum) } == [59, 119, 179])
    #expect(oldest.map { $0.value(.last) } == [59, 119, 179] && oldest.map { $0.value(.minimum) } == [0, 60, 120])
    #expect(try resolutions(journal) == [60, 600, 3600])
    // Beyond the last age nothing is left, nor the name.
    for number in 0..<5 { journal.flush(at: end + 200 * day + Double(number) * 100) }
    #expect(try journal.metricNames().isEmpty)
  }

  private func resolutions(_ journal: Journal) throws -> [Int64] {
    try journal.reading { database throws(SQLiteFailure) in
      var found: [Int64] = []
      try database.prepare("SELECT DISTINCT resolution FROM bucket ORDER BY resolution").rows([]) {
        found.append($0.integer(0) ?? 0)
        return true
      }
      return found
    }
  }

  @Test("a sample that comes late finds its place, and does not pass for the last")
  func late() throws {
    let journal = try scratch.open()
    journal.append(MetricSample("m", 1, at: start + 30))
    journal.flush(at: start + 30)
    journal.flush(at: start + 90_000)
    journal.append(MetricSample("m", 2, at: start + 5))
    journal.flush(at: start + 90_001)
    for number in 1...3 { journal.flush(at: start + 90_001 + Double(number) * 100) }
    let points = try journal.metric("m", from: start, to: start + 3600, step: 3600)
    #expect(points.map { $0.value(.count) } == [2] && points.map { $0.value(.last) } == [1])
  }
}
