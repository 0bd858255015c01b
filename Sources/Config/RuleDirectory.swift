import Glibc

/// Files of rules beside the configuration file: everything in `rules.d` that ends in `.yaml`, by name.
struct RuleDirectory {
  /// More files than there can be rules.
  static let fileLimit = 1000

  let path: String

  init(besideFile file: String) { path = RuntimePaths.directory(of: file) + "/rules.d" }

  /// Adds the rules of the files; says what is wrong with them. A folder that is missing holds none.
  func read(into rules: inout [PlacedRule]) -> [ConfigError] {
    let names: [String]
    do throws(FileFault) { names = try fileNames() } catch {
      return error.isMissing
        ? [] : [ConfigError(code: error.code, source: .file(path, line: nil, column: nil), message: error.message)]
    }
    guard names.count <= Self.fileLimit else {
      let message = "\(names.count) files of rules are more than the \(Self.fileLimit) there may be"
      return [ConfigError(code: .tooLarge, source: .file(path, line: nil, column: nil), message: message)]
    }
    var errors: [ConfigError] = []
    for name in names {
      let file = "\(path)/\(name)"
      do throws(FileFault) {
        let found = RuleFile.placed(try readWhole(file, limit: ConfigurationFile.sizeLimit), path: file)
        rules += found.rules
        errors += found.errors
      } catch {
        errors.append(ConfigError(code: error.code, source: .file(file, line: nil, column: nil), message: error.message))
      }
    }
    return errors
  }

  /// Hidden files are an editor's.
  private func fileNames() throws(FileFault) -> [String] {
    guard let folder = opendir(path) else {
      let number = errno
      throw FileFault(
        code: .unreadable, message: "cannot be read: \(String(cString: strerror(number)))",
        isMissing: number == ENOENT || number == ENOTDIR && access(path, F_OK) != 0)
    }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name.hasSuffix(".yaml"), !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }
}
