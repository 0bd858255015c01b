import Model
import Policy
import Testing

/// The three about unloads, each threshold from both sides.
@Suite struct UnloadRecommendationTests {
  private func window(
    _ unloads: UInt64, successful: UInt64, freed: Bytes = .mebibytes(1_000), units: UInt64 = 1_000, hours: Double = 24
  ) -> UnloadWindow {
    UnloadWindow(
      from: 0, to: 86_400, unloads: unloads, successful: successful, freed: freed, units: units, firstAt: 86_400 - hours * 3600)
  }

  private func kinds(_ window: UnloadWindow?, _ change: (inout UnloadingSettings) -> Void = { _ in }) -> [String] {
    var settings = UnloadingSettings()
    change(&settings)
    return RecommendationPolicy(settings: settings).recommendations(unloads: window, threads: [], heaps: [], copies: []).map {
      switch $0 {
      case .lowSuccessRate: "rate"
      case .lowMemorySavings: "savings"
      case .highUnloadFrequency: "frequency"
      case .threadOversubscription, .freeHeap, .copies: "other"
      }
    }
  }

  @Test("nothing is said without a journal, without unloads, and about 19 of them")
  func tooFew() {
    #expect(kinds(nil) == [])
    #expect(kinds(UnloadWindow(from: 0, to: 1, unloads: 0, successful: 0, freed: .zero, units: 0, firstAt: nil)) == [])
    #expect(kinds(window(19, successful: 0, freed: .zero)) == [])
    #expect(kinds(window(20, successful: 0, freed: .zero)) == ["rate"])
  }

  @Test("four of five are enough", arguments: [(79, ["rate"]), (80, []), (100, [])] as [(UInt64, [String])])
  func successRate(successful: UInt64, expected: [String]) { #expect(kinds(window(100, successful: successful)) == expected) }

  @Test("what those that succeeded gave back is held against the threshold that each had promised")
  func savings() {
    let least = Bytes.mebibytes(1).count
    #expect(kinds(window(100, successful: 80, freed: Bytes(80 * least))) == [])
    #expect(kinds(window(100, successful: 80, freed: Bytes(80 * least - 1))) == ["savings"])
    #expect(
      kinds(window(100, successful: 80, freed: .mebibytes(100))) { $0.minMemorySavingsThreshold = .mebibytes(2) } == ["savings"])
    // Nothing came back at all: that is the success rate's to tell.
    #expect(kinds(window(100, successful: 0, freed: .zero)) == ["rate"])
  }

  @Test("a unit goes too often when the conservative strategy would let it go less often")
  func frequency() {
    // 1800 s: twice an hour.
    #expect(kinds(window(480, successful: 480, units: 10)) == [])
    #expect(kinds(window(481, successful: 481, units: 10)) == ["frequency"])
    #expect(kinds(window(481, successful: 481, units: 10)) { $0.conservativeTimeoutSeconds = 900 } == [])
    // Over the time since the first, an hour at least.
    #expect(kinds(window(30, successful: 30, units: 5, hours: 2)) == ["frequency"])
    #expect(kinds(window(30, successful: 30, units: 5, hours: 3)) == [])
    #expect(kinds(window(20, successful: 20, units: 10, hours: 0.01)) == [])
    #expect(kinds(window(21, successful: 21, units: 10, hours: 0.01)) == ["frequency"])
  }

  @Test("the most urgent comes first") func order() {
    #expect(kinds(window(100, successful: 10, freed: .mebibytes(1), units: 1)) == ["rate", "frequency", "savings"])
  }
}

@Suite struct ThreadRecommendationTests {
  private static let second: UInt64 = 1_000_000_000

  /// Threads that ran and waited so many milliseconds of a second.
  private func observation(
    _ threads: [(ran: UInt64, waited: UInt64)], pid: Int32 = 7, processors: Set<Int> = [0, 1], quota: Double? = nil,
    group: String? = nil, seconds: Double = 1, packages: [String] = [], modules: [String] = []
  ) -> ThreadObservation {
    let process = ProcessIdentity(pid: pid, startTicks: 9)
    func times(_ at: UInt64, _ scale: UInt64) -> ThreadTimes {
      ThreadTimes(
        process: process,
        threads: threads.enumerated().map {
          ThreadTime(thread: pid + Int32($0), ran: 5 + $1.ran * scale * 1_000_000, waited: 6 + $1.waited * scale * 1_000_000)
        }, at: at)
    }
    return ThreadObservation(
      process: process, processName: "server", before: times(1, 0), after: times(1 + UInt64(seconds * 1e9), 1),
      allowance: ProcessorAllowance(processors: processors, quota: quota, quotaGroup: group), packages: packages, modules: modules
    )
  }

  private func contentions(_ observations: ThreadObservation...) -> [ThreadContention] {
    RecommendationPolicy(settings: UnloadingSettings()).recommendations(
      unloads: nil, threads: observations, heaps: [], copies: []
    )
    .compactMap { if case .threadOversubscription(let contention) = $0 { contention } else { nil } }
  }

  @Test("eight threads on one processor wait seven eighths of the time") func spinning() throws {
    let found = contentions(observation(Array(repeating: (ran: 125, waited: 875), count: 8), processors: [3]))
    let contention = try #require(found.first)
    #expect(found.count == 1 && contention.busyThreads == 8 && contention.processors == 1 && contention.demand == 8)
    #expect(abs(contention.ranSeconds - 1) < 1e-9 && abs(contention.waitedSeconds - 7) < 1e-9)
    #expect(abs(contention.waitedShare - 0.875) < 1e-9 && contention.seconds == 1)
  }

  @Test("as many threads as processors are none too many, whoever else is on the machine")
  func others() {
    #expect(contentions(observation(Array(repeating: (ran: 300, waited: 700), count: 2))) == [])
    #expect(contentions(observation(Array(repeating: (ran: 500, waited: 333), count: 3))) == [])
    #expect(contentions(observation(Array(repeating: (ran: 500, waited: 334), count: 3))).count == 1)
  }

  @Test("waiting less than a quarter of the time is none") func littleWaiting() {
    #expect(contentions(observation(Array(repeating: (ran: 751, waited: 249), count: 3))) == [])
    #expect(contentions(observation(Array(repeating: (ran: 750, waited: 250), count: 3))).count == 1)
  }

  @Test("two processes that each fit alone are too many together, in one place only") func together() {
    let threads = Array(repeating: (ran: UInt64(500), waited: UInt64(500)), count: 2)
    #expect(contentions(observation(threads, pid: 7), observation(threads, pid: 8)).map(\.process.pid) == [7, 8])
    #expect(
      contentions(observation(threads, pid: 7, processors: [0, 1]), observation(threads, pid: 8, processors: [2, 3])) == [])
    #expect(
      contentions(observation(threads, pid: 7, quota: 2, group: "a"), observation(threads, pid: 8, quota: 2, group: "b")) == [])
  }

  @Test("a group's limit counts where it is lower than the processors") func quota() {
    let threads = Array(repeating: (ran: UInt64(250), waited: UInt64(750)), count: 2)
    #expect(contentions(observation(threads, quota: 0.5, group: "a")).first?.processors == 0.5)
    #expect(contentions(observation(threads, quota: 8, group: "a")) == [])
  }

  @Test("one thread cannot be made fewer, one that wakes now and then does not count") func few() {
    #expect(contentions(observation([(ran: 500, waited: 500)], processors: [0], quota: 0.5, group: "a")) == [])
    let wakes = [(ran: UInt64(500), waited: UInt64(500)), (ran: 20, waited: 29)]
    #expect(contentions(observation(wakes, processors: [0], quota: 0.5, group: "a")) == [])
  }

  @Test("half a second at least, and of one process only") func readings() {
    let threads = Array(repeating: (ran: UInt64(50), waited: UInt64(450)), count: 4)
    #expect(contentions(observation(threads, seconds: 0.49)) == [])
    #expect(contentions(observation(threads, processors: [0], seconds: 0.5)).count == 1)
    var other = observation(threads, processors: [0])
    other.before.process.startTicks += 1
    #expect(contentions(other) == [])
    other = observation(threads, processors: [0])
    other.after.at = other.before.at
    #expect(contentions(other) == [])
  }

  @Test("a thread whose number is another's now counts from its start, as a new one does") func renumbered() {
    let process = ProcessIdentity(pid: 1, startTicks: 1)
    func times(_ threads: [ThreadTime]) -> ThreadTimes { ThreadTimes(process: process, threads: threads, at: 1) }
    let growth = ThreadGrowth.between(
      times([ThreadTime(thread: 1, ran: 100, waited: 50), ThreadTime(thread: 2, ran: 9, waited: 9)]),
      times([
        ThreadTime(thread: 1, ran: 130, waited: 51), ThreadTime(thread: 2, ran: 4, waited: 20),
        ThreadTime(thread: 3, ran: 5, waited: 6),
      ]))
    #expect(growth.map(\.ran) == [30, 4, 5] && growth.map(\.waited) == [1, 20, 6])
  }

  @Test("the knobs are those of the libraries in it") func knobs() {
    let threads = Array(repeating: (ran: UInt64(125), waited: UInt64(875)), count: 8)
    let all = observation(
      threads, processors: [0], packages: ["numpy", "onnxruntime-gpu", "torch"],
      modules: ["libgomp-a34b3233.so.1.0.0", "libscipy_openblas64_-6bb31eeb.so", "libc.so.6"])
    #expect(contentions(all).first?.knobs == [.onnxRuntime, .torch, .openMP, .openBLAS])
    #expect(
      contentions(observation(threads, processors: [0], packages: ["torchvision"], modules: ["libm.so.6"])).first?.knobs == [])
    for name in ["libomp.so.5", "libiomp5.so"] {
      #expect(contentions(observation(threads, processors: [0], modules: [name])).first?.knobs == [.openMP])
    }
  }
}
