import Testing

@testable import AgentCoreHosted

@Suite("What the control thread does next")
struct ControlMachineTests {
  /// Takes actions until the machine sleeps; refreshes happen at once, the socket is empty, nobody listens.
  private func settle(_ machine: inout ControlMachine, at now: UInt64) -> (UInt64?, [ControlMachine.Action]) {
    var taken: [ControlMachine.Action] = []
    while true {
      let action = machine.next(at: now)
      switch action {
      case .connect: machine.connectEnded(.absent, at: now)
      case .receive: machine.received(.nothing, at: now)
      case .refreshModules: machine.refreshed(at: now)
      case .finishAnswers: machine.answersFinished(next: nil)
      case .wait(let milliseconds): return (milliseconds, taken)
      case .stop: return (nil, taken + [.stop])
      }
      taken.append(action)
    }
  }

  @Test func connectedAndIdleItSleepsWithoutATimeout() {
    var machine = ControlMachine(connected: true, at: 0)
    let (pause, actions) = settle(&machine, at: 0)
    #expect(pause == nil)
    #expect(actions == [.receive])
  }

  @Test func afterAKickItLooksAtDoublingDistancesAndThenSleepsForGood() {
    var machine = ControlMachine(connected: true, at: 0)
    _ = settle(&machine, at: 0)
    machine.woke(kicked: true, socket: false, stop: false, at: 100)
    var now: UInt64 = 100
    var pauses: [UInt64] = []
    while let pause = settle(&machine, at: now).0 {
      pauses.append(pause)
      now += pause
      #expect(pauses.count < 50)
    }
    #expect(pauses == [5, 10, 20, 40, 80, 160, 320, 640])
    #expect(now - 100 <= ControlMachine.lookForMilliseconds)
  }

  @Test func aKickDuringTheLooksStartsThemOver() {
    var machine = ControlMachine(connected: true, at: 0)
    _ = settle(&machine, at: 0)
    machine.woke(kicked: true, socket: false, stop: false, at: 100)
    _ = settle(&machine, at: 105)
    machine.woke(kicked: true, socket: false, stop: false, at: 110)
    #expect(settle(&machine, at: 110).0 == 5)
  }

  @Test func anEndedConnectionIsTriedAgainWithDoublingPausesUpToAMinute() {
    var machine = ControlMachine(connected: true, at: 0)
    machine.received(.closed, at: 0)
    var now: UInt64 = 0
    var pauses: [UInt64] = []
    for _ in 0..<9 {
      guard let pause = settle(&machine, at: now).0 else { break }
      pauses.append(pause)
      now += pause
    }
    #expect(pauses == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
  }

  @Test func aNewConnectionStartsTheBackOffOver() {
    var machine = ControlMachine(connected: true, at: 0)
    machine.received(.closed, at: 0)
    machine.connectEnded(.absent, at: 1_000)
    machine.connectEnded(.connected, at: 3_000)
    #expect(machine.link == .up)
    machine.received(.closed, at: 4_000)
    #expect(machine.link == .down(retryAt: 5_000))
  }

  @Test func rejectedItStaysAwayForTheABIsPause() {
    var machine = ControlMachine(connected: true, at: 0)
    machine.received(.reject, at: 500)
    #expect(settle(&machine, at: 500).0 == ControlMachine.rejectMilliseconds)
  }

  @Test func takenDescriptorsAreMadeAgainLater() {
    var machine = ControlMachine(connected: true, at: 0)
    machine.received(.lost, at: 500)
    #expect(settle(&machine, at: 500).0 == ControlMachine.lostMilliseconds)
  }

  @Test func forbiddenItNeverTriesAgain() {
    var machine = ControlMachine(connected: false, at: 0)
    machine.connectEnded(.forbidden, at: 0)
    let (pause, actions) = settle(&machine, at: 1_000_000)
    #expect(pause == nil)
    #expect(actions.isEmpty)
  }

  @Test func aStopComesBeforeEverythingElse() {
    var machine = ControlMachine(connected: true, at: 0)
    machine.woke(kicked: true, socket: true, stop: true, at: 1)
    #expect(machine.next(at: 1_000) == .stop)
  }

  @Test func commandsAreReadUntilTheSocketIsEmpty() {
    var machine = ControlMachine(connected: true, at: 0)
    machine.received(.command, at: 0)
    #expect(machine.next(at: 0) == .receive)
    machine.received(.nothing, at: 0)
    #expect(machine.next(at: 0) == .wait(milliseconds: nil))
    machine.woke(kicked: false, socket: true, stop: false, at: 9)
    #expect(machine.next(at: 9) == .receive)
  }

  @Test func answersThatWaitAreLookedAtWhenTheyComeAndWhenTheyAreLate() {
    var machine = ControlMachine(connected: true, at: 0)
    machine.received(.deferred, at: 10)
    machine.received(.nothing, at: 10)
    #expect(machine.next(at: 10) == .finishAnswers, "it may be there already")
    machine.answersFinished(next: 500)
    #expect(machine.next(at: 10) == .wait(milliseconds: 490), "until the first is too late")
    machine.woke(kicked: false, socket: false, stop: false, answer: true, at: 100)
    #expect(machine.next(at: 100) == .finishAnswers)
    machine.answersFinished(next: nil)
    #expect(machine.next(at: 100) == .wait(milliseconds: nil), "an idle thread has no timer")
  }
}

@Suite("The pause between attempts")
struct BackOffTests {
  @Test(arguments: [(0, 1_000), (1_000, 2_000), (16_000, 32_000), (32_000, 60_000), (60_000, 60_000)] as [(UInt64, UInt64)])
  func following(previous: UInt64, next: UInt64) {
    #expect(nextPause(previous) == next)
  }
}
