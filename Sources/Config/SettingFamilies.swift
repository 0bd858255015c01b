import Model

/// Settings of things that people name: the same ones again for each name, `unloading.packages.NAME.strategy`.
public struct SettingFamily: Sendable {
  /// What the names stand in: `unloading.packages`.
  public let section: String
  /// What is wrong with a name; nil for nothing.
  let faultOfName: @Sendable (String) -> String?
  /// The name as it is kept.
  let folded: @Sendable (String) -> String
  public let members: [Member]

  /// One setting of each name.
  public struct Member: Sendable {
    /// Nil where the name has the value itself.
    public let name: String?
    let declaration: @Sendable (_ path: String) -> any SettingDeclaration
  }

  /// The declaration with NAME for the name, for documents.
  func sample(_ member: Member) -> any SettingDeclaration {
    member.declaration(([section, "NAME"] + (member.name.map { [$0] } ?? [])).joined(separator: "."))
  }

  /// Thirty days: longer than that is never, and there is `allow_unload` to say so.
  static let timeouts: ClosedRange<Duration> = .seconds(1) ... .seconds(2_592_000)

  public static let all: [SettingFamily] = [
    SettingFamily(
      section: "unloading.strategies",
      faultOfName: {
        StrategyName.standard.contains($0)
          ? "is always there; its time is set by unloading.\($0)_timeout" : PlainName.fault($0)
      },
      folded: { $0.lowercased() },
      members: [
        Member(name: nil) {
          SettingKey<Duration>(
            $0, default: .seconds(900), in: timeouts, reloadable: true, "A strategy of one's own: the time a package may be idle")
        }
      ]),
    SettingFamily(
      section: "unloading.packages", faultOfName: UnitName.fault, folded: { $0 },
      members: [
        Member(name: "strategy") {
          SettingKey<StrategyName>($0, default: StrategyName("balanced"), reloadable: true, "The strategy of one package")
        },
        Member(name: "allow_unload") {
          SettingKey<Bool>($0, default: true, reloadable: true, "false: it is never unloaded; true: it may go early")
        },
        Member(name: "class") {
          SettingKey<UnitClass>(
            $0, default: .important, reloadable: true, "critical is never unloaded, optional goes before important")
        },
      ]),
  ]
}

extension SettingKeys {
  /// What a name stands for.
  enum Meaning {
    case setting(any SettingDeclaration, name: String)
    /// A mapping of further keys; those, for people.
    case section(name: String, holds: String)
    /// A mapping of names that people choose.
    case names(name: String, holds: String)
    /// In words.
    case nothing(ConfigError.Code, String)
    /// The list of rules.
    case rules

    /// In full, as messages have it; nil where there is nothing of the name.
    var name: String? {
      switch self {
      case .setting(_, let name), .section(let name, _), .names(let name, _): name
      case .rules: "rules"
      case .nothing: nil
      }
    }
  }

  /// What a path stands for: a key of the table, one of a family, or something on the way to them.
  static func meaning(of path: SettingPath) -> Meaning {
    let text = path.text
    if text == "rules" { return .rules }
    if let key = byName[text] { return .setting(key, name: text) }
    for family in SettingFamily.all {
      if text == family.section { return .names(name: text, holds: family.holds(of: "NAME")) }
      let section = family.section.split(separator: ".").map(String.init)
      guard path.parts.count > section.count, path.parts.starts(with: section) else { continue }
      return family.meaning(of: path.parts[section.count], Array(path.parts[(section.count + 1)...]))
    }
    if sections.contains(text) {
      let holds =
        all.map(\.name).filter { $0.hasPrefix(text + ".") }
        + SettingFamily.all.map(\.section).filter { $0.hasPrefix(text + ".") }
      return .section(name: text, holds: holds.joined(separator: ", "))
    }
    let near = nearestName(to: text, among: Array(byName.keys) + Array(sections) + SettingFamily.all.map(\.section) + ["rules"])
    return .nothing(.unknownKey, unknownKeyMessage(text, near: near))
  }

  private static func unknownKeyMessage(_ name: String, near: String?) -> String {
    "unknown key '\(quotable(name))'" + (near.map { "; did you mean '\($0)'?" } ?? "")
  }
}

extension SettingFamily {
  fileprivate func meaning(of name: String, _ rest: [String]) -> SettingKeys.Meaning {
    let path = SettingPath(section.split(separator: ".").map(String.init) + [folded(name)])
    let text = path.appending(rest).text
    if let problem = faultOfName(folded(name)) {
      return .nothing(.outOfRange, "'\(quotable(text))': the name '\(quotable(name))' \(problem)")
    }
    let names = members.compactMap(\.name)
    if let member = members.first(where: { ($0.name.map { [$0] } ?? []) == rest }) {
      return .setting(member.declaration(text), name: text)
    }
    if rest.isEmpty { return .section(name: text, holds: holds(of: SettingPath([folded(name)]).text)) }
    let near = rest.count == 1 ? nearestName(to: rest[0], among: names) : nil
    let suggestion = near.map { "; did you mean '\(quotable(path.appending([$0]).text))'?" }
    return .nothing(.unknownKey, "unknown key '\(quotable(text))'" + (suggestion ?? "; '\(section)' holds \(holds(of: "NAME"))"))
  }

  /// `NAME.strategy, NAME.allow_unload, ...`
  fileprivate func holds(of name: String) -> String {
    members.map { member in "\(section).\(name)" + (member.name.map { ".\($0)" } ?? "") }.joined(separator: ", ")
  }
}
