import Model
import Wire

/// Figures as people read them. What is not known is "-", never 0.
enum Phrases {
  static func bytes(_ count: UInt64) -> String { Bytes(count).description }

  static func bytes(_ count: Known<UInt64>) -> String { count.value.map { bytes($0) } ?? "-" }

  static func number(_ value: Known<some BinaryInteger & Codable & Sendable>) -> String { value.value.map { "\($0)" } ?? "-" }

  /// How long before `now` something was: "3 s ago", "5 min ago"; "not seen" when it never was. Both in seconds since 1970.
  static func ago(_ then: Known<Double>, now: Double) -> String {
    guard let then = then.value else { return "not seen" }
    let elapsed = now - then
    guard elapsed.isFinite else { return "-" }
    return elapsed < 1 ? "now" : "\(duration(elapsed)) ago"
  }

  /// The largest unit that is not below one: "3 s", "5 min", "2 h", "4 d".
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e15 else { return "-" }
    let whole = Int64(max(seconds, 0))
    return switch whole {
    case ..<60: "\(whole) s"
    case ..<3600: "\(whole / 60) min"
    case ..<86400: "\(whole / 3600) h"
    default: "\(whole / 86400) d"
    }
  }

  /// Processor time: "0.52 s", "3:07", "2:03:07".
  static func processorTime(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "-" }
    guard seconds >= 60 else { return "\(decimal(seconds, places: 2)) s" }
    let whole = Int64(seconds)
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let minutes = whole / 60 % 60
    return whole < 3600 ? "\(minutes):\(two(whole % 60))" : "\(whole / 3600):\(two(minutes)):\(two(whole % 60))"
  }

  /// Part of a whole with one decimal: "97.3 %"; "-" of nothing.
  static func share(_ part: UInt64, of whole: UInt64) -> String {
    whole == 0 ? "-" : "\(decimal(Double(part) / Double(whole) * 100, places: 1)) %"
  }

  /// "1 process", "2 processes".
  static func count(_ number: Int, _ one: String, _ many: String) -> String { "\(number) \(number == 1 ? one : many)" }

  static func decimal(_ value: Double, places: Int) -> String {
    var scale = 1
    for _ in 0..<places { scale *= 10 }
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    let scaled = Int64((value * Double(scale)).rounded())
    guard places > 0 else { return "\(scaled)" }
    let fraction = String(abs(scaled) % Int64(scale))
    let zeros = String(repeating: "0", count: places - fraction.count)
    return "\(scaled < 0 ? "-" : "")\(abs(scaled) / Int64(scale)).\(zeros)\(fraction)"
  }
}
