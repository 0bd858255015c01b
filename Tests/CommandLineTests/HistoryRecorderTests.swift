import Simulator
import Testing
import Wire

@testable import mlos

@Suite struct HistoryRecorderTests {
  private func processes(_ seconds: Double, private bytes: UInt64? = 100 << 20) throws -> ProcessesAnswer {
    var answer: ProcessesAnswer = try ViewTests.fixture("processes")
    answer.processes[0].processorSeconds = seconds
    answer.processes[0].privateBytes = Known(bytes)
    return answer
  }

  private func trace(_ recorder: HistoryRecorder) -> Trace {
    recorder.trace(source: "test", recorder: "mlos", machine: "m", duration: 100)
  }

  @Test("a process is used when it runs after it has first rested") func usesOfProcesses() throws {
    var recorder = HistoryRecorder()
    // Two looks while it starts, one at which it rests, two at which it has worked.
    for (time, seconds) in [(0.0, 0.5), (1, 2.0), (2, 2.0), (3, 2.5), (4, 2.5), (5, 3.0)] {
      recorder.take(try processes(seconds), at: time)
    }
    let trace = trace(recorder)
    #expect(trace.units.map(\.name) == ["python3 (4711)"])
    #expect(trace.units[0].reloadSeconds == 2 && trace.units[0].bytes.count == 100 << 20)
    #expect(trace.events.map(\.time) == [3, 5])
  }

  @Test("the largest size counts, and what holds nothing is left out") func sizes() throws {
    var recorder = HistoryRecorder()
    recorder.take(try processes(1, private: 7), at: 0)
    recorder.take(try processes(1, private: 3), at: 1)
    #expect(trace(recorder).units[0].bytes.count == 7)
    var empty = HistoryRecorder()
    empty.take(try processes(1, private: 0), at: 0)
    #expect(trace(empty).units.isEmpty)
  }

  @Test("a package is used when its last use moves; the first one told may be older") func usesOfPackages() throws {
    var recorder = HistoryRecorder()
    var answer: PackagesAnswer = try ViewTests.fixture("packages")
    for (time, used) in [(0.0, 10.0), (1, 10), (2, 12), (3, 12), (4, 14)] {
      answer.packages[0].holders[0].lastUsedAt = Known(used)
      recorder.take(answer, at: time)
    }
    let trace = trace(recorder)
    #expect(trace.units.map(\.name) == ["numpy in python3 (4711)"])
    #expect(trace.events.map(\.time) == [2, 4])
    #expect(trace.units[0].reloadSeconds >= 0.01)
  }

  @Test("what is written is read back") func roundTrip() throws {
    var recorder = HistoryRecorder()
    for (time, seconds) in [(0.0, 1.0), (1, 1.0), (2, 1.5), (99.5, 1.5), (100.5, 2.0)] {
      recorder.take(try processes(seconds), at: time)
    }
    let trace = trace(recorder)
    #expect(try Trace(reading: Array(trace.text().utf8)) == trace)
    // Nothing lies after the end.
    #expect(trace.events.map(\.time) == [2, 100])
  }
}
