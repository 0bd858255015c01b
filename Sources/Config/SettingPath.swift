import Model

/// The name of a setting in its parts: `unloading.packages."zope.interface".strategy` has four.
struct SettingPath: Hashable, Sendable {
  var parts: [String]

  init(_ parts: [String]) { self.parts = parts }

  /// Reads a dotted name; a part with dots is in quotes. What cannot be parted so is one part, which no setting has.
  init(text: String) { parts = Self.parted(text) ?? [text] }

  /// As it is written; a part is in quotes where it must be.
  var text: String {
    parts.map(UnitName.inPath).joined(separator: ".")
  }

  func appending(_ more: [String]) -> SettingPath { SettingPath(parts + more) }

  private static func parted(_ text: String) -> [String]? {
    var parts = [""]
    var rest = text.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      switch scalar {
      case ".":
        guard parts.last != "", !rest.isEmpty else { return nil }
        parts.append("")
      case "\"" where parts.last == "":
        guard let name = quoted(&rest), !name.isEmpty, rest.isEmpty || rest.first == "." else { return nil }
        parts[parts.count - 1] = name
      default: parts[parts.count - 1].unicodeScalars.append(scalar)
      }
    }
    return parts
  }

  /// Up to and with the closing quote; nil when there is none.
  private static func quoted(_ rest: inout Substring.UnicodeScalarView) -> String? {
    var name = ""
    while let scalar = rest.popFirst() {
      if scalar == "\"" { return name }
      guard scalar == "\\" else {
        name.unicodeScalars.append(scalar)
        continue
      }
      guard let escaped = rest.popFirst(), escaped == "\"" || escaped == "\\" else { return nil }
      name.unicodeScalars.append(escaped)
    }
    return nil
  }
}
