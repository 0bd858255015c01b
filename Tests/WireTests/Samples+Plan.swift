import Model
import Wire

extension Samples {
  var plan: PlanAnswer {
    PlanAnswer(
      takenAt: 1_800_000_012, enabled: true, acts: false, strategy: "balanced",
      memory: maybe(
        PlanMemory(
          usedBytes: 7 << 30, limitBytes: 8 << 30, source: "machine", level: "critical", threshold: 0.8, critical: 0.85,
          target: 0.7,
          thresholdSeconds: 60, stall: maybe(0.25))), wantedBytes: known ? 1 << 30 : 0, isPressed: known,
      units: [
        PlanUnit(
          name: "numpy", kind: "package", pid: maybe(4711), processName: "python3", verdict: known ? "unload" : "keep",
          order: maybe(1), reason: known ? "memory-pressure" : "use-unknown", explanation: "memory is critical",
          otherwise: "use it",
          bytes: maybe(20 << 20), lastUsedAt: maybe(1_800_000_004), idleSeconds: maybe(8), timeoutSeconds: maybe(225),
          strategy: "balanced", unitClass: "important", reloadSeconds: maybe(0.5), reuseProbability: 0.25, regret: 2,
          score: maybe(1024))
      ])
  }
}
