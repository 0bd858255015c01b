import FoundationEssentials
import Glibc
import Model

@testable import Views
@testable import Wire

/// JSON that came over the control socket: requests to `mlosd`, answers to `mlos`, and what `mlos` makes of them. An answer says by
/// its schema which it is; requests and errors have none.
enum AnswerStage {
  static func read(_ json: [UInt8]) {
    consume(JSONText.indented(json).utf8.count)
    guard let schema = (try? Coding.decoder().decode(Named.self, from: .init(json)))?.schema else {
      _ = decode(AdoptRequest.self, json)
      _ = decode(HeapProfileRequest.self, json)
      _ = decode(ErrorAnswer.self, json)
      return
    }
    for columns in [20, 80] {
      show(json, schema, Terminal(isTerminal: true, measured: columns, environment: [:], noColour: false))
    }
  }

  private struct Named: Decodable {
    var schema: String?
  }

  private static func show(_ json: [UInt8], _ schema: String, _ terminal: Terminal) {
    switch schema {
    case StatusAnswer.schema:
      if let answer = decode(StatusAnswer.self, json) { use(StatusView(answer: answer).lines(terminal)) }
    case ProcessesAnswer.schema:
      guard let answer = decode(ProcessesAnswer.self, json) else { return }
      for order in ProcessOrder.allCases { use(ProcessesView(answer: answer, order: order).lines(terminal)) }
    case ModulesAnswer.schema:
      guard let answer = decode(ModulesAnswer.self, json) else { return }
      for order in MemoryOrder.allCases { use(ModulesView(answer: answer, order: order).lines(terminal)) }
    case PackagesAnswer.schema:
      guard let answer = decode(PackagesAnswer.self, json) else { return }
      for order in MemoryOrder.allCases { use(PackagesView(answer: answer, pid: 4711, order: order).lines(terminal)) }
    case EventsAnswer.schema:
      guard let answer = decode(EventsAnswer.self, json) else { return }
      use(answer.events.map { EventLine.text($0, terminal, clock: EventLine.localTime) })
    case HeapAnswer.schema:
      guard let answer = decode(HeapAnswer.self, json), answer.isConsistent() else { return }
      for by in HeapMeasure.allCases {
        use(HeapView(answer: answer, by: by).lines(terminal))
        consume(FlameGraph(answer: answer, by: by).svg().utf8.count)
      }
      consume(PprofProfile(answer: answer).encoded().count)
    case ConfigAnswer.schema:
      if let answer = decode(ConfigAnswer.self, json) { use(ConfigView(answer: answer, showsOrigin: true).lines(terminal)) }
    case RecommendationsAnswer.schema:
      if let answer = decode(RecommendationsAnswer.self, json) { use(RecommendationsView(answer: answer).lines(terminal)) }
    case RulesAnswer.schema:
      guard let answer = decode(RulesAnswer.self, json) else { return }
      use(RulesView(answer: answer).lines(terminal))
      for rule in answer.rules { use(RuleView(rule: rule, takenAt: answer.takenAt).lines(terminal)) }
    case ReclaimAnswer.schema:
      if let answer = decode(ReclaimAnswer.self, json) { use(ReclaimView(answer: answer).lines(terminal)) }
    case HeapProgressAnswer.schema: _ = decode(HeapProgressAnswer.self, json)
    case AdoptAnswer.schema: _ = decode(AdoptAnswer.self, json)
    default: return
    }
  }

  private static func use(_ lines: [String]) { consume(lines.count) }

  /// What was understood is the same after it was written by `mlosd`'s encoder and read again.
  private static func decode<Value: Codable & Equatable>(_ type: Value.Type, _ json: [UInt8]) -> Value? {
    guard let value = try? Coding.decoder().decode(type, from: .init(json)) else { return nil }
    guard let again = try? StreamingEncoder.encode(value), (try? Coding.decoder().decode(type, from: .init(again))) == value
    else {
      fatalError("\(type) is not what it was after writing and reading it")
    }
    return value
  }
}
