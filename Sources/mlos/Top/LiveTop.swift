import CLinux
import Glibc

/// `mlos top` on a terminal: waits for keys, signals and answers in one place, and shows the model after each.
struct LiveTop {
  private var model: TopModel
  private let reader: TopReader
  private let terminal: Terminal
  private let screen: Screen
  private let signals: Int32
  private var keys = KeyParser()
  /// When what the parser waits for counts as not coming; nil when it waits for nothing.
  private var keysDue: Double?
  private var schedule = TopSchedule()
  /// The page or process changed while an answer to something else was under way.
  private var isOutdated = false
  /// The terminal took no more output.
  private var isHungUp = false

  /// - Parameter first: A reading, so that a supervisor that is not there is an error like that of any command.
  init(_ model: TopModel, first: TopReading, reader: TopReader, terminal: Terminal, environment: [String: String]) throws {
    self.model = model
    self.reader = reader
    self.terminal = terminal
    screen = try Screen(environment: environment)
    var descriptor: Int32 = -1
    for number in Signals.caught { descriptor = mlos_linux_signal_catch(number) }
    guard descriptor >= 0 else {
      throw Failure(status: .broken, message: "cannot wait for signals: \(String(cString: strerror(errno)))")
    }
    signals = descriptor
    self.model.take(first)
    let now = monotonicSeconds()
    schedule.start(at: now)
    schedule.finish(at: now, failed: false)
  }

  mutating func run() throws {
    try screen.enter()
    defer { screen.leave() }
    while true {
      let now = monotonicSeconds()
      if let due = due(), due <= now { ask(at: now) }
      show(at: now)
      switch try wait(from: now) {
      case .goOn: continue
      case .quit: return
      case .end(let number):
        screen.leave()
        mlos_linux_signal_default(number)
        return
      }
    }
  }

  private enum Next {
    case goOn, quit
    /// As the signal ends a program.
    case end(Int32)
  }

  /// When to ask next; nil while an answer is under way or while paused.
  private func due() -> Double? {
    if schedule.isAsking { return nil }
    if isOutdated { return 0 }
    return model.isPaused ? nil : schedule.next(interval: model.interval)
  }

  private mutating func ask(at time: Double) {
    isOutdated = false
    schedule.start(at: time)
    model.ask(at: time)
    reader.start(model.scope)
  }

  private mutating func show(at time: Double) {
    let size = screen.size
    var terminal = terminal
    terminal.columns = size.columns
    let lines = model.screen(terminal, rows: size.rows, at: time)
    if !screen.draw(lines, columns: size.columns) { isHungUp = true }
  }

  /// Until something happens or is due.
  private mutating func wait(from now: Double) throws -> Next {
    if isHungUp { return .end(SIGHUP) }
    var times = [due()]
    times.append(keysDue)
    // The line that says for how long there is no news.
    if model.failure != nil || schedule.isAsking { times.append(now + 1) }
    let timeout = times.compactMap { $0 }.min().map { Int32(min(max((($0 - now) * 1000).rounded(.up), 0), 60_000)) } ?? -1
    var states = [STDIN_FILENO, signals, reader.descriptor].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    let count = poll(&states, nfds_t(states.count), timeout)
    guard count >= 0 || errno == EINTR else {
      throw Failure(status: .broken, message: "poll: \(String(cString: strerror(errno)))")
    }
    // Asked whatever poll said: a signal that interrupted it is not in `states`.
    if let next = try obey(mlos_linux_signals_take()) { return next }
    guard count >= 0 else { return .goOn }
    if states[2].revents != 0 { take() }
    if states[0].revents != 0 { return readKeys() }
    guard let keysDue, monotonicSeconds() >= keysDue else { return .goOn }
    self.keysDue = nil
    return press(keys.flush())
  }

  private mutating func obey(_ came: UInt64) throws -> Next? {
    for number in Signals.ending where came & Signals.bit(number) != 0 { return .end(number) }
    if came & Signals.bit(SIGTSTP) != 0 {
      screen.leave()
      mlos_linux_signal_default(SIGTSTP)
      try screen.enter()
    } else if came & Signals.bit(SIGCONT) != 0 {
      try screen.enter()
    }
    if came & Signals.bit(SIGWINCH) != 0 { screen.forget() }
    return nil
  }

  private mutating func take() {
    guard let outcome = reader.take() else { return }
    let now = monotonicSeconds()
    switch outcome {
    case .success(let reading):
      schedule.finish(at: now, failed: false)
      if reading.scope != model.scope { isOutdated = true }
      model.take(reading)
    case .failure(let error):
      schedule.finish(at: now, failed: true)
      model.fail(error, at: now)
    }
  }

  private mutating func readKeys() -> Next {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = read(STDIN_FILENO, &buffer, buffer.count)
    if count > 0 {
      let pressed = keys.feed(buffer[..<count])
      keysDue = keys.isWaiting ? monotonicSeconds() + KeyParser.patience : nil
      return press(pressed)
    }
    return count < 0 && (errno == EINTR || errno == EAGAIN) ? .goOn : .end(SIGHUP)
  }

  private mutating func press(_ keys: [TopKey]) -> Next {
    for key in keys {
      switch model.press(key) {
      case .quit: return .quit
      case .read: isOutdated = true
      case .repaint: screen.forget()
      case nil: break
      }
    }
    return .goOn
  }
}
