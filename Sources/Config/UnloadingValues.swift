import Model

/// A part of a whole, 0 to 1 and beyond: `0.8` or `80%`. Kept exact, in billionths.
public struct Fraction: SettingValue, Comparable {
  private var billionths: UInt64

  public static func percent(_ number: UInt64) -> Fraction { Fraction(billionths: number * 10_000_000) }

  private init(billionths: UInt64) { self.billionths = billionths }

  /// Nil for what has more than nine decimals, and for what is no share: negative, not a number, ten billion and more.
  init?(_ value: Double) {
    guard value >= 0, value < 1e10 else { return nil }
    billionths = UInt64((value * 1e9).rounded())
  }

  public init?(settingText text: String) {
    guard let (number, suffix) = DecimalNumber.split(text) else { return nil }
    let unit: UInt64? = ["": 1_000_000_000, "%": 10_000_000][suffix]
    guard let unit, let billionths = number.scaled(by: unit) else { return nil }
    self.billionths = billionths
  }

  public var settingText: String {
    let (whole, rest) = billionths.quotientAndRemainder(dividingBy: 1_000_000_000)
    guard rest != 0 else { return String(whole) }
    var digits = String(rest)
    digits = String(repeating: "0", count: 9 - digits.count) + digits
    while digits.hasSuffix("0") { digits.removeLast() }
    return "\(whole).\(digits)"
  }

  public static var expectation: String { "a share such as 0.8 or 80%" }

  /// 0.8 for `80%`.
  public var value: Double { Double(billionths) / 1e9 }

  public static func < (left: Fraction, right: Fraction) -> Bool { left.billionths < right.billionths }
}

/// The name of a strategy, in lower case.
public struct StrategyName: SettingValue {
  public var name: String

  public init(_ name: String) { self.name = name.lowercased() }

  public init?(settingText text: String) {
    guard PlainName.fault(text) == nil else { return nil }
    self.init(text)
  }
  public var settingText: String { name }
  public static var expectation: String { "the name of a strategy, such as balanced" }

  /// Those that are always there, from the one that gives back first to the one that keeps longest.
  static let standard = ["aggressive", "balanced", "conservative"]
}

/// Settings for one kind of work, or none.
public enum UnloadingProfile: String, SettingChoice {
  case none, inference, training, analysis

  /// What it is to Policy.
  public var task: TaskProfile? {
    switch self {
    case .none: nil
    case .inference: .inference
    case .training: .training
    case .analysis: .analysis
    }
  }

  public init(_ task: TaskProfile?) {
    switch task {
    case nil: self = .none
    case .inference: self = .inference
    case .training: self = .training
    case .analysis: self = .analysis
    }
  }
}

extension UnitClass: SettingChoice {}
