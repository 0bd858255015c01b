import Model
import Policy

extension Supervisor {
  /// From whom it hears of pressure, and whom it tells. Before that, and without, it looks regularly.
  public func use(watcher: any PressureWatching, bell: (any PressureTelling)?) {
    unloading.pressure.watcher = watcher
    unloading.pressure.bell = bell
  }

  /// Memory is short, says the kernel. Returns at once; many at a time are one decision. From any thread.
  public nonisolated func pressureChanged(_ event: PressureEvent) {
    if pressureInbox.put(event) { soon { $0.takePressure() } }
  }

  /// The time is over that the watcher was asked to wait. As `pressureChanged`.
  public nonisolated func lookForPressure() {
    if pressureInbox.putLook() { soon { $0.takePressure() } }
  }

  func takePressure() {
    let contents = pressureInbox.empty()
    unloading.pressure.take(contents)
    let settings = unloading.policy.settings
    if !settings.isEnabled || !settings.enableMemoryPressureUnloading { unloading.pressure.forget() }
    let moment = now()
    switch unloading.pressure.due(at: moment.monotonic) {
    case .now: decideAtOnce(moment)
    case .later(let pause): unloading.pressure.watcher?.lookAgain(after: pause)
    // `nextCheck` says what is due by now.
    case .never: if contents.isLookDue { decide(at: moment) }
    }
  }

  private func decideAtOnce(_ moment: Moment) {
    unloading.nextCheck = 0
    decide(at: moment)
    let ended = now()
    guard let milliseconds = unloading.pressure.decided(began: moment.monotonic, ended: ended.monotonic),
      unloading.pressure.isTellingDue(at: ended.monotonic)
    else { return }
    logger.info(
      "pressure event to decision",
      metadata: ["milliseconds": "\(milliseconds)", "pressed": "\(unloading.pressure.isPressed)"])
    recorder?.record([MetricSample("pressure.decision_milliseconds", milliseconds, at: ended.wall)])
  }

  /// What follows from a look at memory besides what is given back: programs are told first, for they know best what they can do
  /// without, and the next look comes soon.
  func heed(_ memory: MemoryPressure?, at moment: Moment) {
    let isPressed = unloading.policy.isPressed(by: memory, at: Instant(nanoseconds: moment.monotonic))
    let wasPressed = unloading.pressure.isPressed
    if let pause = unloading.pressure.heed(memory, isPressed: isPressed) {
      unloading.nextCheck = min(unloading.nextCheck, moment.monotonic &+ pause)
      unloading.pressure.watcher?.lookAgain(after: pause)
    }
    if unloading.pressure.isRingDue(at: moment.monotonic) { unloading.pressure.bell?.ring() }
    guard isPressed != wasPressed else { return }
    logger.notice(
      isPressed ? "memory is short" : "memory is short no more",
      metadata: [
        "level": "\(memory?.share ?? 0)", "stall": "\(memory?.stall.map { "\($0)" } ?? "not known")",
        "source": "\(memory?.source ?? "not known")",
      ])
  }

  /// For the status.
  func pressureSnapshot(_ moment: Moment) -> PressureSnapshot {
    let work = unloading.pressure
    return PressureSnapshot(
      watch: work.watcher?.report(), bell: work.bell?.report(), takenAt: moment,
      checkSeconds: unloading.policy.settings.checkIntervalSeconds,
      isPressed: work.isPressed && unloading.policy.settings.isEnabled, swapUsed: meter?.swapUsed(),
      events: work.events, lastEventAt: work.lastEvent.map { moment.wallTime(ofMonotonic: $0) }, decisions: work.decisions,
      lastMilliseconds: work.lastMilliseconds, slowestMilliseconds: work.slowestMilliseconds)
  }
}
