import Model
import Wire

/// One answer of every kind; with `known` false, everything that may be unknown is.
struct Samples {
  var known: Bool

  func maybe<Value>(_ value: Value) -> Known<Value> { Known(known ? value : nil) }

  var memory: MemoryRow {
    var usage = MemoryUsage()
    usage.mapped = .mebibytes(4)
    usage.resident = .mebibytes(2)
    usage.proportional = .mebibytes(1)
    usage.privateClean = .kibibytes(4)
    usage.privateDirty = .kibibytes(8)
    usage.anonymous = .kibibytes(8)
    usage.referenced = .kibibytes(16)
    return MemoryRow(usage)
  }

  var status: StatusAnswer {
    var counters = StatusAnswer.Counters()
    counters.sessionsAccepted = 3
    counters.eventsDropped = UInt64.max
    return StatusAnswer(
      version: "0.1.0", pid: 100, user: 0, startedAt: 1_800_000_000.25, uptimeSeconds: 12.5,
      agentSocket: "/run/mlos/agent.sock", controlSocket: "/run/mlos/control.sock", isEphemeral: true, agents: 2, adopted: 1,
      modules: 310, residentBytes: maybe(1 << 30), liveHeapBytes: maybe(1 << 20), ownResidentBytes: maybe(1 << 24),
      ownProcessorSeconds: maybe(0.125), counters: counters,
      journal: maybe(
        JournalStatus(
          path: "/var/lib/mlos/journal.db", condition: "waiting", problem: maybe("no room"), bytes: maybe(40_960), queuedRows: 2,
          lostRows: 1)),
      pressure: PressureStatus(
        isPressed: known,
        triggers: [
          PressureStatus.Trigger(
            source: "machine", path: "/proc/pressure/memory", state: known ? "armed" : "refused",
            trigger: maybe("some 50000 500000"), problem: Known(known ? nil : "Operation not supported"), events: 3,
            lastEventAt: maybe(1_800_000_011.5))
        ], checkSeconds: 60, groupLimits: maybe(PressureStatus.Limits(high: 5, max: 4, oom: 1, oomKill: 0)),
        swapBytes: maybe(4096),
        events: 3, lastEventAt: maybe(1_800_000_011.5), decisions: 2, lastDecisionMilliseconds: maybe(0.75),
        slowestDecisionMilliseconds: maybe(1.5),
        bell: maybe(PressureStatus.Bell(path: "/run/mlos/memory.sock", clients: 2, refused: 1, rings: 7))))
  }

  var process: ProcessRow {
    ProcessRow(
      pid: 4711, parent: 1, user: 1000, name: "python3", commandLine: "python3 serve.py --name \"a/b\"",
      source: known ? "agent" : "adopted", agentState: maybe("loader-only"), agentReason: maybe("mixed-allocator"),
      allocator: maybe("glibc"), threads: 8, startedAt: 1_800_000_001, processorSeconds: 3.5, residentBytes: 200 << 20,
      residentAnonymousBytes: 140 << 20, residentFileBytes: 60 << 20, swapBytes: 0,
      proportionalBytes: maybe(150 << 20), privateBytes: maybe(130 << 20), sharingMeasuredAt: maybe(1_800_000_009),
      liveHeapBytes: maybe(120 << 20),
      liveHeapApproximate: known, allocations: maybe(1_190_000), frees: maybe(800_000), allocationsPerSecond: maybe(1000.5),
      allocatedBytesPerSecond: maybe(65536), modulesLoaded: maybe(41), lastActiveAt: maybe(1_800_000_010.5),
      activity: maybe("reclaiming"), reclaimRung: maybe("trim"), busyRegions: maybe(0), givenBackBytes: known ? 35 << 20 : 0,
      givenBackAt: maybe(1_800_000_011))
  }
  var processes: ProcessesAnswer { ProcessesAnswer(takenAt: 1_800_000_012, processes: [process]) }

  var modules: ModulesAnswer {
    ModulesAnswer(
      takenAt: 1_800_000_012, pid: 4711, name: "python3", source: "agent",
      modules: [
        ModuleRow(
          path: "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13", package: "zlib1g", packageKind: .system, state: "loaded",
          isDeleted: false, device: maybe(8 << 32 | 1), inode: maybe(42), buildId: maybe("00ff"), soname: maybe("libz.so.1"),
          loadAddress: maybe(0x7F00_0000_0000), namespaces: maybe([0, 1]), dlopenCount: maybe(2), dlcloseCount: maybe(1),
          firstLoadedAt: maybe(1_800_000_002),
          lastLoadedAt: maybe(1_800_000_003), unloadedAt: Known(nil), lastUsedAt: maybe(1_800_000_004),
          neededBy: known ? ["/usr/bin/python3"] : [], pinnedBy: known ? ["nodelete"] : [], threadLocalBytes: maybe(16),
          executableBytes: maybe(73_728), readOnlyBytes: maybe(32_768), writableBytes: maybe(8_192),
          memory: memory)
      ], modulesDropped: 0, otherNamespaces: maybe("listed"))
  }

  var packages: PackagesAnswer {
    PackagesAnswer(
      takenAt: 1_800_000_012,
      packages: [
        PackageRow(
          name: "numpy", kind: .python, version: maybe("2.3.4"), modules: 12, memory: memory, lastUsedAt: maybe(1_800_000_004),
          neededBy: known ? ["scipy"] : [],
          holders: [
            PackageHolder(pid: 4711, processName: "python3", modules: 12, memory: memory, lastUsedAt: maybe(1_800_000_004))
          ])
      ],
      processes: [
        PackageCoverage(
          pid: 4711, processName: "python3", memory: memory, fileBackedResidentBytes: 60 << 20,
          packagedFileBackedResidentBytes: 59 << 20, anonymousResidentBytes: 140 << 20, liveHeapBytes: maybe(120 << 20))
      ])
  }

  var events: EventsAnswer {
    EventsAnswer(
      events: [
        EventRow(
          sequence: 7, at: 1_800_000_005.75, pid: 4711, processName: "python3", kind: "loaded", thread: maybe(4712),
          subject: maybe("/usr/lib/libz.so.1"), package: maybe("zlib1g"), detail: maybe("first of 2"))
      ], next: 7, lost: 3)
  }

  var adopt: AdoptAnswer { AdoptAnswer(process: process, isNew: known) }

  var config: ConfigAnswer {
    ConfigAnswer(
      file: maybe("/etc/mlos/mlos.yaml"),
      settings: [SettingRow(key: "log.level", value: "info", origin: "default", summary: "Least severe message to log")])
  }

  var error: ErrorAnswer {
    ErrorAnswer(code: "not_found", message: "process 1 is not watched", details: known ? ["pid": "1"] : [:])
  }
}
