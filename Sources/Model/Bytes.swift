/// A number of bytes of memory. Encoded as a plain number.
public struct Bytes: Hashable, Comparable, Sendable, Codable {
  public var count: UInt64

  public init(_ count: UInt64) { self.count = count }

  public static let zero = Bytes(0)
  public static func kibibytes(_ number: UInt64) -> Bytes { Bytes(number << 10) }
  public static func mebibytes(_ number: UInt64) -> Bytes { Bytes(number << 20) }

  public static func < (left: Bytes, right: Bytes) -> Bool { left.count < right.count }
  /// Saturates: sums come from files other programs can influence and must not trap.
  public static func + (left: Bytes, right: Bytes) -> Bytes {
    let (sum, overflow) = left.count.addingReportingOverflow(right.count)
    return Bytes(overflow ? .max : sum)
  }
  /// Never below zero.
  public static func - (left: Bytes, right: Bytes) -> Bytes { Bytes(left.count > right.count ? left.count - right.count : 0) }
  public static func += (left: inout Bytes, right: Bytes) { left = left + right }

  public init(from decoder: any Decoder) throws { count = try decoder.singleValueContainer().decode(UInt64.self) }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(count)
  }
}

extension Bytes: CustomStringConvertible {
  /// Three significant digits in binary units: `0 B`, `980 B`, `1.50 KiB`, `21.3 MiB`, `412 MiB`.
  public var description: String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    guard count >= 1024 else { return "\(count) B" }
    var unit = 0
    var divisor: UInt64 = 1
    while unit < units.count - 1, count / divisor >= 1000 {
      unit += 1
      divisor = divisor << 10
    }
    // In hundredths, rounded half up; the quotient is below 1000. A hundred times the rest of an EiB does not fit 64 bits.
    let scale: UInt64 = unit == units.count - 1 ? 1024 : 1
    let rest = count % divisor / scale
    let hundredths = count / divisor * 100 + (rest * 100 + divisor / scale / 2) / (divisor / scale)
    if hundredths >= 10_000 { return "\((hundredths + 50) / 100) \(units[unit])" }
    if hundredths >= 1_000 {
      let tenths = (hundredths + 5) / 10
      return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
    let fraction = hundredths % 100
    return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) \(units[unit])"
  }
}
