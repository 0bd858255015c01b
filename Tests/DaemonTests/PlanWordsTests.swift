import Model
import Testing
import Wire

@testable import HTTPAPI
@testable import Supervisor

/// What `mlos why` is told.
@Suite struct PlanWordsTests {
  private let unit = ReclaimUnit(.package, "torch", in: ProcessIdentity(pid: 4711, startTicks: 1))

  private func answer(deniedByRule rules: [String: String], configured: Bool?) -> PlanUnit {
    var settings = UnloadingSettings()
    settings.preferences["torch"] = UnitPreference(allowUnload: configured)
    let figures = JudgementFigures(
      idleSeconds: 60, timeoutSeconds: 900, strategy: "balanced", bytes: .mebibytes(8), reloadSeconds: nil, reuseProbability: 0,
      regret: 1, score: nil, unitClass: .important)
    let row = PlanRow(
      judgement: Judgement(unit: unit, verdict: .keep(.userPreference), figures: figures), order: nil, processName: "python3",
      lastUsedAt: nil)
    return PlanAnswer(
      PlanSnapshot(
        takenAt: 0, settings: settings, configured: settings, memory: nil, wanted: .zero, isPressed: false, deniedByRule: rules,
        rows: [row], names: ["torch"])
    ).units[0]
  }

  @Test("a rule's denial is shown as the rule's, and a user's as the user's") func denials() {
    let ruled = answer(deniedByRule: ["torch": "keep-while-training"], configured: nil)
    #expect(ruled.reason == "user-preference" && ruled.explanation == "the rule 'keep-while-training' denies it")
    #expect(ruled.otherwise.contains("mlos rules disable keep-while-training"))
    let own = answer(deniedByRule: ["numpy": "other"], configured: false)
    #expect(own.explanation == "its user denies it" && own.otherwise.contains("allow_unload true"))
  }
}
