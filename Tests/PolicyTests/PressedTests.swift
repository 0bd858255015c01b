import Model
import Testing

@testable import Policy

@Suite struct PressedTests {
  @Test func toAskWhetherMemoryIsShortChangesNothing() {
    let scene = Scene()
    scene.add("a", idle: 30)
    scene.use(0.75, stall: 0.1)
    #expect(scene.policy.isPressed(by: scene.memory, at: scene.instant))
    // The gate that was asked is closed as before.
    scene.use(0.75)
    #expect(!scene.policy.isPressed(by: scene.memory, at: scene.instant))
    scene.use(0.75, stall: 0.1)
    #expect(scene.go() == ["a"])
    scene.use(0.75)
    #expect(scene.policy.isPressed(by: scene.memory, at: scene.instant))
    #expect(!scene.policy.isPressed(by: nil, at: scene.instant))
  }
}
