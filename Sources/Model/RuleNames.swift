/// Names of packages, models, plugins and processes, as people write them in settings and rules.
public enum UnitName {
  /// A file name's longest, in bytes of UTF-8.
  public static let limit = 255

  /// What is wrong with a name, to be read after it ("'' must not be empty"); nil for nothing.
  public static func fault(_ name: String) -> String? {
    if name.isEmpty { return "must not be empty" }
    if name.utf8.count > limit { return "must be at most \(limit) bytes long, not \(name.utf8.count)" }
    if name.unicodeScalars.contains(where: isUnprintable) { return "must not hold control characters" }
    if name.first == " " || name.last == " " { return "must not begin or end with a blank" }
    return nil
  }

  /// The name between the dots of a path: in quotes where it is not of letters, digits, `_` and `-` alone.
  public static func written(_ name: String) -> String {
    guard name.isEmpty || !name.unicodeScalars.allSatisfy(isBare) else { return name }
    var quoted = "\""
    for scalar in name.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { quoted += "\\" }
      quoted.unicodeScalars.append(scalar)
    }
    return quoted + "\""
  }

  /// The name between the dots of a setting's key: in quotes where its dots would part it.
  public static func inPath(_ name: String) -> String {
    name.isEmpty || name.contains { ".\"\\".contains($0) } ? written(name) : name
  }

  /// Whether a character may stand in a name without quotes.
  public static func isBare(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_", "-": true
    default: false
    }
  }

  /// Controls, line ends, and what turns the direction of the text after it.
  private static func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF, 0xFFFE, 0xFFFF: true
    default: false
    }
  }
}

/// Names of strategies and rules: they stand in paths, in URLs and on command lines.
public enum PlainName {
  public static let limit = 64

  /// What is wrong with a name, to be read after it; nil for nothing.
  public static func fault(_ name: String) -> String? {
    guard let first = name.unicodeScalars.first else { return "must not be empty" }
    if name.unicodeScalars.count > limit { return "must be at most \(limit) characters long" }
    guard ("a"..."z").contains(first) || ("A"..."Z").contains(first) else { return "must begin with a letter" }
    return name.unicodeScalars.allSatisfy(UnitName.isBare) ? nil : "must be of letters, digits, '-' and '_'"
  }
}
