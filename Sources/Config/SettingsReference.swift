import Model

/// The settings as documents show them; a test compares the documents with this.
public enum SettingsReference {
  /// Lines of a Markdown table, the heading included.
  public static func table() -> [String] {
    ["| key | variable | default | may be | takes effect | meaning |", "|---|---|---|---|---|---|"]
      + SettingKeys.all.map { key in
        let range = key.rangeText.map { "\(key.expectation); \($0)" } ?? key.expectation
        return "| `\(key.name)` | `\(key.environmentName)` | \(key.defaultNote ?? code(standard(key))) | \(range) | "
          + "\(key.isReloadable ? "on reload" : "at start") | \(key.summary) |"
      }
  }

  /// Lines of a Markdown table of the settings that there are of each name people choose.
  public static func namedTable() -> [String] {
    ["| key | may be | meaning |", "|---|---|---|"]
      + named.map { key in
        let range = key.rangeText.map { "\(key.expectation); \($0)" } ?? key.expectation
        return "| `\(key.name)` | \(range) | \(key.summary) |"
      }
  }

  /// Lines of a Markdown table of the metrics that rules may ask for.
  public static func metricsTable() -> [String] {
    ["| metric | is | meaning |", "|---|---|---|"]
      + MetricCatalogue.all.map { "| `\($0.name)` | \($0.unit.expectation) | \($0.summary) |" }
  }

  private static var named: [any SettingDeclaration] {
    SettingFamily.all.flatMap { family in family.members.map(family.sample) }
  }

  /// Lines of a Markdown table of the variables that are no settings.
  public static func variables() -> [String] {
    ["| variable | meaning |", "|---|---|"] + SettingKeys.otherVariables.map { "| `\($0.name)` | \($0.summary) |" }
  }

  /// `packaging/mlos.yaml`: every setting at its default, commented out.
  public static func commentedFile() -> String {
    var lines = [
      "## Configuration of mlosd. A line with one # is a setting at its default for the system's supervisor: remove the #",
      "## of it and of the sections above it. `mlos config show --origin` says what is in force and where it comes from.",
    ]
    var open: [Substring] = []
    for key in SettingKeys.all {
      let parts = key.name.split(separator: ".")
      let shared = zip(open, parts.dropLast()).prefix { $0 == $1 }.count
      if shared == 0 { lines.append("") }
      let margin = { (depth: Int) in String(repeating: "  ", count: depth) }
      for depth in shared..<(parts.count - 1) { lines.append("#\(margin(depth))\(parts[depth]):") }
      let range = key.rangeText.map { " (\($0))" } ?? ""
      lines.append("##\(margin(parts.count - 1)) \(key.summary)\(range)")
      lines.append("#\(margin(parts.count - 1))\(parts[parts.count - 1]): \(yaml(standard(key)))")
      open = Array(parts.dropLast())
    }
    lines += ["", "## Of names you choose; not set here:"]
    for key in named {
      let range = key.rangeText.map { " (\($0))" } ?? ""
      lines.append("##   \(key.name): \(key.summary)\(range)")
    }
    lines.append("## Rules stand in the list `rules`, here or in files of the folder rules.d beside this one.")
    return lines.joined(separator: "\n") + "\n"
  }

  private static func standard(_ key: any SettingDeclaration) -> String {
    key.defaultValue(RuntimePaths(user: 0, environment: [:]) { _ in false }).settingText
  }

  private static func code(_ text: String) -> String { text.isEmpty ? "empty" : "`\(text)`" }
  private static func yaml(_ text: String) -> String { text.isEmpty ? "\"\"" : text }
}
