import Model

/// What the files of run-time changes have in common: JSON with `format`, `version` and lists, written whole, so that it is the old one
/// or the new one whenever the machine stops. One that MLOS did not write, or of which a part is missing, is refused and left as it is.
///
/// There is one writer: the supervisor that holds the sockets.
struct RuntimeFile {
  /// The value of `format`.
  let format: String
  let version = "1"
  /// Names of the lists, in their order.
  let lists: [String]
  /// A list that this version does not write any more, and never wrote anything into.
  var emptyBefore: String?
  let limits: YAMLLimits

  /// Nil where there is no file.
  func read(_ path: String) throws(ConfigErrors) -> [UInt8]? {
    do throws(FileFault) { return try readWhole(path, limit: ConfigurationFile.sizeLimit) } catch {
      if error.isMissing { return nil }
      throw ConfigErrors([ConfigError(code: error.code, source: .file(path, line: nil, column: nil), message: error.message)])
    }
  }

  /// When it returns the bytes are on the disk.
  func write(_ bytes: [UInt8], to path: String) throws(ConfigErrors) {
    func refused(_ code: ConfigError.Code, _ message: String) -> ConfigErrors {
      ConfigErrors([ConfigError(code: code, source: .file(path, line: nil, column: nil), message: message)])
    }
    guard bytes.count <= ConfigurationFile.sizeLimit else {
      throw refused(.tooLarge, "would have \(bytes.count) bytes, and more than \(ConfigurationFile.sizeLimit) are not read")
    }
    do throws(FileFault) { try writeWhole(bytes, to: path) } catch { throw refused(error.code, error.message) }
  }

  /// - Parameter items: For each list its items as JSON.
  func encode(_ items: [[String]]) -> [UInt8] {
    func list(_ lines: [String]) -> String {
      lines.isEmpty ? "[]" : "[\n\(lines.map { "    \($0)" }.joined(separator: ",\n"))\n  ]"
    }
    let members =
      ["\"format\": \(quoted(format))", "\"version\": \(version)"]
      + zip(lists, items).map { "\(quoted($0)): \(list($1))" }
    return Array("{\n\(members.map { "  \($0)" }.joined(separator: ",\n"))\n}\n".utf8)
  }

  func refused(_ code: ConfigError.Code, _ path: String, _ place: YAMLPlace?, _ message: String) -> ConfigErrors {
    ConfigErrors([
      ConfigError(
        code: code, source: .file(path, line: place?.line, column: place?.column),
        message: message + "; the file is left as it is")
    ])
  }

  /// The items of each list. JSON is YAML, as far as it is written above.
  func decode(_ bytes: [UInt8], path: String) throws(ConfigErrors) -> [[YAMLNode]] {
    let root: YAMLNode?
    do throws(YAMLFault) { root = try YAMLNode.compose(bytes, limits: limits) } catch {
      throw refused(.foreign, path, error.place, "not whole, or not written by MLOS: \(error.message)")
    }
    guard case .mapping(let pairs, _)? = root, let found = Self.members(pairs), found["format"]?.scalarText == format else {
      throw refused(.foreign, path, root?.place, root == nil ? "empty, and so not whole" : "not written by MLOS")
    }
    guard let known = found["version"]?.scalarText, known == version else {
      throw refused(
        .foreign, path, found["version"]?.place,
        "written by a newer MLOS: version \(quotable(found["version"]?.scalarText ?? "unknown")), known is \(version)")
    }
    let items = lists.compactMap { name in if case .sequence(let items, _)? = found[name] { items } else { nil } }
    var others = found.count - lists.count - 2
    if let emptyBefore, case .sequence(let rest, _)? = found[emptyBefore], rest.isEmpty { others -= 1 }
    guard items.count == lists.count, others == 0 else {
      throw refused(.foreign, path, root?.place, "not written by MLOS")
    }
    return items
  }

  static func members(_ pairs: [YAMLPair]) -> [String: YAMLNode]? {
    var found: [String: YAMLNode] = [:]
    for pair in pairs {
      guard let key = pair.key.scalarText, found.updateValue(pair.value, forKey: key) == nil else { return nil }
    }
    return found
  }
}

extension YAMLNode {
  var scalarText: String? { if case .scalar(let scalar, _) = self { scalar.text } else { nil } }

  /// Of a mapping with just these keys.
  func members(_ keys: String...) -> [String: YAMLNode]? {
    guard case .mapping(let pairs, _) = self, let found = RuntimeFile.members(pairs), found.count == keys.count,
      keys.allSatisfy({ found[$0] != nil })
    else { return nil }
    return found
  }
}
