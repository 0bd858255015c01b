/// Reads `mlos.yaml`: a mapping of mappings down to the values. Everything wrong in it is found at once; nothing of YAML
/// that a configuration file does not need is read (anchors, aliases, tags).
enum ConfigurationFile {
  /// 1 MiB: a thousand times what a configuration with every key takes.
  static let sizeLimit = 1 << 20
  /// The table's keys have at most four parts; a thousand rules have about twelve values each.
  static let limits = YAMLLimits(depth: 16, nodes: 20_000)
  /// Nobody reads more at once.
  static let complaintLimit = 100

  static func read(_ bytes: [UInt8], path: String) -> Settings.Reading {
    var walk = Walk(path: path, bytes: bytes)
    do throws(YAMLFault) {
      if let root = try YAMLNode.compose(bytes, limits: limits) { walk.root(root) }
    } catch {
      walk.complain(ConfigError.Code(error.reason), error.place, error.message)
    }
    walk.reading.errors.sort { ($0.line ?? 0, $0.column ?? 0, $0.message) < ($1.line ?? 0, $1.column ?? 0, $1.message) }
    return walk.reading
  }
}

extension ConfigError.Code {
  fileprivate init(_ reason: YAMLFault.Reason) {
    switch reason {
    case .encoding: self = .encoding
    case .syntax, .limit: self = .syntax
    case .alias: self = .unsupported
    }
  }
}
