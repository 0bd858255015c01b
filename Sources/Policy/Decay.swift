/// What is left of 1 after so many times its half-life: 1 at 0, a half at 1. Without libm, so that it is the same on every machine;
/// within 0.01 %.
func decay(halfLives: Double) -> Double {
  guard halfLives > 0 else { return 1 }
  guard halfLives < 60 else { return 0 }
  let whole = halfLives.rounded(.up)
  // 2 to the power of what is missing to the next whole number, 0 to 1, by its power series.
  let rest = (whole - halfLives) * 0.693_147_180_559_945_3
  let fraction = 1 + rest * (1 + rest / 2 * (1 + rest / 3 * (1 + rest / 4 * (1 + rest / 5 * (1 + rest / 6)))))
  return Double(sign: .plus, exponent: -Int(whole), significand: 1) * fraction
}

/// e to the power of -x.
func decay(exponent x: Double) -> Double { decay(halfLives: x * 1.442_695_040_888_963_4) }
