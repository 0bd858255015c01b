import Wire

/// The answer in pprof's format (profile.proto of github.com/google/pprof), written by hand: two dozen fields of Protocol
/// Buffers, whose wire format is a tag and a number or a length and bytes each.
struct PprofProfile {
  var answer: HeapAnswer

  private struct Message {
    private(set) var bytes: [UInt8] = []

    mutating func number(_ field: Int, _ value: UInt64) {
      guard value != 0 else { return }
      varint(UInt64(field) << 3)
      varint(value)
    }
    mutating func message(_ field: Int, _ other: Message) { content(field, other.bytes) }
    mutating func text(_ field: Int, _ text: String) { content(field, Array(text.utf8)) }
    mutating func packed(_ field: Int, _ values: [UInt64]) {
      var part = Message()
      for value in values { part.varint(value) }
      content(field, part.bytes)
    }
    private mutating func content(_ field: Int, _ content: [UInt8]) {
      varint(UInt64(field) << 3 | 2)
      varint(UInt64(content.count))
      bytes += content
    }
    private mutating func varint(_ value: UInt64) {
      var rest = value
      while rest >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      bytes.append(UInt8(rest))
    }
  }

  /// Strings are kept once and named by their place; the first is empty.
  private struct Strings {
    private(set) var all = [""]
    private var places = ["": 0]

    mutating func place(_ text: String) -> UInt64 {
      if let known = places[text] { return UInt64(known) }
      places[text] = all.count
      all.append(text)
      return UInt64(all.count - 1)
    }
  }

  func encoded() -> [UInt8] {
    var strings = Strings()
    var profile = Message()
    func valueType(_ type: String, _ unit: String) -> Message {
      var message = Message()
      message.number(1, strings.place(type))
      message.number(2, strings.place(unit))
      return message
    }
    for (type, unit) in [
      ("inuse_objects", "count"), ("inuse_space", "bytes"), ("alloc_objects", "count"), ("alloc_space", "bytes"),
    ] {
      profile.message(1, valueType(type, unit))
    }
    for stack in answer.stacks {
      var sample = Message()
      sample.packed(1, stack.frames.map { UInt64($0 + 1) })
      sample.packed(
        2,
        [stack.live.objects, stack.live.bytes, stack.allocated.objects, stack.allocated.bytes].map { min($0, UInt64(Int64.max)) })
      var label = Message()
      label.number(1, strings.place("package"))
      label.number(2, strings.place(answer.packages[stack.package].name))
      sample.message(3, label)
      profile.message(2, sample)
    }
    var mappings: [String: UInt64] = [:]
    // pprof names the profile after the first: the program, where the outermost call is.
    let outermost = answer.stacks.first { $0.isComplete }?.frames.last.map { answer.frames[$0] }
    for frame in [outermost].compactMap(\.self) + answer.frames {
      guard let module = frame.module.value, mappings[module] == nil else { continue }
      mappings[module] = UInt64(mappings.count + 1)
      var mapping = Message()
      mapping.number(1, UInt64(mappings.count))
      mapping.number(5, strings.place(module))
      mapping.number(7, 1)
      profile.message(3, mapping)
    }
    for (index, frame) in answer.frames.enumerated() {
      var line = Message()
      line.number(1, UInt64(index + 1))
      var location = Message()
      location.number(1, UInt64(index + 1))
      location.number(2, frame.module.value.flatMap { mappings[$0] } ?? 0)
      location.number(3, frame.address)
      location.message(4, line)
      profile.message(4, location)
      var function = Message()
      function.number(1, UInt64(index + 1))
      function.number(2, strings.place(HeapFrameName.text(frame)))
      function.number(3, strings.place(HeapFrameName.text(frame)))
      function.number(4, strings.place(frame.module.value ?? ""))
      profile.message(5, function)
    }
    let period = valueType("space", "bytes")
    profile.number(9, Self.nanoseconds(answer.startedAt))
    profile.number(10, Self.nanoseconds(answer.seconds))
    profile.message(11, period)
    profile.number(12, answer.sampling.meanBytes)
    profile.number(14, strings.place("inuse_space"))
    for text in strings.all { profile.text(6, text) }
    return profile.bytes
  }

  /// Of a time or a length of time; 0, which the format takes for not known, for one that does not fit.
  private static func nanoseconds(_ seconds: Double) -> UInt64 {
    Int64(exactly: (seconds * 1e9).rounded()).map { UInt64(max($0, 0)) } ?? 0
  }
}

/// What a frame is called: the function, or where it is in its file.
enum HeapFrameName {
  static func text(_ frame: HeapFrameRow) -> String {
    if let function = frame.function.value { return function }
    let place = "0x" + String(frame.address, radix: 16)
    guard let module = frame.module.value else { return place }
    return "\(module.split(separator: "/").last.map(String.init) ?? module)+\(place)"
  }
}
