/// The last events of all processes, oldest first, bounded; says what it no longer has.
struct EventHistory {
  private var records: [EventRecord?]
  /// Sequence of the next event; the first is 1.
  private(set) var next: UInt64 = 1
  /// Sequence of the oldest event kept; `next` when there is none.
  private(set) var oldest: UInt64 = 1
  /// 16 MiB: texts are the programs' own and may be long; with usual ones the number of events is reached first.
  static let usualTextLimit = 16 << 20
  private let textLimit: Int
  private var textBytes = 0

  init(capacity: Int, textLimit: Int = Self.usualTextLimit) {
    records = Array(repeating: nil, count: max(1, capacity))
    self.textLimit = textLimit
  }

  private func textBytes(of record: EventRecord) -> Int {
    record.processName.utf8.count + (record.subject?.utf8.count ?? 0) + (record.package?.utf8.count ?? 0)
      + (record.detail?.utf8.count ?? 0)
  }

  private mutating func dropOldest() {
    let place = Int(oldest % UInt64(records.count))
    if let record = records[place] { textBytes -= textBytes(of: record) }
    records[place] = nil
    oldest += 1
  }

  /// Numbers the record and keeps it, in place of the oldest ones when full.
  mutating func append(_ record: EventRecord) {
    var record = record
    record.sequence = next
    if next - oldest >= UInt64(records.count) { dropOldest() }
    textBytes += textBytes(of: record)
    records[Int(next % UInt64(records.count))] = record
    next += 1
    while textBytes > textLimit, oldest < next { dropOldest() }
  }

  /// At most `limit` events with a sequence above `after`, those of `pid` only when it is given.
  func page(after: UInt64?, limit: Int, pid: Int32?) -> EventsPage {
    // A reader that is ahead of us talked to a supervisor before this one: it gets everything there is.
    let asked = after.map { $0 >= next ? 0 : $0 } ?? oldest - 1
    let first = max(asked + 1, oldest)
    var events: [EventRecord] = []
    var position = first
    while position < next, events.count < limit {
      if let record = records[Int(position % UInt64(records.count))], pid == nil || record.pid == pid {
        events.append(record)
      }
      position += 1
    }
    return EventsPage(events: events, next: position - 1, lost: first - (asked + 1))
  }
}
