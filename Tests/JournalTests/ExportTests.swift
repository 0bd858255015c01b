import Foundation
import Model
import Testing

@testable import Journal

@Suite struct ExportTests {
  private func odd() -> DecisionRecord {
    var row = decision("a\"b\\c,\n\r\t\u{0}\u{1B}[31m\u{7F}\u{9B}\u{2028}é", verdict: .keep)
    row.figures.timeoutSeconds = .nan
    row.figures.score = .infinity
    row.memory = nil
    return row
  }

  @Test("every line of JSON is an object that any reader takes")
  func json() throws {
    let text = JournalExport.jsonLines([decision("torch"), odd()])
    let lines = text.split(separator: "\n")
    #expect(lines.count == 2 && text.hasSuffix("}\n"))
    let objects = try lines.map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
    #expect(objects.allSatisfy { Set($0.keys) == Set(DecisionRecord.exportColumns) })
    #expect(objects[1]["unit"] as? String == odd().unit.name)
    #expect(objects[1]["score"] is NSNull && objects[1]["timeout_seconds"] is NSNull && objects[1]["memory_used"] is NSNull)
    #expect(objects[0]["memory_used"] as? Int == 90 && objects[0]["score"] as? Double == 12.5)
    #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || (0x7F...0x9F).contains($0.value) })
    #expect(JournalExport.jsonLines([DecisionRecord]()).isEmpty)
  }

  @Test("every row of CSV is one line of as many cells as the header")
  func csv() {
    let text = JournalExport.csv([odd(), decision("a,b")])
    let lines = text.components(separatedBy: "\r\n")
    #expect(lines.count == 4 && lines[3].isEmpty)
    #expect(lines[0].hasPrefix("id,time,cycle,unit,kind,pid,start_ticks,verdict,reason"))
    #expect(lines[1].contains(#""a""b\\c,\n\r\t\u0000\u001b[31m\u007f\u009b\u2028é""#))
    #expect(lines[2].contains(#","a,b",package,"#))
    for line in lines[1...2] {
      var quoted = false
      let cells = line.reduce(into: 1) { count, character in
        if character == "\"" { quoted.toggle() }
        if character == ",", !quoted { count += 1 }
      }
      #expect(cells == DecisionRecord.exportColumns.count && !quoted)
    }
  }

  @Test("all kinds of rows have a value for each column")
  func columns() throws {
    func count<Row: ExportableRow>(_ row: Row) -> Bool {
      Row.exportColumns.count == row.exportValues.count && Set(Row.exportColumns).count == row.exportValues.count
    }
    #expect(count(decision("a")) && count(outcome()))
    #expect(count(ConfigurationChange(time: 1, key: "k", old: nil, new: nil, origin: "", requester: Requester("a"))))
    #expect(count(MetricPoint(bucket: MetricBucket(1, at: 2), start: 0, resolution: 10)))
  }

  @Test("Prometheus text: each family with help and type, labels escaped")
  func prometheus() {
    var totals = JournalTotals()
    totals.all.count(outcome(at: 12.5))
    var one = UnloadTotals()
    one.count(outcome())
    totals.byReason = [JournalTotals.Named(name: "Rule unloading (a\"b\\c\nd\u{1B})", totals: one)]
    var health = JournalHealth(condition: .writing, queueLimit: 10)
    health.lostRows = 3
    #expect(
      PrometheusExport.text(totals, health: health) == """
        # HELP mlos_unloading_unloads_total Unloads that were tried.
        # TYPE mlos_unloading_unloads_total counter
        mlos_unloading_unloads_total 1
        # HELP mlos_unloading_successful_total Unloads after which memory came back.
        # TYPE mlos_unloading_successful_total counter
        mlos_unloading_successful_total 1
        # HELP mlos_unloading_failed_total Unloads after which no memory came back.
        # TYPE mlos_unloading_failed_total counter
        mlos_unloading_failed_total 0
        # HELP mlos_unloading_freed_bytes_total Bytes that came back, as measured.
        # TYPE mlos_unloading_freed_bytes_total counter
        mlos_unloading_freed_bytes_total 100
        # HELP mlos_unloading_seconds_total Seconds that unloads took.
        # TYPE mlos_unloading_seconds_total counter
        mlos_unloading_seconds_total 0.5
        # HELP mlos_unloading_last_timestamp_seconds When the last unload ended, since 1970.
        # TYPE mlos_unloading_last_timestamp_seconds gauge
        mlos_unloading_last_timestamp_seconds 12.5
        # HELP mlos_unloading_reason_total Unloads that were tried, by why.
        # TYPE mlos_unloading_reason_total counter
        mlos_unloading_reason_total{reason="Rule unloading (a\\"b\\\\c\\nd?)"} 1
        # HELP mlos_journal_lost_rows_total Rows of the history that were lost since the start.
        # TYPE mlos_journal_lost_rows_total counter
        mlos_journal_lost_rows_total 3
        # HELP mlos_journal_queued_rows Rows that wait to be written.
        # TYPE mlos_journal_queued_rows gauge
        mlos_journal_queued_rows 0
        # HELP mlos_journal_writing 1 while the history is written, else 0.
        # TYPE mlos_journal_writing gauge
        mlos_journal_writing 1

        """)
    #expect(!PrometheusExport.text(JournalTotals()).contains("last_timestamp"))
  }

  @Test(
    "times in names of files",
    arguments: [
      (0, "19700101T000000Z"), (951_782_399, "20000228T235959Z"), (951_782_400, "20000229T000000Z"),
      (4_107_542_400, "21000301T000000Z"), (253_402_300_799, "99991231T235959Z"), (253_402_300_800, "unknown-time"),
      (-1, "unknown-time"), (.nan, "unknown-time"),
    ] as [(Double, String)])
  func stamps(time: Double, text: String) {
    #expect(utcStamp(time) == text)
  }
}
