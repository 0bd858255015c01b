import Hummingbird
import Model
import Supervisor
import Wire

extension ControlAPI {
  /// More stacks are left out of an answer, the smallest first.
  static let stackLimit = 10_000
  /// 4 KiB to 1 GiB between two samples.
  static let means: ClosedRange<UInt64> = 4_096...(1 << 30)

  var heapEndpoints: [Endpoint] {
    let progress: Endpoint.Handler = { _, context in
      let pid = try Self.pid(context.parameters.get("pid") ?? "", of: "pid")
      return try JSON.response(HeapProgressAnswer(try await commands.heapProgress(of: pid)))
    }
    return [
      Endpoint(
        path: "api/v1/processes/:pid/heap", query: [],
        handlers: [
          .post: { request, context in try await profileHeap(request, context) },
          .get: progress, .head: progress,
        ]),
      .post("api/v1/processes/:pid/heap/stop") { _, context in
        let pid = try Self.pid(context.parameters.get("pid") ?? "", of: "pid")
        return try JSON.response(HeapProgressAnswer(try await commands.stopHeapProfile(of: pid)))
      },
    ]
  }

  private func profileHeap(_ request: Request, _ context: ControlContext) async throws -> Response {
    let pid = try Self.pid(context.parameters.get("pid") ?? "", of: "pid")
    let asked = try await JSON.decode(HeapProfileRequest.self, from: request, limit: bodyLimit())
    guard asked.seconds > 0, asked.seconds <= HeapRequest.longest else {
      throw APIError(
        .unprocessableContent, "invalid_request", "field 'seconds' must be above 0 and at most \(Int(HeapRequest.longest))")
    }
    let mean = asked.meanBytes ?? HeapRequest.defaultMean
    guard Self.means.contains(mean) else {
      throw APIError(
        .unprocessableContent, "invalid_request",
        "field 'mean_bytes' must be from \(Self.means.lowerBound) to \(Self.means.upperBound)")
    }
    let snapshot = try await commands.profileHeap(HeapRequest(pid: pid, seconds: asked.seconds, mean: mean))
    return try JSON.response(HeapAnswer(snapshot, package: asked.package))
  }
}

extension HeapProgressAnswer {
  init(_ progress: HeapProgress) {
    self.init(pid: progress.pid, askedSeconds: progress.askedSeconds, seconds: Known(progress.seconds), samples: progress.samples)
  }
}

extension HeapFigures {
  init(_ figures: HeapAttribution.Figures) {
    self.init(live: HeapEstimate(figures.live), allocated: HeapEstimate(figures.allocated))
  }
}

extension HeapAnswer {
  init(_ snapshot: HeapSnapshot, package: String?) {
    let attribution = snapshot.attribution
    let wanted = attribution.stacks.filter { package == nil || attribution.packages[$0.package].identity.name == package }
    let shown = wanted.prefix(ControlAPI.stackLimit)
    // Frames of stacks that are not shown are left out, so they are numbered anew.
    var numbers: [Int: Int] = [:]
    var frames: [HeapFrameRow] = []
    let rows = shown.map { stack in
      let indices = stack.frames.map { old -> Int in
        if let known = numbers[old] { return known }
        let frame = attribution.frames[old]
        numbers[old] = frames.count
        frames.append(
          HeapFrameRow(
            function: Known(frame.function), module: Known(frame.file), address: frame.address, package: frame.package))
        return frames.count - 1
      }
      return HeapStackRow(
        frames: indices, package: stack.package, isComplete: stack.isComplete, live: HeapEstimate(stack.figures.live),
        allocated: HeapEstimate(stack.figures.allocated))
    }
    let record = snapshot.record
    self.init(
      startedAt: snapshot.startedAt, pid: snapshot.pid, name: snapshot.name, seconds: snapshot.seconds,
      askedSeconds: snapshot.askedSeconds, reason: snapshot.reason,
      sampling: HeapSampling(
        meanBytes: record.mean, largestMeanBytes: record.largestMean, samples: record.samples, throttled: record.throttled,
        stacksLost: record.stacksLost, liveLost: record.liveLost, refused: record.refused),
      exact: HeapExactRow(
        allocations: snapshot.exact?.allocations, allocatedBytes: snapshot.exact?.allocatedBytes.count,
        liveHeapBytes: snapshot.exact?.liveBytes.count), total: HeapFigures(attribution.total),
      withoutStack: HeapFigures(attribution.withoutStack),
      packages: attribution.packages.map {
        HeapPackageRow(
          name: $0.identity.name, kind: $0.identity.kind, version: Known($0.identity.version), own: HeapFigures($0.own),
          through: HeapFigures($0.through))
      }, stacks: rows, stacksLeftOut: wanted.count - shown.count, frames: frames)
  }
}
