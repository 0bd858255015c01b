import CAgentABI
import Testing

@testable import AgentCoreHosted

/// One scripted conversation. C function pointers carry no context, so the script is in globals and the suite serialized.
private struct Script {
  var commands: [UInt32] = []
  var results: [(code: UInt32, status: UInt32, value: Int64)] = []
  var disconnects = 0
  /// Commands whose answer was put off, and how often the loop came to send it.
  var deferred: [UInt32] = []
  var finishes = 0
}
nonisolated(unsafe) private var script = Script()

@Suite("The control loop", .serialized)
struct ControlLoopTests {
  private func converse(_ commands: [UInt32], refresh: @escaping @convention(c) () -> Int64) -> Script {
    script = Script(commands: commands)
    var ops = mlos_control_ops(
      now_ms: { 0 },
      wait: { _ in UInt32(MLOS_WAKE_STOP.rawValue) },
      connect: { MLOS_CONNECT_ABSENT.rawValue },
      disconnect: { script.disconnects += 1 },
      receive: { command in
        guard !script.commands.isEmpty else { return MLOS_RECEIVED_NOTHING.rawValue }
        command.pointee.code = script.commands.removeFirst()
        return command.pointee.code == 0 ? MLOS_RECEIVED_CLOSED.rawValue : MLOS_RECEIVED_COMMAND.rawValue
      },
      reply: { command, status, value, _ in script.results.append((command.pointee.code, status, value)) },
      now_ns: { 0 },
      refresh: refresh,
      is_connected: { 1 },
      heap: { command, value in
        value.pointee = 6
        return command.pointee.code == MLOS_COMMAND_HEAP_START.rawValue
          ? MLOS_RESULT_FAILED.rawValue : MLOS_RESULT_OK.rawValue
      },
      reclaim: { command, value in
        switch command.pointee.code {
        case MLOS_COMMAND_TRIM.rawValue:
          value.pointee = 1
          return MLOS_RESULT_OK.rawValue
        case MLOS_COMMAND_COLLECT.rawValue:
          script.deferred.append(command.pointee.code)
          return MLOS_ANSWERED_LATER
        default: return MLOS_RESULT_UNSUPPORTED.rawValue
        }
      },
      finish_answers: { _ in
        script.finishes += 1
        return 0
      })
    runControlLoop(&ops)
    return script
  }

  @Test func everyCommandIsAnsweredOnce() {
    let unknown: UInt32 = 999
    let outcome = converse([MLOS_COMMAND_PING.rawValue, MLOS_COMMAND_REFRESH_MODULES.rawValue, unknown]) { 7 }
    #expect(outcome.results.map(\.code) == [MLOS_COMMAND_PING.rawValue, MLOS_COMMAND_REFRESH_MODULES.rawValue, unknown])
    #expect(
      outcome.results.map(\.status) == [
        MLOS_RESULT_OK.rawValue, MLOS_RESULT_OK.rawValue, MLOS_RESULT_UNSUPPORTED.rawValue,
      ])
    #expect(outcome.results.map(\.value) == [0, 7, 0])
  }

  @Test func aTableThatIsBusyIsReportedAsFailed() {
    let outcome = converse([MLOS_COMMAND_REFRESH_MODULES.rawValue]) { -1 }
    #expect(outcome.results.map(\.status) == [MLOS_RESULT_FAILED.rawValue])
  }

  @Test func aHeapProfileIsBegunAndEndedByTheCSide() {
    let outcome = converse([MLOS_COMMAND_HEAP_START.rawValue, MLOS_COMMAND_HEAP_STOP.rawValue]) { 7 }
    #expect(outcome.results.map(\.status) == [MLOS_RESULT_FAILED.rawValue, MLOS_RESULT_OK.rawValue])
    #expect(outcome.results.map(\.value) == [6, 6])
  }

  @Test func whatGivesMemoryBackIsTheCSides() {
    let outcome = converse([MLOS_COMMAND_TRIM.rawValue]) { 0 }
    #expect(outcome.results.map(\.status) == [MLOS_RESULT_OK.rawValue])
    #expect(outcome.results.map(\.value) == [1])
  }

  @Test func aCommandThatIsAnsweredLaterGetsNoAnswerNow() {
    let outcome = converse([MLOS_COMMAND_COLLECT.rawValue, MLOS_COMMAND_PING.rawValue]) { 0 }
    #expect(outcome.deferred == [MLOS_COMMAND_COLLECT.rawValue])
    #expect(outcome.results.map(\.code) == [MLOS_COMMAND_PING.rawValue], "the next command does not wait for it")
    #expect(outcome.finishes == 1, "answers that may be there are sent before the thread sleeps")
  }

  @Test func theEndOfTheConnectionClosesOurSide() {
    let outcome = converse([0]) { 0 }
    #expect(outcome.disconnects == 1)
    #expect(outcome.results.isEmpty)
  }
}
