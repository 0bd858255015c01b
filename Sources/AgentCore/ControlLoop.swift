import CAgentABI

/// The control thread's loop: asks the machine, performs the action through the C functions, tells the machine.
@_cdecl("mlos_core_control")
public func runControlLoop(_ operations: UnsafePointer<mlos_control_ops>) {
  let ops = operations.pointee
  var machine = ControlMachine(connected: ops.is_connected() != 0, at: ops.now_ms())
  while true {
    switch machine.next(at: ops.now_ms()) {
    case .stop:
      return
    case .wait(let milliseconds):
      let bits = ops.wait(timeout(milliseconds))
      machine.woke(
        kicked: bits & UInt32(MLOS_WAKE_KICK.rawValue) != 0, socket: bits & UInt32(MLOS_WAKE_SOCKET.rawValue) != 0,
        stop: bits & UInt32(MLOS_WAKE_STOP.rawValue) != 0, answer: bits & UInt32(MLOS_WAKE_ANSWER.rawValue) != 0,
        at: ops.now_ms())
    case .connect:
      machine.connectEnded(connectOutcome(ops.connect()), at: ops.now_ms())
    case .receive:
      machine.received(receiveOne(ops), at: ops.now_ms())
    case .finishAnswers:
      let next = ops.finish_answers(ops.now_ms())
      machine.answersFinished(next: next == 0 ? nil : next)
    case .refreshModules:
      _ = ops.refresh()
      machine.refreshed(at: ops.now_ms())
    }
  }
}

/// The back-off of a process without a control thread, which keeps its state on the C side.
@_cdecl("mlos_core_next_pause_ms")
public func nextPause(_ previousMilliseconds: UInt64) -> UInt64 {
  var backOff = BackOff(milliseconds: previousMilliseconds)
  return backOff.fail()
}

private func timeout(_ milliseconds: UInt64?) -> Int32 {
  guard let milliseconds else { return -1 }
  return milliseconds > UInt64(Int32.max) ? Int32.max : Int32(milliseconds)
}

private func connectOutcome(_ result: UInt32) -> ControlMachine.ConnectOutcome {
  switch result {
  case MLOS_CONNECT_OK.rawValue: return .connected
  case MLOS_CONNECT_REFUSED.rawValue: return .refused
  case MLOS_CONNECT_FORBIDDEN.rawValue: return .forbidden
  default: return .absent
  }
}

private func receiveOne(_ ops: mlos_control_ops) -> ControlMachine.Received {
  var command = mlos_command()
  switch ops.receive(&command) {
  case MLOS_RECEIVED_WELCOME.rawValue:
    return .welcome
  case MLOS_RECEIVED_COMMAND.rawValue:
    return answer(&command, ops) ? .command : .deferred
  case MLOS_RECEIVED_REJECT.rawValue:
    ops.disconnect()
    return .reject
  case MLOS_RECEIVED_CLOSED.rawValue:
    ops.disconnect()
    return .closed
  case MLOS_RECEIVED_LOST.rawValue:
    return .lost
  default:
    return .nothing
  }
}

/// False: the answer comes later.
private func answer(_ command: inout mlos_command, _ ops: mlos_control_ops) -> Bool {
  let start = ops.now_ns()
  var status = UInt32(MLOS_RESULT_OK.rawValue)
  var value: Int64 = 0
  switch command.code {
  case MLOS_COMMAND_PING.rawValue:
    break
  case MLOS_COMMAND_REFRESH_MODULES.rawValue:
    value = ops.refresh()
    if value < 0 { status = MLOS_RESULT_FAILED.rawValue }
  case MLOS_COMMAND_HEAP_START.rawValue, MLOS_COMMAND_HEAP_STOP.rawValue:
    status = ops.heap(&command, &value)
  default:
    status = ops.reclaim(&command, &value)
  }
  guard status != MLOS_ANSWERED_LATER else { return false }
  ops.reply(&command, status, value, ops.now_ns() - start)
  return true
}
