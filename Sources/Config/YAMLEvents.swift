import CYAML

/// A step of libyaml through a text.
enum YAMLEvent {
  /// The stream's begin, and the end of a document: nothing to do.
  case other
  case documentStart(YAMLPlace)
  case scalar(YAMLScalar, YAMLProperties)
  case sequenceStart(YAMLProperties)
  case mappingStart(YAMLProperties)
  /// Of a sequence or a mapping.
  case end
  case alias(YAMLPlace)
  case streamEnd
}

/// libyaml's parser over bytes that outlive it. It takes no more of the text than the events asked for need.
struct YAMLEvents: ~Copyable {
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let bytes: UnsafeBufferPointer<UInt8>

  /// `bytes` are UTF-8.
  init(_ bytes: UnsafeBufferPointer<UInt8>) throws(YAMLFault) {
    self.bytes = bytes
    parser = .allocate(capacity: 1)
    guard yaml_parser_initialize(parser) == 1 else {
      parser.deallocate()
      throw YAMLFault(reason: .limit, place: YAMLPlace(), message: "not enough memory")
    }
    // Even of no bytes libyaml wants to know where they are.
    yaml_parser_set_input_string(parser, bytes.baseAddress ?? UnsafePointer(bitPattern: 1), bytes.count)
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  /// Not to be asked again after `streamEnd` or a fault.
  mutating func next() throws(YAMLFault) -> YAMLEvent {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw fault() }
    defer { yaml_event_delete(&event) }
    let place = YAMLPlace(event.start_mark)
    switch event.type {
    case YAML_DOCUMENT_START_EVENT: return .documentStart(place)
    case YAML_ALIAS_EVENT: return .alias(place)
    case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return .end
    case YAML_STREAM_END_EVENT: return .streamEnd
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      return .scalar(
        YAMLScalar(
          text: String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self),
          style: YAMLScalar.Style(scalar.style)),
        YAMLProperties(place, scalar.anchor, scalar.tag, standard: YAML_STR_TAG))
    case YAML_SEQUENCE_START_EVENT:
      let sequence = event.data.sequence_start
      return .sequenceStart(YAMLProperties(place, sequence.anchor, sequence.tag, standard: YAML_SEQ_TAG))
    case YAML_MAPPING_START_EVENT:
      let mapping = event.data.mapping_start
      return .mappingStart(YAMLProperties(place, mapping.anchor, mapping.tag, standard: YAML_MAP_TAG))
    default: return .other
    }
  }

  /// In libyaml's words.
  private func fault() -> YAMLFault {
    let problem = parser.pointee.problem.map { String(cString: $0) } ?? "no reason known"
    switch parser.pointee.error {
    case YAML_SCANNER_ERROR, YAML_PARSER_ERROR:
      let context = parser.pointee.context.map {
        " (\(String(cString: $0)), line \(YAMLPlace(parser.pointee.context_mark).line))"
      }
      return YAMLFault(
        reason: .syntax, place: YAMLPlace(parser.pointee.problem_mark), message: "not YAML: \(problem)\(context ?? "")")
    case YAML_READER_ERROR:
      return YAMLFault(
        reason: .encoding, place: YAMLPlace(ofByte: parser.pointee.problem_offset, in: bytes),
        message: "not YAML: \(problem)")
    default: return YAMLFault(reason: .limit, place: YAMLPlace(), message: "not enough memory")
    }
  }
}

extension YAMLScalar.Style {
  fileprivate init(_ style: yaml_scalar_style_t) {
    self =
      switch style {
      case YAML_SINGLE_QUOTED_SCALAR_STYLE: .singleQuoted
      case YAML_DOUBLE_QUOTED_SCALAR_STYLE: .doubleQuoted
      case YAML_LITERAL_SCALAR_STYLE, YAML_FOLDED_SCALAR_STYLE: .block
      default: .plain
      }
  }
}

extension YAMLPlace {
  fileprivate init(_ mark: yaml_mark_t) { self.init(line: mark.line + 1, column: mark.column + 1) }
}

extension YAMLProperties {
  fileprivate init(
    _ place: YAMLPlace, _ anchor: UnsafeMutablePointer<UInt8>?, _ tag: UnsafeMutablePointer<UInt8>?, standard: String
  ) {
    self.init(place: place, anchor: anchor.map { String(cString: $0) }, tag: tag.map { String(cString: $0) })
    if self.tag == standard { self.tag = nil }
  }
}
