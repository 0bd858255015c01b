/// The last events of all processes, oldest first, bounded; says what it no longer has.
struct EventHistory {
  private var records: [EventRecord?]
  /// Sequence of the next event; the first is 1.
  private(set) var next: UInt64 = 1

  init(capacity: Int) {
    records = Array(repeating: nil, count: max(1, capacity))
  }

  /// Sequence of the oldest event kept; `next` when there is none.
  var oldest: UInt64 { next > UInt64(records.count) ? next - UInt64(records.count) : 1 }

  /// Numbers the record and keeps it, in place of the oldest when full.
  mutating func append(_ record: EventRecord) {
    var record = record
    record.sequence = next
    records[Int(next % UInt64(records.count))] = record
    next += 1
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
