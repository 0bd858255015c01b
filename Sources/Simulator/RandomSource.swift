/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, the same numbers on every machine and with every library.
public struct RandomSource: Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  /// From 0 up to, not with, 1.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  public mutating func uniform(_ range: ClosedRange<Double>) -> Double {
    range.lowerBound + unit() * (range.upperBound - range.lowerBound)
  }

  /// From 0 up to, not with, `bound`, which is above zero.
  public mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }

  public mutating func chance(_ probability: Double) -> Bool { unit() < probability }

  /// The waiting time of a Poisson process.
  public mutating func exponential(mean: Double) -> Double { -mean * Logarithm.natural(1 - unit()) }

  /// As many orders of magnitude below the middle as above it.
  public mutating func logUniform(_ range: ClosedRange<Double>) -> Double {
    let low = Logarithm.natural(range.lowerBound)
    return Logarithm.exponential(low + unit() * (Logarithm.natural(range.upperBound) - low))
  }

  /// Pareto's distribution cut at both ends: many small, few very large.
  public mutating func boundedPareto(_ range: ClosedRange<Double>, shape: Double) -> Double {
    let ratio = Logarithm.power(range.lowerBound / range.upperBound, shape)
    let value = range.lowerBound * Logarithm.power(1 - unit() * (1 - ratio), -1 / shape)
    return min(max(value, range.lowerBound), range.upperBound)
  }

  public mutating func shuffled(_ count: Int) -> [Int] {
    var result = Array(0..<count)
    for index in stride(from: count - 1, to: 0, by: -1) { result.swapAt(index, below(index + 1)) }
    return result
  }
}

/// Shares of use: the k-th most popular of `count` is used in proportion to 1 / k^exponent.
struct Popularity {
  private let cumulative: [Double]

  init(count: Int, exponent: Double) {
    var sum = 0.0
    cumulative = (1...count).map { rank in
      sum += Logarithm.power(Double(rank), -exponent)
      return sum
    }
  }

  /// From 0, the most popular.
  func sample(_ random: inout RandomSource) -> Int {
    let target = random.unit() * (cumulative.last ?? 0)
    return min(cumulative.firstIndex { $0 > target } ?? 0, cumulative.count - 1)
  }
}

/// In plain arithmetic: libraries differ in the last bit, and a trace of a seed must be the same everywhere.
enum Logarithm {
  private static let ln2 = 0.693_147_180_559_945_3

  /// - Precondition: Above zero and finite.
  static func natural(_ value: Double) -> Double {
    var exponent = Double(value.exponent)
    var significand = value.significand
    if significand > 1.414_213_562_373_095 {
      significand /= 2
      exponent += 1
    }
    // 2 artanh(s), |s| < 0.172: the terms left out are below 1e-18.
    let s = (significand - 1) / (significand + 1)
    var power = s
    var sum = 0.0
    for divisor in stride(from: 1.0, through: 21, by: 2) {
      sum += power / divisor
      power *= s * s
    }
    return exponent * ln2 + 2 * sum
  }

  static func exponential(_ value: Double) -> Double {
    guard value > -700 else { return 0 }
    let exponent = (min(value, 700) / ln2).rounded()
    let rest = min(value, 700) - exponent * ln2
    var term = 1.0
    var sum = 1.0
    for index in 1...16 {
      term *= rest / Double(index)
      sum += term
    }
    return Double(sign: .plus, exponent: Int(exponent), significand: sum)
  }

  static func power(_ base: Double, _ exponent: Double) -> Double { exponential(exponent * natural(base)) }
}
