import Model
import Supervisor
import Wire

extension PressureStatus {
  init(_ pressure: PressureSnapshot) {
    self.init(
      isPressed: pressure.isPressed,
      triggers: (pressure.watch?.triggers ?? []).map { trigger in
        Trigger(
          source: trigger.source, path: trigger.path, state: trigger.state.rawValue, trigger: Known(trigger.trigger?.text),
          problem: Known(trigger.problem), events: trigger.events,
          lastEventAt: Known(trigger.lastEvent.map { pressure.takenAt.wallTime(ofMonotonic: $0) }))
      }, checkSeconds: pressure.checkSeconds,
      groupLimits: Known(
        pressure.watch?.limits.map { Limits(high: $0.high, max: $0.max, oom: $0.outOfMemory, oomKill: $0.killed) }),
      swapBytes: Known(pressure.swapUsed?.count), events: pressure.events, lastEventAt: Known(pressure.lastEventAt),
      decisions: pressure.decisions, lastDecisionMilliseconds: Known(pressure.lastMilliseconds),
      slowestDecisionMilliseconds: Known(pressure.slowestMilliseconds),
      bell: Known(
        pressure.bell.map { Bell(path: $0.path, clients: $0.clients, refused: $0.refused, rings: $0.rings) }))
  }
}
