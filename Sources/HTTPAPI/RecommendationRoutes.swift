import Hummingbird
import Model
import Supervisor
import Wire

extension ControlAPI {
  func recommendations(_ request: Request) async throws -> Response {
    let pid = try request.uri.queryParameters["pid"].map { try Self.pid(String($0), of: "pid") }
    let end = now()
    // A journal that cannot be read takes away what is said about unloads, and nothing else.
    let unloads = try? await history?.unloads(from: max(0, end - UnloadWindow.recommendedSeconds), to: end)
    let snapshot = try await commands.recommendations(of: pid, unloads: unloads)
    return try JSON.response(RecommendationsAnswer(snapshot))
  }
}

extension RecommendationsAnswer {
  init(_ snapshot: RecommendationsSnapshot) {
    let figures = snapshot.figures
    self.init(
      takenAt: snapshot.takenAt, recommendations: snapshot.recommendations.map { RecommendationRow($0) },
      looked: RecommendationsLooked(
        unloads: Known(
          snapshot.unloads.map {
            RecommendationsUnloads(
              from: $0.from, windowSeconds: $0.to - $0.from, unloads: $0.unloads, neededUnloads: UnloadWindow.recommendedUnloads)
          }),
        threads: RecommendationsThreads(
          seconds: figures.seconds, processes: figures.threads.count, unknownProcesses: figures.threadsUnknown),
        heaps: RecommendationsHeaps(processes: figures.heaps.count, unknownProcesses: figures.heapsUnknown),
        copies: RecommendationsCopies(
          processes: figures.comparable, comparedProcesses: figures.copies.reduce(0) { $0 + $1.processes.count },
          readBytes: figures.copies.reduce(.zero) { $0 + $1.read }.count,
          refusedProcesses: figures.copies.reduce(0) { $0 + $1.refused }, isPartial: figures.copies.contains { $0.isPartial })))
  }
}

extension RecommendationRow {
  init(_ recommendation: Recommendation) {
    let words = RecommendationWords(recommendation)
    self.init(
      type: recommendation.priority == .high ? "warning" : "info", kind: words.kind, message: words.message,
      suggestion: words.suggestion, priority: recommendation.priority.rawValue,
      subject: RecommendationSubject(name: Known(words.name), pids: recommendation.processes.map(\.pid)), figures: words.figures)
  }
}
