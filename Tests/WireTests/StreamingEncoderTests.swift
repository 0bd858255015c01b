import FoundationEssentials
import Testing
import Wire

@Suite struct StreamingEncoderTests {
  private struct Empty: Encodable {}
  private struct Mixed: Encodable {
    var aLongName = "x"
    var flags = [true, false]
    var nested: [[Int8]] = [[], [1, -2]]
    var nothing: Int?
    var words = ["Key One": "a", "B": "b"]
    var ratio = Float(0.5)
    var empty = Empty()
    var last = UInt8(7)
  }

  @Test("containers, absent optionals and dictionaries") func shapes() throws {
    #expect(
      String(decoding: try StreamingEncoder.encode(Mixed()), as: UTF8.self)
        == """
        {"a_long_name":"x","flags":[true,false],"nested":[[],[1,-2]],"words":{"B":"b","Key One":"a"},"ratio":0.5,"empty":{},"last":7}
        """)
    #expect(String(decoding: try StreamingEncoder.encode([String]()), as: UTF8.self) == "[]")
  }

  @Test(
    "strings come back as they were",
    arguments: ["", "\"", "\\", "a\"b\\c", "\u{0}\u{1}\u{1F}\u{7F}", "\n\r\t\u{8}\u{C}", "é日本🙂", "\u{2028}", "/"])
  func strings(text: String) throws {
    #expect(try Coding.decoder().decode([String].self, from: Data(StreamingEncoder.encode([text]))) == [text])
  }

  @Test(
    "numbers come back as they were",
    arguments: [
      0, -0.0, 1, -1, 0.1, 1e300, .leastNonzeroMagnitude, 1_800_000_012.25, 9_007_199_254_740_992, 9_007_199_254_740_994, 1e16,
    ])
  func numbers(number: Double) throws {
    #expect(try Coding.decoder().decode([Double].self, from: Data(StreamingEncoder.encode([number]))) == [number])
  }

  @Test("the largest whole numbers keep every digit") func integers() throws {
    #expect(String(decoding: try StreamingEncoder.encode([UInt64.max]), as: UTF8.self) == "[18446744073709551615]")
    #expect(String(decoding: try StreamingEncoder.encode([Int64.min]), as: UTF8.self) == "[-9223372036854775808]")
  }

  @Test("what is no number is an error", arguments: [Double.nan, .infinity]) func noNumber(number: Double) {
    #expect(throws: EncodingError.self) { try StreamingEncoder.encode(["x": number]) }
  }
}
