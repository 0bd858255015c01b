import Model

/// A type a setting can have: read from the text that people write in a file, in the environment and on the command line.
public protocol SettingValue: Sendable, Hashable {
  /// Reads `text`; nil when it is nothing of this type.
  init?(settingText text: String)
  /// The value as `init(settingText:)` reads it back.
  var settingText: String { get }
  /// What to write, with its article: "a whole number".
  static var expectation: String { get }
}

// The members are documented by the protocol.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension String: SettingValue {
  public init?(settingText text: String) { self = text }
  public var settingText: String { self }
  public static var expectation: String { "text" }
}

// The members are documented by the protocol.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension Bool: SettingValue {
  public init?(settingText text: String) {
    switch text.lowercased() {
    case "true", "yes", "on", "1": self = true
    case "false", "no", "off", "0": self = false
    default: return nil
    }
  }
  public var settingText: String { self ? "true" : "false" }
  public static var expectation: String { "true or false" }
}

// The members are documented by the protocol.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension Int: SettingValue {
  public init?(settingText text: String) {
    guard let value = Int(text, radix: 10), !text.hasPrefix("+") else { return nil }
    self = value
  }
  public var settingText: String { String(self) }
  public static var expectation: String { "a whole number" }
}

// The members are documented by the protocol.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension Bytes: SettingValue {
  /// `65536`, `64K`, `64KiB`, `1.5M`, `2GiB`: binary units only. "KB" means two things and is refused.
  public init?(settingText text: String) {
    guard let (number, suffix) = DecimalNumber.split(text) else { return nil }
    let shift: UInt64
    switch suffix {
    case "", "B": shift = 0
    case "K", "KiB": shift = 10
    case "M", "MiB": shift = 20
    case "G", "GiB": shift = 30
    case "T", "TiB": shift = 40
    default: return nil
    }
    guard let count = number.scaled(by: 1 << shift) else { return nil }
    self.init(count)
  }

  public var settingText: String {
    for (shift, suffix) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] as [(UInt64, String)]
    where count != 0 && count & ((1 << shift) - 1) == 0 {
      return "\(count >> shift)\(suffix)"
    }
    return String(count)
  }

  public static var expectation: String { "a size such as 65536, 64K or 1MiB" }
}

// The members are documented by the protocol.
// swift-format-ignore: AllPublicDeclarationsHaveDocumentation
extension Duration: SettingValue {
  /// `60` and `60s` are seconds; `500ms`, `1.5s`, `5m`, `2h`, `1d`. Never negative.
  public init?(settingText text: String) {
    guard let (number, suffix) = DecimalNumber.split(text) else { return nil }
    let nanoseconds: UInt64
    switch suffix {
    case "ms": nanoseconds = 1_000_000
    case "", "s": nanoseconds = 1_000_000_000
    case "m": nanoseconds = 60_000_000_000
    case "h": nanoseconds = 3_600_000_000_000
    case "d": nanoseconds = 86_400_000_000_000
    default: return nil
    }
    guard let count = number.scaled(by: nanoseconds), let signed = Int64(exactly: count) else { return nil }
    self = .nanoseconds(signed)
  }

  /// Seconds with the decimals they need; milliseconds below one second.
  public var settingText: String {
    let (seconds, attoseconds) = components
    guard attoseconds != 0 else { return "\(seconds)s" }
    let nanoseconds = attoseconds / 1_000_000_000
    if seconds == 0, nanoseconds % 1_000_000 == 0 { return "\(nanoseconds / 1_000_000)ms" }
    var digits = String(nanoseconds)
    digits = String(repeating: "0", count: 9 - digits.count) + digits
    while digits.hasSuffix("0") { digits.removeLast() }
    return "\(seconds).\(digits)s"
  }

  public static var expectation: String { "a duration such as 60, 500ms or 5m" }
}

/// A decimal number without a sign or an exponent, kept exact.
struct DecimalNumber: Equatable {
  /// Digits before and after the point as one integer.
  var digits: UInt64
  /// How many of them stand after the point, at most 9.
  var decimals: Int

  /// Separates "1.5s" into the number and what follows it, a blank between them allowed.
  static func split(_ text: String) -> (number: DecimalNumber, suffix: String)? {
    var number = DecimalNumber(digits: 0, decimals: 0)
    var seenDigit = false
    var seenPoint = false
    var index = text.startIndex
    scan: while index < text.endIndex {
      switch text[index] {
      case "0"..."9":
        guard let digit = text[index].wholeNumberValue, text[index].isASCII else { return nil }
        let (tenfold, overflow) = number.digits.multipliedReportingOverflow(by: 10)
        let (sum, overflowOfSum) = tenfold.addingReportingOverflow(UInt64(digit))
        guard !overflow, !overflowOfSum, !seenPoint || number.decimals < 9 else { return nil }
        number.digits = sum
        if seenPoint { number.decimals += 1 }
        seenDigit = true
      case "." where seenDigit && !seenPoint: seenPoint = true
      default: break scan
      }
      index = text.index(after: index)
    }
    guard seenDigit, !(seenPoint && number.decimals == 0) else { return nil }
    let suffix = text[index...]
    guard suffix.first == " " else { return (number, String(suffix)) }
    return suffix.count > 1 ? (number, String(suffix.dropFirst())) : nil
  }

  /// The number times `factor` when that is a whole number that fits.
  func scaled(by factor: UInt64) -> UInt64? {
    let (product, overflow) = digits.multipliedReportingOverflow(by: factor)
    guard !overflow else { return nil }
    var divisor: UInt64 = 1
    for _ in 0..<decimals { divisor *= 10 }
    return product % divisor == 0 ? product / divisor : nil
  }
}
