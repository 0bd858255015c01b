import FoundationEssentials
import Glibc
import Model

@testable import Views
@testable import Wire

/// JSON that came over the control socket: requests to `mlosd`, answers to `mlos`, and what `mlos` makes of them. The first byte says
/// which, from "a" on, the rest is the JSON.
enum AnswerStage {
  static func read(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let json = Array(input.dropFirst())
    let index = Int(first &- UInt8(ascii: "a")) % kinds.count
    kinds[index](json)
  }

  private static let terminal = Terminal(isTerminal: true, measured: 80, environment: [:], noColour: false)

  private static let kinds: [@Sendable ([UInt8]) -> Void] = [
    { _ = decode(AdoptRequest.self, $0) }, { _ = decode(HeapProfileRequest.self, $0) },
    { if let answer = decode(StatusAnswer.self, $0) { show(StatusView(answer: answer).lines(terminal)) } },
    { json in
      guard let answer = decode(ProcessesAnswer.self, json) else { return }
      for order in ProcessOrder.allCases { show(ProcessesView(answer: answer, order: order).lines(terminal)) }
    },
    { json in
      guard let answer = decode(ModulesAnswer.self, json) else { return }
      for order in MemoryOrder.allCases { show(ModulesView(answer: answer, order: order).lines(terminal)) }
    },
    { json in
      guard let answer = decode(PackagesAnswer.self, json) else { return }
      for order in MemoryOrder.allCases { show(PackagesView(answer: answer, pid: 7, order: order).lines(terminal)) }
    },
    { json in
      guard let answer = decode(EventsAnswer.self, json) else { return }
      show(answer.events.map { EventLine.text($0, terminal, clock: EventLine.localTime) })
    },
    { json in
      guard let answer = decode(HeapAnswer.self, json), answer.isConsistent else { return }
      for by in HeapMeasure.allCases {
        show(HeapView(answer: answer, by: by).lines(terminal))
        consume(FlameGraph(answer: answer, by: by).svg().utf8.count)
      }
      consume(PprofProfile(answer: answer).encoded().count)
    },
    { _ = decode(HeapProgressAnswer.self, $0) }, { _ = decode(AdoptAnswer.self, $0) }, { _ = decode(ErrorAnswer.self, $0) },
    { if let answer = decode(ConfigAnswer.self, $0) { show(ConfigView(answer: answer, showsOrigin: true).lines(terminal)) } },
    { consume(JSONText.indented($0).utf8.count) },
  ]

  private static func show(_ lines: [String]) { consume(lines.count) }

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
