import Foundation
import Logging
import Model
import Supervisor
import Testing
import Wire

@testable import HTTPAPI
@testable import mlosd

/// What the API makes of a recommendation.
@Suite struct RecommendationWordsTests {
  private static let window = UnloadWindow(
    from: 0, to: 86_400, unloads: 40, successful: 20, freed: .mebibytes(10), units: 4, firstAt: 82_800)
  private static let process = ProcessIdentity(pid: 4711, startTicks: 1)

  private func row(_ recommendation: Recommendation) -> RecommendationRow { RecommendationRow(recommendation) }

  @Test("the three about unloads carry the seed's words and their figures") func unloads() {
    let rate = row(.lowSuccessRate(Self.window))
    #expect(rate.type == "warning" && rate.priority == "high" && rate.kind == "low-success-rate")
    #expect(rate.message == "Low success rate of unloads: 20 of 40 gave memory back in 24 h")
    #expect(rate.suggestion.hasPrefix("Review dependencies and unload order"))
    #expect(rate.figures["success_rate"] == 0.5 && rate.figures["units"] == 4 && rate.figures["window_seconds"] == 86_400)
    #expect(rate.subject == RecommendationSubject(name: Known(nil), pids: []))
    let savings = row(.lowMemorySavings(Self.window, minimum: .mebibytes(1)))
    #expect(savings.priority == "low" && savings.suggestion.hasPrefix("Adjust the minimum savings threshold"))
    #expect(savings.message.contains("512 KiB") && savings.figures["average_freed_bytes"] == 524_288)
    let often = row(.highUnloadFrequency(Self.window, limit: 2))
    #expect(often.type == "info" && often.priority == "medium" && often.message.hasPrefix("High unload frequency detected"))
    #expect(often.suggestion.hasPrefix("Consider using more conservative unloading strategy"))
    #expect(often.figures["unloads_per_unit_and_hour"] == 10 && often.message.hasSuffix("each 10 times an hour"))
  }

  @Test("threads name the knobs of what is loaded") func threads() {
    var contention = ThreadContention(
      process: Self.process, processName: "server", seconds: 1, busyThreads: 8, processors: 1, ranSeconds: 1, waitedSeconds: 7,
      demand: 8, knobs: [])
    #expect(row(.threadOversubscription(contention)).suggestion == "Start fewer threads in it, or let it use more processors")
    contention.knobs = [.onnxRuntime, .openMP, .openBLAS, .torch]
    let found = row(.threadOversubscription(contention))
    #expect(found.message == "8 threads of server (4711) want to run on 1 processor and wait 88 % of that time")
    for word in ["allow_spinning=0", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "torch.set_num_threads", "intra_op_num_threads"] {
      #expect(found.suggestion.contains(word))
    }
    #expect(found.subject == RecommendationSubject(name: Known("server"), pids: [4711]) && found.figures["waited_share"] == 0.875)
  }

  @Test("a free heap is an upper bound, its start profile only for whom it helps") func heap() {
    var heap = FreeHeap(process: Self.process, processName: "s", resident: .mebibytes(64), live: .mebibytes(24), profiled: [])
    #expect(row(.freeHeap(heap)).suggestion.contains("up to 40.0 MiB") && !row(.freeHeap(heap)).suggestion.contains("GLIBC"))
    heap.profiled = ["onnxruntime"]
    #expect(row(.freeHeap(heap)).suggestion.contains("GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072"))
  }

  @Test("copies say how much was looked at") func copies() {
    var copies = MemoryCopies(
      program: "/usr/bin/python3", processes: (1...9).map { ProcessIdentity(pid: $0, startTicks: 1) }, duplicate: .mebibytes(32),
      low: .mebibytes(31), high: .mebibytes(33), covered: .mebibytes(40), sampled: .mebibytes(40))
    #expect(
      row(.copies(copies)).message.contains("(1, 2, 3, 4, 5, 6, 7, 8, ...) hold 32.0 MiB more than once (counted page by page)"))
    copies.sampled = .mebibytes(10)
    #expect(row(.copies(copies)).message.contains("estimated from 25 % of the pages: 31.0 MiB to 33.0 MiB"))
    #expect(row(.copies(copies)).figures["duplicate_bytes"] == Double(32 << 20))
  }

  @Test("unloads in the journal are counted for a stretch of time") func journal() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "mlos-window-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = "\(folder)/journal.db"
    #expect(JournalKeeper.makeFolder(of: path) == nil)
    let base = JournalKeeperTests.base
    let keeper = JournalKeeper(path: path, at: base, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    for (time, result): (Double, UnloadOutcome.Result) in [(1, .freed(.mebibytes(2))), (2, .kept("busy")), (3, .dryRun)] {
      keeper.record(
        JournalKeeperTests.decision(at: base + time),
        outcome: UnloadOutcome(unit: JournalKeeperTests.unit, result: result, seconds: 1),
        because: .manual)
    }
    let window = try await keeper.unloads(from: base, to: base + 10)
    #expect(window.unloads == 2 && window.successful == 1 && window.freed == .mebibytes(2) && window.units == 1)
    keeper.close(at: currentMoment().wall)
    await #expect(throws: HistoryError.self) { try await keeper.unloads(from: base, to: base + 10) }
  }
}
