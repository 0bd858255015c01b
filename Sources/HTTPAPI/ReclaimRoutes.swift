import Hummingbird
import Model
import Supervisor
import Wire

extension ControlAPI {
  /// 60 s: longer than that nobody waits for a collector.
  static let collectLimit: UInt64 = 60_000

  var reclaimEndpoints: [Endpoint] {
    [.post("api/v1/reclaim") { request, context in try await reclaim(request, context) }]
  }

  private func reclaim(_ request: Request, _ context: ControlContext) async throws -> Response {
    let asked = try await JSON.decode(ReclaimAsked.self, from: request, limit: bodyLimit())
    let target = try Self.target(asked)
    let rungs =
      try asked.rungs.map { try Self.rungs($0) }
      ?? ReclaimRequest.standardRungs(of: target, wanted: asked.wantedBytes.map { Bytes($0) })
    let wait = asked.collectMilliseconds ?? ReclaimRequest.standardCollectMilliseconds
    guard wait <= Self.collectLimit else {
      throw APIError(
        .unprocessableContent, "invalid_request", "field 'collect_milliseconds' must be at most \(Self.collectLimit)")
    }
    let snapshot = try await commands.reclaim(
      ReclaimRequest(
        target: target, rungs: rungs, wanted: asked.wantedBytes.map { Bytes($0) }, isForced: asked.force ?? false,
        isDryRun: asked.dryRun ?? false, dropsCache: !(asked.keepCache ?? false), collectMilliseconds: wait,
        requester: await context.requester()))
    return try JSON.response(ReclaimAnswer(snapshot))
  }

  private static func target(_ asked: ReclaimAsked) throws -> ReclaimRequest.Target {
    func wrong(_ why: String) -> APIError { APIError(.unprocessableContent, "invalid_request", why) }
    if let pid = asked.pid, pid <= 0 { throw wrong("field 'pid' is not a process id") }
    if asked.all == true {
      guard asked.pid == nil, asked.package == nil else { throw wrong("'all' goes with neither 'pid' nor 'package'") }
      return .everything
    }
    if let package = asked.package {
      guard !package.isEmpty, package.utf8.count <= 4096 else { throw wrong("field 'package' must have 1 to 4096 bytes") }
      return .package(package, pids: asked.pid.map { [$0] })
    }
    guard let pid = asked.pid else { throw wrong("one of 'pid', 'package' and 'all' must say what is meant") }
    return .process(pid)
  }

  private static func rungs(_ names: [String]) throws -> Set<ReclaimRung> {
    var rungs: Set<ReclaimRung> = []
    let known = ReclaimRung.allCases.map(\.rawValue)
    for name in names {
      guard let rung = ReclaimRung(rawValue: name) else {
        let near = nearestName(to: name, among: known)
        throw APIError(
          .unprocessableContent, "invalid_request",
          "there is no rung '\(printable(name.utf8.prefix(100)))'" + (near.map { "; did you mean '\($0)'?" } ?? ""),
          ["values": known.joined(separator: ", ")])
      }
      rungs.insert(rung)
    }
    guard !rungs.isEmpty else { throw APIError(.unprocessableContent, "invalid_request", "field 'rungs' is empty") }
    return rungs
  }
}

extension ReclaimAnswer {
  init(_ snapshot: ReclaimSnapshot) {
    let reports = snapshot.reports
    let freed = reports.map(\.freedProportional)
    self.init(
      takenAt: snapshot.takenAt, seconds: snapshot.seconds, dryRun: snapshot.isDryRun,
      success: !snapshot.isDryRun && reports.contains { ($0.freedOfUnit ?? .zero) > .zero },
      freedBytes: Known(freed.contains(nil) ? nil : freed.reduce(Bytes.zero) { $0 + ($1 ?? .zero) }.count),
      usedBeforeBytes: Known(snapshot.memoryBefore?.used.count), usedAfterBytes: Known(snapshot.memoryAfter?.used.count),
      processes: reports.map { ReclaimRow($0, isDryRun: snapshot.isDryRun) })
  }
}

extension ReclaimRow {
  fileprivate init(_ report: ReclaimReport, isDryRun: Bool) {
    let hasFreed = !isDryRun && (report.freedOfUnit ?? .zero) > .zero
    self.init(
      pid: report.process.pid, name: report.processName, package: Known(report.package), success: hasFreed,
      obstacle: Known(isDryRun ? report.refusal : report.obstacle), predictedBytes: Known(report.predicted?.count),
      freedBytes: Known(isDryRun ? nil : report.freedOfUnit?.count), before: Known(report.before.map { ReclaimUsage($0) }),
      after: Known(report.after.map { ReclaimUsage($0) }), packageBefore: Known(report.packageBefore.map { ReclaimUsage($0) }),
      packageAfter: Known(report.packageAfter.map { ReclaimUsage($0) }), seconds: report.seconds,
      rungs: report.rungs.map { ReclaimRungRow($0) })
  }
}

extension ReclaimRungRow {
  fileprivate init(_ report: RungReport) {
    self.init(
      rung: report.rung.rawValue, refusal: Known(report.refusal), before: Known(report.before.map { ReclaimUsage($0) }),
      after: Known(report.after.map { ReclaimUsage($0) }), freedBytes: Known(report.freed?.count), seconds: report.seconds,
      agentSeconds: Known(report.agentSeconds), count: Known(report.count),
      stayed: report.remainders.map { ReclaimStayedRow(name: $0.name, reason: $0.reason, bytes: Known($0.bytes?.count)) })
  }
}

extension ReclaimUsage {
  fileprivate init(_ usage: MemoryUsage) {
    self.init(
      residentBytes: usage.resident.count, proportionalBytes: usage.proportional.count, privateBytes: usage.privateBytes.count,
      anonymousBytes: usage.anonymous.count, swapBytes: usage.swap.count)
  }
}
