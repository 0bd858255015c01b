import Model
import Testing

@testable import Policy

@Suite struct DependencyTests {
  @Test func whatIsUrgentGoesFirstAsFarAsOthersNeedAllows() {
    let scene = Scene()
    scene.add("a", idle: 10)
    scene.add("b", mebibytes: 900, idle: 10)
    // It needs what is more urgent: that waits for it.
    scene.add("c", idle: 10, needs: ["d"])
    scene.add("d", idle: 10)
    let unit = { (name: String) in ReclaimUnit(.package, name) }
    #expect(
      scene.go([unit("a"): .manual, unit("b"): .rule("r"), unit("c"): .rule("r"), unit("d"): .manual]) == ["a", "b", "c", "d"])
  }

  @Test func dependentsGoBeforeWhatTheyNeed() {
    let scene = Scene()
    scene.add("base", mebibytes: 900, idle: 5000)
    scene.add("middle", mebibytes: 50, idle: 5000, needs: ["base"])
    scene.add("top", mebibytes: 10, idle: 5000, needs: ["middle"])
    #expect(scene.go() == ["top", "middle", "base"])
  }

  @Test func whatANeededUnitIsNeededByIsSaid() {
    let scene = Scene()
    scene.add("base", mebibytes: 900, idle: 5000)
    scene.add("top", mebibytes: 10, idle: 10, needs: ["base"])
    #expect(scene.obstacle("base") == .neededBy([ReclaimUnit(.package, "top")]))
    scene.units[1].busy = "thread-inside:1"
    scene.use(0.99)
    #expect(scene.obstacle("base") == .neededBy([ReclaimUnit(.package, "top")]))
  }

  @Test func whatIsTooSmallForItsOwnSakeGoesAlong() {
    let scene = Scene()
    scene.add("base", mebibytes: 900, idle: 5000)
    scene.add("small", idle: 5000, needs: ["base"])
    scene.add("smaller", idle: 5000, needs: ["small"])
    for index in 1...2 { scene.units[index].bytes = Bytes(8192) }
    let (pressed, used, cramped) = (scene.copy(), scene.copy(), scene.copy())
    #expect(scene.go() == ["smaller", "small", "base"])
    pressed.use(0.99)
    #expect(pressed.go() == ["smaller", "small", "base"])
    // In use it keeps what it needs, and by itself it does not go.
    used.units[2].lastUsed = used.instant
    #expect(used.go().isEmpty)
    #expect(used.obstacle("base") == .neededBy([ReclaimUnit(.package, "small")]))
    cramped.policy.settings.maxUnloadsPerCycle = 2
    #expect(cramped.go().isEmpty)
  }

  @Test func aPackageOfWhichNothingIsLeftHoldsNothing() {
    let scene = Scene()
    scene.add("base", idle: 5000)
    scene.add("top", idle: 5000, needs: ["base"])
    scene.units[1].bytes = .zero
    scene.policy.settings.minMemorySavingsThreshold = .zero
    #expect(scene.go() == ["base"])
  }

  @Test func aDependentThatIsNotLoadedHoldsNothing() {
    let scene = Scene()
    scene.add("base", idle: 5000)
    scene.add("top", idle: 5000, needs: ["base"])
    scene.units[1].isLoaded = false
    #expect(scene.go() == ["base"])
  }

  @Test func aCircleGoesTogetherOrNotAtAll() {
    let scene = Scene()
    scene.add("a", idle: 5000, needs: ["b"])
    scene.add("b", idle: 5000, needs: ["c"])
    scene.add("c", idle: 5000, needs: ["a"])
    let held = scene.copy()
    #expect(scene.go() == ["a", "b", "c"])
    held.units[1].busy = "thread-inside:1"
    #expect(held.go().isEmpty)
    let cramped = held.copy()
    cramped.units[1].busy = nil
    cramped.policy = UnloadingPolicy()
    cramped.policy.settings.maxUnloadsPerCycle = 2
    #expect(cramped.go().isEmpty)
    #expect(cramped.obstacle("a") == .cycleFull(2))
  }

  @Test func aDependentIsNotKeptBackWhenWhatItFreesGoes() {
    let scene = Scene()
    scene.add("base", mebibytes: 1000, idle: 5000)
    scene.add("top", mebibytes: 10, idle: 5000, needs: ["base"])
    scene.use(0.86)
    scene.policy.settings.memoryPressureTarget = 0.8
    #expect(scene.go() == ["top", "base"])
  }

  @Test func longChainsEndNoStack() {
    let scene = Scene()
    scene.policy.settings.maxUnloadsPerCycle = 100_000
    for number in 0..<2000 { scene.add("u\(number)", idle: 5000, needs: number == 0 ? [] : ["u\(number - 1)"]) }
    let order = DependencyOrder(scene.units)
    #expect(order.members.count == 2000)
    #expect(order.dependents[0] == [1])
  }
}
