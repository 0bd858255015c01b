/// `20251121T191400Z`; for what is no time of the years 0 to 9999, `unknown-time`.
func utcStamp(_ seconds: Double) -> String {
  guard seconds >= 0, seconds < 253_402_300_800 else { return "unknown-time" }
  let whole = Int(seconds)
  // Days to a date: https://howardhinnant.github.io/date_algorithms.html#civil_from_days, for days from 1970 on.
  let day = whole / 86_400 + 719_468
  let dayOfEra = day % 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let shifted = (5 * dayOfYear + 2) / 153
  let month = shifted < 10 ? shifted + 3 : shifted - 9
  let year = yearOfEra + day / 146_097 * 400 + (month <= 2 ? 1 : 0)
  func digits(_ number: Int, _ count: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, count - text.count)) + text
  }
  let date = digits(year, 4) + digits(month, 2) + digits(dayOfYear - (153 * shifted + 2) / 5 + 1, 2)
  return "\(date)T\(digits(whole / 3600 % 24, 2))\(digits(whole / 60 % 60, 2))\(digits(whole % 60, 2))Z"
}

extension String {
  /// At most `limit` bytes of it, whole characters, `...` at the end of what was cut. Text from outside has no limit of its own.
  func limited(toBytes limit: Int) -> String {
    guard utf8.count > limit else { return self }
    var end = utf8.index(utf8.startIndex, offsetBy: max(0, limit - 3))
    // One character may be larger than all: then a scalar is the unit, which is at most four bytes.
    while end > startIndex, end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return self[..<end] + "..."
  }
}

/// In bytes, of what the journal stores.
enum TextLimit {
  static let name = 256
  static let text = 1024
  /// What stayed of one unload, all together.
  static let list = 4096
}
