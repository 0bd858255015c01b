import Model

/// A recommendation for people, with its figures by name.
struct RecommendationWords {
  /// A stable word.
  var kind: String
  var message: String
  var suggestion: String
  /// Of the process or program it is about; nil for all unloads together.
  var name: String?
  var figures: [String: Double]

  init(_ recommendation: Recommendation) {
    switch recommendation {
    case .lowSuccessRate(let window): self.init(lowSuccessRate: window)
    case .lowMemorySavings(let window, let minimum): self.init(lowMemorySavings: window, minimum)
    case .highUnloadFrequency(let window, let limit): self.init(highFrequency: window, limit)
    case .threadOversubscription(let contention): self.init(contention)
    case .freeHeap(let heap): self.init(heap)
    case .copies(let copies): self.init(copies)
    }
  }

  private init(lowSuccessRate window: UnloadWindow) {
    kind = "low-success-rate"
    message =
      "Low success rate of unloads: \(window.successful) of \(window.unloads) gave memory back in \(Self.hours(window))"
    suggestion =
      "Review dependencies and unload order: mlos history shows what each one came to, mlos why NAME who needs a package that stays"
    figures = Self.figures(window)
  }

  private init(lowMemorySavings window: UnloadWindow, _ minimum: Bytes) {
    kind = "low-memory-savings"
    message =
      "Low memory savings: an unload gave \(window.averageFreed ?? .zero) back on average in \(Self.hours(window)), less than the \(minimum) "
      + "that it must promise"
    suggestion =
      "Adjust the minimum savings threshold (unloading.min_memory_savings_threshold, now \(minimum)): with a higher one units that "
      + "bring little stay"
    figures = Self.figures(window)
    figures["minimum_bytes"] = Double(minimum.count)
  }

  private init(highFrequency window: UnloadWindow, _ limit: Double) {
    kind = "high-unload-frequency"
    let often = Self.decimal(window.unloadsPerUnitAndHour ?? 0)
    message =
      "High unload frequency detected: \(window.unloads) unloads of \(window.units) units in \(Self.hours(window)), each \(often) times an hour"
    suggestion =
      "Consider using more conservative unloading strategy (mlos config set unloading.strategy conservative), under which a unit goes "
      + "for idleness \(Self.decimal(limit)) times an hour at most"
    figures = Self.figures(window)
    figures["unloads_per_unit_and_hour"] = window.unloadsPerUnitAndHour
    figures["limit_per_unit_and_hour"] = limit
  }

  private init(_ contention: ThreadContention) {
    kind = "thread-oversubscription"
    name = contention.processName
    let share = Explaining.percent(contention.waitedShare)
    message =
      "\(contention.busyThreads) threads of \(contention.processName) (\(contention.process.pid)) want to run on "
      + "\(Self.decimal(contention.processors)) \(contention.processors == 1 ? "processor" : "processors") and wait \(share) of that time"
    let knobs = contention.knobs.map { Self.words($0) }
    // A library that is in the process need not be the one whose threads these are: nothing outside tells that.
    suggestion =
      "Start fewer threads in it, or let it use more processors"
      + (knobs.isEmpty ? "" : ". Where they are a library's and not the program's own: " + knobs.joined(separator: "; "))
    figures = [
      "seconds": contention.seconds, "busy_threads": Double(contention.busyThreads), "processors": contention.processors,
      "ran_seconds": contention.ranSeconds, "waited_seconds": contention.waitedSeconds, "waited_share": contention.waitedShare,
      "demanded_processors": contention.demand,
    ]
  }

  private init(_ heap: FreeHeap) {
    kind = "free-heap"
    name = heap.processName
    message =
      "\(heap.free) of the \(heap.resident) that malloc's heaps hold in memory in \(heap.processName) (\(heap.process.pid)) belong to no "
      + "live block"
    let start =
      heap.profiled.isEmpty
      ? ""
      : ". With \(heap.profiled.joined(separator: ", ")): start it with GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072, and less stays "
        + "after large blocks are freed"
    suggestion =
      "A trim (mlos trim PID) would give back up to \(heap.free): whole pages, "
      + "so less where live blocks lie between\(start)"
    figures = [
      "resident_heap_bytes": Double(heap.resident.count), "live_bytes_with_headers": Double(heap.live.count),
      "free_bytes": Double(heap.free.count),
    ]
  }

  private init(_ copies: MemoryCopies) {
    kind = "copies"
    name = copies.program
    let pids =
      copies.processes.prefix(8).map { "\($0.pid)" }.joined(separator: ", ") + (copies.processes.count > 8 ? ", ..." : "")
    let share = copies.covered == .zero ? 0 : Double(copies.sampled.count) / Double(copies.covered.count)
    let sampling =
      share >= 1
      ? "counted page by page" : "estimated from \(Explaining.percent(share)) of the pages: \(copies.low) to \(copies.high)"
    message =
      "\(copies.processes.count) processes of \(copies.program) (\(pids)) hold \(copies.duplicate) more than once (\(sampling))"
    suggestion =
      "Share it: one server with several clients; a format that is mapped from its file and not read into memory (safetensors, GGUF, "
      + "external data of ONNX); loading before the fork; or merging of equal pages (KSM: mlos doctor says whether it runs)"
    figures = [
      "processes": Double(copies.processes.count), "duplicate_bytes": Double(copies.duplicate.count),
      "duplicate_low_bytes": Double(copies.low.count), "duplicate_high_bytes": Double(copies.high.count),
      "covered_bytes": Double(copies.covered.count), "sampled_bytes": Double(copies.sampled.count),
    ]
  }

  private static func words(_ knob: ThreadKnob) -> String {
    switch knob {
    case .onnxRuntime: "ONNX Runtime: intra_op_num_threads, and session.intra_op.allow_spinning=0 where workers share processors"
    case .torch: "PyTorch: torch.set_num_threads(N)"
    case .openMP: "OpenMP: OMP_NUM_THREADS=N"
    case .openBLAS: "OpenBLAS: OPENBLAS_NUM_THREADS=N"
    }
  }

  private static func figures(_ window: UnloadWindow) -> [String: Double] {
    var figures = [
      "window_seconds": window.to - window.from, "unloads": Double(window.unloads), "successful": Double(window.successful),
      "freed_bytes": Double(window.freed.count), "units": Double(window.units),
    ]
    figures["success_rate"] = window.successRate
    figures["average_freed_bytes"] = window.averageFreed.map { Double($0.count) }
    return figures
  }

  private static func hours(_ window: UnloadWindow) -> String { Explaining.time(window.to - window.from) }

  /// One place, none for a whole number.
  private static func decimal(_ value: Double) -> String {
    let tenths = Int((min(max(value, 0), 1e9) * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
  }
}
