import Wire

extension Samples {
  private var usage: ReclaimUsage {
    ReclaimUsage(
      residentBytes: 64 << 20, proportionalBytes: 60 << 20, privateBytes: 50 << 20, anonymousBytes: 40 << 20, swapBytes: 0)
  }
  private var less: ReclaimUsage {
    ReclaimUsage(
      residentBytes: 44 << 20, proportionalBytes: 40 << 20, privateBytes: 30 << 20, anonymousBytes: 40 << 20, swapBytes: 0)
  }

  var reclaim: ReclaimAnswer {
    let rung = ReclaimRungRow(
      rung: "module-pages", refusal: maybe("stopped"), before: maybe(usage), after: maybe(less), freedBytes: maybe(20 << 20),
      seconds: 0.25, agentSeconds: maybe(0.125), count: maybe(3),
      stayed: [ReclaimStayedRow(name: "/usr/lib/libz.so.1", reason: "in-use", bytes: maybe(4096))])
    let process = ReclaimRow(
      pid: 4711, name: "python3", package: maybe("numpy"), success: known, obstacle: maybe("in-use"),
      predictedBytes: maybe(21 << 20), freedBytes: maybe(20 << 20), before: maybe(usage), after: maybe(less),
      packageBefore: maybe(usage), packageAfter: maybe(less), seconds: 0.25, rungs: [rung])
    return ReclaimAnswer(
      takenAt: 1_800_000_012.5, seconds: 0.5, dryRun: !known, success: known, freedBytes: maybe(20 << 20),
      usedBeforeBytes: maybe(5 << 30), usedAfterBytes: maybe((5 << 30) - (20 << 20)), processes: [process])
  }

  static var reclaimRequest: ReclaimAsked {
    ReclaimAsked(
      pid: 4711, package: "numpy", all: false, rungs: ["trim"], wantedBytes: 1 << 20, force: true, dryRun: true, keepCache: true,
      collectMilliseconds: 500)
  }
}
