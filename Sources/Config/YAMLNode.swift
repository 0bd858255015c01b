/// A part of a YAML document, as text: what a scalar means is for its reader to say.
enum YAMLNode: Sendable {
  case scalar(YAMLScalar, YAMLProperties)
  case sequence([YAMLNode], YAMLProperties)
  case mapping([YAMLPair], YAMLProperties)

  var properties: YAMLProperties {
    switch self {
    case .scalar(_, let properties), .sequence(_, let properties), .mapping(_, let properties): properties
    }
  }

  /// Where it begins: at its anchor or tag where it has one, else at its first character.
  var place: YAMLPlace { properties.place }
}

/// Text, quoted or not.
struct YAMLScalar: Sendable, Equatable {
  var text: String
  var style: Style

  /// How it is written.
  enum Style: Sendable {
    case plain
    case singleQuoted
    case doubleQuoted
    /// `|` or `>`.
    case block
  }

  /// Without quotes and not in a block, so that `~` may mean nothing and `5` a number.
  var isPlain: Bool { style == .plain }

  /// Nothing, `~` or `null`, not in quotes.
  var isEmptyValue: Bool { isPlain && ["", "~", "null", "Null", "NULL"].contains(text) }
}

/// One key and its value. A mapping keeps them in the order of the text, repeated ones too.
struct YAMLPair: Sendable {
  var key: YAMLNode
  var value: YAMLNode
  /// Where the same mapping has this key first, when it has it before; only scalars are compared, by their text.
  var first: YAMLPlace?
}

/// What stands before a node's text.
struct YAMLProperties: Sendable, Equatable {
  var place: YAMLPlace
  /// `x` for `&x`.
  var anchor: String?
  /// Written out, and other than what the node is anyway (`!!str`, `!!seq`, `!!map`).
  var tag: String?

  /// Neither anchor nor tag.
  var arePlain: Bool { anchor == nil && tag == nil }
}

/// From 1; columns count Unicode scalars, a tab as one. Lines end where YAML 1.1 says: LF, CR, CR LF, NEL, LS and PS.
struct YAMLPlace: Sendable, Hashable {
  var line = 1
  var column = 1
}

/// Why a text is not read.
struct YAMLFault: Error, Hashable {
  enum Reason: Hashable {
    /// Bytes that are no UTF-8, or a character that YAML does not allow.
    case encoding
    /// No YAML, or more than one document.
    case syntax
    /// An alias: a few of them can stand for more than any memory holds.
    case alias
    /// Deeper or larger than the reader wants it.
    case limit
  }

  var reason: Reason
  var place: YAMLPlace
  var message: String
}

/// How much of a document is taken in before it is refused. The reader bounds its bytes itself.
struct YAMLLimits: Sendable {
  /// Sequences and mappings inside each other.
  var depth: Int
  /// Scalars, sequences and mappings together.
  var nodes: Int
}
