import Wire

extension Samples {
  var recommendations: RecommendationsAnswer {
    RecommendationsAnswer(
      takenAt: 1_800_000_012,
      recommendations: [
        RecommendationRow(
          type: known ? "warning" : "info", kind: known ? "thread-oversubscription" : "high-unload-frequency",
          message: "8 threads of python3 (4711) want to run on 1 processor and wait 88 % of that time",
          suggestion: "Start fewer threads in it: OpenMP: OMP_NUM_THREADS=N", priority: known ? "high" : "medium",
          subject: RecommendationSubject(name: maybe("python3"), pids: known ? [4711] : []),
          figures: known ? ["busy_threads": 8, "waited_share": 0.875] : [:])
      ],
      looked: RecommendationsLooked(
        unloads: maybe(
          RecommendationsUnloads(from: 1_799_913_612, windowSeconds: 86_400, unloads: 3, neededUnloads: 20)),
        threads: RecommendationsThreads(seconds: known ? 1.002 : 0, processes: known ? 2 : 0, unknownProcesses: 1),
        heaps: RecommendationsHeaps(processes: known ? 1 : 0, unknownProcesses: 2),
        copies: RecommendationsCopies(
          processes: 2, comparedProcesses: known ? 2 : 0, readBytes: known ? 67_108_864 : 0, refusedProcesses: known ? 0 : 2,
          isPartial: known)))
  }
}
