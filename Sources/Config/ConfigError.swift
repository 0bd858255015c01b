/// One thing wrong with the configuration.
public struct ConfigError: Error, Hashable, Sendable {
  /// What kind of mistake it is.
  public enum Code: String, Hashable, Sendable {
    /// The file cannot be opened or read.
    case unreadable
    /// The file is larger than `ConfigurationFile.sizeLimit`.
    case tooLarge = "too-large"
    /// Bytes that are no UTF-8, or a NUL.
    case encoding
    /// No YAML, or more of it than a configuration needs.
    case syntax
    /// Anchors, aliases and tags are not read.
    case unsupported
    case notAMapping = "not-a-mapping"
    case unknownKey = "unknown-key"
    case duplicateKey = "duplicate-key"
    case wrongType = "wrong-type"
    case outOfRange = "out-of-range"
    /// Two settings that cannot both hold.
    case contradiction
    /// Rules that come after each other.
    case circle
    /// A name that stands for nothing: of a strategy, of a rule.
    case unknownName = "unknown-name"
    /// Cannot be changed at run time.
    case needsRestart = "needs-restart"
    /// A file that MLOS did not write, or that has lost a part.
    case foreign
    /// The file cannot be written.
    case unwritable
  }

  /// Where the value was written.
  public enum Source: Hashable, Sendable {
    /// Line and column start at 1; columns count Unicode scalars.
    case file(String, line: Int?, column: Int?)
    case environment(String)
    /// The option, e.g. `--socket`.
    case commandLine(String)
    /// A change at run time, and who wanted it.
    case runtime(who: String)
  }

  /// What kind of mistake it is.
  public var code: Code
  /// Where it is.
  public var source: Source
  /// In words, without the place.
  public var message: String
  /// Of a rule, the key it is about; nil for settings, whose message names them.
  public var field: String?

  /// A mistake at a place.
  public init(code: Code, source: Source, message: String, field: String? = nil) {
    self.field = field
    self.code = code
    self.source = source
    self.message = message
  }

  /// Nil for the environment and the command line.
  public var file: String? { if case .file(let path, _, _) = source { path } else { nil } }
  /// From 1; nil when the whole file is meant.
  public var line: Int? { if case .file(_, let line, _) = source { line } else { nil } }
  /// From 1, in Unicode scalars.
  public var column: Int? { if case .file(_, _, let column) = source { column } else { nil } }
}

extension ConfigError: CustomStringConvertible {
  /// `/etc/mlos/mlos.yaml:3:5: unknown key ...`, as compilers write it.
  public var description: String {
    switch source {
    case .file(let path, let line?, let column?): "\(path):\(line):\(column): \(message)"
    case .file(let path, let line?, nil): "\(path):\(line): \(message)"
    case .file(let path, nil, _): "\(path): \(message)"
    case .environment(let name): "environment \(name): \(message)"
    case .commandLine(let option): "command line \(option): \(message)"
    case .runtime(let who): "change by \(who): \(message)"
    }
  }
}

/// Everything wrong with the configuration, never empty: the file's errors by line, then the environment's by name, then
/// the command line's.
public struct ConfigErrors: Error, Hashable, Sendable, CustomStringConvertible {
  /// In the order above.
  public var errors: [ConfigError]
  /// At least one.
  public init(_ errors: [ConfigError]) { self.errors = errors }
  /// One a line.
  public var description: String { errors.map(\.description).joined(separator: "\n") }
}
