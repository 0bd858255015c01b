import Wire

/// What `mlos why` says, as JSON: the plan's fields with the units of that name, and what was decided before.
struct WhyListing: Codable, Equatable {
  var schema = "mlos.why/1"
  var takenAt: Double
  var enabled: Bool
  var acts: Bool
  var strategy: String
  var memory: Known<PlanMemory>
  var wantedBytes: UInt64
  var isPressed: Bool
  /// Empty when nothing of that name is in memory now.
  var units: [PlanUnit]
  /// Oldest first; null where no journal is kept or it cannot be read.
  var decisions: Known<[DecisionRow]>
  /// Why `decisions` is null; else null.
  var decisionsProblem: Known<String>

  /// - Parameters:
  ///   - decisions: Newest first.
  ///   - pid: Units of this process only; nil for all.
  init(_ plan: PlanAnswer, decisions: [DecisionRow]?, problem: String? = nil, pid: Int32?) {
    takenAt = plan.takenAt
    enabled = plan.enabled
    acts = plan.acts
    strategy = plan.strategy
    memory = plan.memory
    wantedBytes = plan.wantedBytes
    isPressed = plan.isPressed
    units = plan.units.filter { pid == nil || $0.pid.value == pid }
    self.decisions = Known(decisions.map { $0.reversed() })
    decisionsProblem = Known(problem)
  }
}
