import Model
import Testing

@testable import Simulator

@Suite struct TraceReaderTests {
  static let header = #"{"format":"mlos.trace/1","source":"s","recorder":"r","machine":"m","duration":100}"#
  static let torch = #"{"unit":"torch","kind":"package","bytes":1000,"reload":2.5}"#

  private func fault(_ text: String) -> TraceError? {
    do {
      _ = try Trace(reading: Array(text.utf8))
      return nil
    } catch {
      return error
    }
  }

  @Test func aTraceReadsAsItWasWritten() throws {
    let trace = Trace(
      header: .init(source: "a \"quoted\" ü", recorder: "r\\", machine: "m", duration: 12.5),
      units: [
        .init("numpy", bytes: Bytes(1 << 50), reloadSeconds: 0),
        .init("torch", kind: .model, bytes: Bytes(1), reloadSeconds: 0.1, needs: [0]),
      ],
      events: [.init(time: 0, unit: 1), .init(time: 0, unit: 0, busy: 0.001), .init(time: 12.5, unit: 1, busy: 1e-9)])
    #expect(try Trace(reading: Array(trace.text().utf8)) == trace)
  }

  @Test func escapesAndSpaceAreJSON() throws {
    let text = """
      { "format" : "mlos.trace\\/1", "duration":1e2 ,"source":"\\u00fc\\ud83d\\ude00\\"","recorder":"r","machine":"m" }\r
      {"unit":"t\\u0061","kind":"closed-module","bytes":1e3,"reload":0,"needs":[]}
      {"use":"ta","t":0.5e1}

      """
    let trace = try Trace(reading: Array(text.utf8))
    #expect(trace.header.source == "ü😀\"")
    #expect(trace.header.duration == 100)
    #expect(trace.units == [.init("ta", kind: .closedModule, bytes: Bytes(1000), reloadSeconds: 0)])
    #expect(trace.events == [.init(time: 5, unit: 0)])
  }

  struct Case: CustomTestStringConvertible {
    var text: String
    var line: Int
    var fault: TraceError.Fault
    var testDescription: String { "\(fault) \(text.suffix(60).debugDescription)" }
  }

  private static func event(_ text: String, _ fault: TraceError.Fault) -> Case {
    Case(text: "\(header)\n\(torch)\n\(text)\n", line: 3, fault: fault)
  }

  private static func unit(_ text: String, _ fault: TraceError.Fault) -> Case {
    Case(text: "\(header)\n\(torch)\n\(text)\n", line: 3, fault: fault)
  }

  private static func head(_ text: String, _ fault: TraceError.Fault) -> Case { Case(text: text, line: 1, fault: fault) }

  static let cases: [Case] = [
    head("", .empty),
    head("\n", .syntax(column: 1, expected: "'{'")),
    head(header, .tornLastLine),
    Case(text: "\(header)\n{\"unit\":\"to", line: 2, fault: .tornLastLine),
    Case(text: "\(header)\n\(torch)", line: 2, fault: .tornLastLine),
    head("{}\n", .missingKey("format")),
    head(header.replacing("trace/1", with: "trace/2") + "\n", .format("mlos.trace/2")),
    head(torch + "\n", .missingKey("format")),
    head(header.replacing("100", with: "-1") + "\n", .outOfRange(key: "duration", allowed: "0.0 to 31536000.0")),
    head(header.replacing("\"s\"", with: "\"\"") + "\n", .badName("source")),
    head(header.replacing("\"s\"", with: "\"a\\u0007\"") + "\n", .badName("source")),
    head(header.replacing("\"s\"", with: "\"\(String(repeating: "x", count: 257))\"") + "\n", .badName("source")),
    Case(text: "\(header)\n\(header)\n", line: 2, fault: .missingKey("t")),
    unit(torch, .repeatedUnit("torch")),
    unit(torch.replacing("torch", with: "a").replacing("package", with: "thing"), .unknownKind("thing")),
    unit(
      torch.replacing("torch", with: "a").replacing("1000", with: "0"),
      .outOfRange(key: "bytes", allowed: "1.0 to 1125899906842624.0")),
    unit(
      torch.replacing("torch", with: "a").replacing("1000", with: "1.5"), .outOfRange(key: "bytes", allowed: "a whole number")),
    unit(torch.replacing("torch", with: "a").replacing("1000", with: "\"x\""), .type(key: "bytes", expected: "a number")),
    unit(
      torch.replacing("torch", with: "a").replacing("2.5", with: "1e6"), .outOfRange(key: "reload", allowed: "0.0 to 86400.0")),
    unit(torch.replacing("torch", with: "a").dropLast() + #","needs":["b"]}"#, .unknownUnit("b")),
    unit(torch.replacing("torch", with: "a").dropLast() + #","needs":["a"]}"#, .unknownUnit("a")),
    unit(torch.replacing("torch", with: "a").dropLast() + #","needs":["torch","torch"]}"#, .repeatedUnit("torch")),
    unit(torch.replacing("torch", with: "a").dropLast() + #","colour":1}"#, .unknownKey("colour")),
    event(#"{"t":1,"use":"tensorflow"}"#, .unknownUnit("tensorflow")),
    event(#"{"t":-1,"use":"torch"}"#, .outOfRange(key: "t", allowed: "0.0 to 31536000.0")),
    event(#"{"t":NaN,"use":"torch"}"#, .syntax(column: 6, expected: "a string, a number or a list of strings")),
    event(#"{"t":1e999,"use":"torch"}"#, .syntax(column: 11, expected: "a number that fits 64 bits")),
    event(#"{"t":01,"use":"torch"}"#, .syntax(column: 7, expected: "',' or '}'")),
    event(#"{"t":1.,"use":"torch"}"#, .syntax(column: 8, expected: "a digit")),
    event(#"{"t":101,"use":"torch"}"#, .pastTheEnd(duration: 100)),
    event(#"{"t":1,"use":"torch","busy":-0.1}"#, .outOfRange(key: "busy", allowed: "0.0 to 31536000.0")),
    event(#"{"t":1,"t":1,"use":"torch"}"#, .repeatedKey("t")),
    event(#"{"t":1,"use":"torch","by":"x"}"#, .unknownKey("by")),
    event(#"{"t":1,"use":"torch"} x"#, .syntax(column: 23, expected: "the end of the line")),
    event(#"{"t":1,"use":["torch"]}"#, .type(key: "use", expected: "a string")),
    event(#"{"t":1,"use":"\ud800"}"#, .syntax(column: 21, expected: "a surrogate pair")),
    event(#"{"t":1,"use":"\x"}"#, .syntax(column: 17, expected: "an escape")),
    event(#"{"t":1,"use":true}"#, .syntax(column: 14, expected: "a string, a number or a list of strings")),
    event(#"{"t":1,"use":{}}"#, .syntax(column: 14, expected: "a string, a number or a list of strings")),
    Case(
      text: "\(header)\n\(torch)\n{\"t\":2,\"use\":\"torch\"}\n{\"t\":1,\"use\":\"torch\"}\n", line: 4,
      fault: .timeBackwards(previous: 2)),
    Case(
      text: "\(header)\n\(torch)\n{\"t\":2,\"use\":\"torch\"}\n\(torch.replacing("torch", with: "a"))\n", line: 4,
      fault: .unitAfterEvent),
    Case(
      text: "\(header)\n" + String(repeating: "x", count: Trace.Limit.lineBytes + 1), line: 2,
      fault: .lineTooLong(limit: Trace.Limit.lineBytes)),
    Case(
      text: "\(header)\n" + String(repeating: " ", count: Trace.Limit.lineBytes + 1) + "\n", line: 2,
      fault: .lineTooLong(limit: Trace.Limit.lineBytes)),
  ]

  @Test("what is wrong with a trace is said with its line", arguments: cases)
  func refusal(of example: Case) {
    #expect(fault(example.text) == TraceError(line: example.line, example.fault))
  }

  @Test func bytesThatAreNoTextAreRefused() {
    let bytes = Array(Self.header.replacing("\"s\"", with: "\"?\"").utf8).map { $0 == UInt8(ascii: "?") ? 0xFF : $0 } + [10]
    #expect(throws: TraceError(line: 1, .notUTF8)) { try Trace(reading: bytes) }
  }

  @Test func moreUnitsThanTheLimitAreRefused() {
    var text = Self.header + "\n"
    for index in 0...Trace.Limit.units { text += #"{"unit":"\#(index)","kind":"model","bytes":1,"reload":0}"# + "\n" }
    #expect(fault(text) == TraceError(line: Trace.Limit.units + 2, .tooMany("units", limit: Trace.Limit.units)))
  }

  @Test func moreNeedsThanTheLimitAreRefused() {
    let needs = Array(repeating: "\"torch\"", count: Trace.Limit.needs + 1).joined(separator: ",")
    let text = "\(Self.header)\n\(Self.torch)\n{\"unit\":\"a\",\"needs\":[\(needs)]}\n"
    #expect(fault(text) == TraceError(line: 3, .tooMany("needs", limit: Trace.Limit.needs)))
  }

  /// Every prefix and every changed byte of a good trace is read or refused, and never ends the program.
  @Test func damagedTracesAreReadOrRefused() {
    let good = Array("\(Self.header)\n\(Self.torch)\n{\"t\":1.5,\"use\":\"torch\",\"busy\":2}\n".utf8)
    var read = 0
    for end in good.indices where (try? Trace(reading: Array(good[..<end]))) != nil { read += 1 }
    // A line that ends makes a trace.
    #expect(read == 2)
    var random = RandomSource(seed: 1)
    for _ in 0..<3000 {
      var bytes = good
      bytes[random.below(bytes.count)] = UInt8(random.below(256))
      _ = try? Trace(reading: bytes)
    }
  }
}
