import Wire

extension Samples {
  var requester: RequesterRow { RequesterRow(name: "user 1000", uid: maybe(1000), pid: maybe(4700)) }

  var decisions: DecisionsAnswer {
    DecisionsAnswer(
      decisions: [
        DecisionRow(
          id: 7, at: 1_800_000_012.5, cycle: 3, name: "numpy", kind: "package", pid: maybe(4711), verdict: "unload",
          reason: "usage-pattern", text: "Usage pattern unloading (balanced)", rule: maybe("night"),
          predictedBytes: maybe(20 << 20), idleSeconds: maybe(901), timeoutSeconds: maybe(900), strategy: "balanced",
          unitClass: "important", reloadSeconds: maybe(0.5), reuseProbability: 0.25, regret: 1, score: maybe(1024),
          memory: maybe(RecordedMemory(usedBytes: 5 << 30, limitBytes: 8 << 30, source: "machine", stall: maybe(0.25))),
          requester: requester,
          outcomes: [
            OutcomeRow(
              at: 1_800_000_013, result: known ? "freed" : "kept", freedBytes: maybe(19 << 20),
              freedPrivateBytes: maybe(19 << 20), freedProportionalBytes: maybe((19 << 20) - 4096), seconds: 0.125,
              obstacle: maybe("nodelete"), stayed: known ? ["libz.so.1: nodelete"] : [],
              rungs: known
                ? [
                  RungOutcomeRow(rung: "trim", freedBytes: maybe(0), seconds: 0.25, refusal: maybe("too-soon:900ms")),
                  RungOutcomeRow(rung: "module-pages", freedBytes: maybe(19 << 20), seconds: 0.125, refusal: Known(nil)),
                ] : [])
          ])
      ], next: maybe("1800000012.5/7"))
  }

  var changes: ChangesAnswer {
    ChangesAnswer(
      changes: [
        ChangeRow(
          id: 2, at: 1_800_000_014, key: "unloading.strategy", old: maybe("balanced"), new: maybe("aggressive"),
          origin: "run time, by user 1000 at 2027-01-15T08:00:14Z", requester: requester)
      ], next: maybe("1800000014.0/2"))
  }

  var history: HistoryAnswer {
    HistoryAnswer(
      metric: "memory.used", from: 1_800_000_000, to: 1_800_000_060, stepSeconds: 60, aggregation: "avg",
      points: known ? [HistoryPoint(at: 1_800_000_000, value: 1024.5, samples: 6, resolutionSeconds: 10)] : [])
  }

  var metrics: MetricsAnswer { MetricsAnswer(metrics: known ? ["memory.level", "memory.used"] : []) }

  var totals: TotalsAnswer {
    let row = TotalsRow(
      unloads: 3, successful: 2, failed: 1, freedBytes: 30 << 20, seconds: 0.5, lastAt: maybe(1_800_000_013))
    return TotalsAnswer(
      all: row, reasons: [NamedTotals(name: "usage-pattern", totals: row)], units: [NamedTotals(name: "numpy", totals: row)])
  }

  var export: ExportAnswer {
    ExportAnswer(format: "json", text: "{\"id\":7}\n", next: maybe("1800000012.5/7"))
  }
}
