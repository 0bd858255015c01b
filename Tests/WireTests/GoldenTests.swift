import Foundation
import Testing
import Wire

/// The JSON of the API is a promise: these files change only with a field that is new.
@Suite struct GoldenTests {
  static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures/wire")

  @Test("answers are written as promised, unknown figures as null", arguments: [true, false])
  func answers(known: Bool) throws {
    let samples = Samples(known: known)
    try check(samples.status, "status", known)
    try check(samples.processes, "processes", known)
    try check(samples.modules, "modules", known)
    try check(samples.packages, "packages", known)
    try check(samples.events, "events", known)
    try check(samples.adopt, "adopt", known)
    try check(samples.config, "config", known)
    try check(samples.heap, "heap", known)
    try check(samples.heapProgress, "heap-progress", known)
    try check(samples.plan, "plan", known)
    try check(samples.reclaim, "reclaim", known)
    try check(samples.recommendations, "recommendations", known)
    try check(samples.rules, "rules", known)
    try check(samples.decisions, "decisions", known)
    try check(samples.changes, "changes", known)
    try check(samples.history, "history", known)
    try check(samples.metrics, "metrics", known)
    try check(samples.totals, "totals", known)
    try check(samples.export, "export", known)
    try check(samples.error, "error", known)
  }

  @Test("a request to adopt") func request() throws { try check(AdoptRequest(pid: 4711), "adopt-request", true) }

  @Test("a request to give memory back") func reclaimRequest() throws {
    try check(Samples.reclaimRequest, "reclaim-request", true)
    #expect(try Coding.decoder().decode(ReclaimAsked.self, from: Data("{\"pid\":1}".utf8)) == ReclaimAsked(pid: 1))
  }

  @Test("a request to add rules, or to turn one") func rulesRequest() throws {
    try check(RulesRequest(text: "rules: []", file: "torch.yaml"), "rules-request", true)
    #expect(
      try Coding.decoder().decode(RulesRequest.self, from: Data("{\"enabled\":false}".utf8)) == RulesRequest(enabled: false))
  }

  @Test("a request for a heap profile") func heapRequest() throws {
    try check(HeapProfileRequest(seconds: 30, package: "numpy", meanBytes: 65_536), "heap-request", true)
    #expect(
      try Coding.decoder().decode(HeapProfileRequest.self, from: Data("{\"seconds\":1.5}".utf8))
        == HeapProfileRequest(seconds: 1.5))
  }

  /// Keys sorted, numbers and strings as Foundation reads them.
  private static func canonical(_ json: Data) throws -> Data {
    try JSONSerialization.data(withJSONObject: JSONSerialization.jsonObject(with: json), options: [.sortedKeys])
  }

  private func check<Answer: Codable & Equatable>(_ answer: Answer, _ name: String, _ known: Bool) throws {
    let file = Self.fixtures.appending(path: known ? "\(name).json" : "\(name)-unknown.json")
    let golden = try String(contentsOf: file, encoding: .utf8)
    let encoded = try Coding.encoder(pretty: true).encode(answer)
    #expect(String(decoding: encoded, as: UTF8.self) + "\n" == golden, "\(file.lastPathComponent)")
    #expect(try Coding.decoder().decode(Answer.self, from: Data(golden.utf8)) == answer)
    #expect(try Coding.decoder().decode(Answer.self, from: Coding.encoder().encode(answer)) == answer)
    let streamed = try StreamingEncoder.encode(answer)
    #expect(try Self.canonical(Data(streamed)) == Self.canonical(Coding.encoder().encode(answer)), "\(name)")
  }

  @Test("a field added later is no obstacle, one that is missing is") func additions() throws {
    let rows = "{\"schema\":\"mlos.config/1\",\"file\":null,\"settings\":[],\"later\":{\"a\":1}}"
    #expect(try Coding.decoder().decode(ConfigAnswer.self, from: Data(rows.utf8)).settings.isEmpty)
    #expect(throws: DecodingError.self) { try Coding.decoder().decode(ConfigAnswer.self, from: Data("{}".utf8)) }
  }
}
