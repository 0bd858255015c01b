import CLinux
import Config
import Glibc
import Logging
import Model
import ServiceLifecycle
import Supervisor
import Synchronization
import UnixSignals

/// The settings in force; replaced as a whole by a reload.
final class CurrentSettings: Sendable {
  private let settings: Mutex<Settings>
  init(_ settings: Settings) { self.settings = Mutex(settings) }
  var value: Settings {
    get { settings.withLock { $0 } }
    set { settings.withLock { $0 = newValue } }
  }
}

/// Calls the supervisor's tick, tells systemd that all is well, ends an ephemeral supervisor.
struct Regular: Service {
  /// 10 s: time for what `mlos run` starts to load its libraries and connect.
  static let startGrace = 10.0
  /// 100 ms: what a person who follows events takes for "at once".
  static let followedInterval = 0.1

  /// 1 s: by then the sockets are open and the agents that waited have come.
  static let startSeconds = 1.0
  /// 30 s between two times that code used once is unmapped: of 16 MiB some 8 are in use while idle. Costs 200 minor faults.
  static let unmapSeconds = 30.0

  let supervisor: Supervisor
  let current: CurrentSettings
  let manager: ServiceManager
  let isEphemeral: Bool

  func run() async throws {
    await cancelWhenGracefulShutdown { await loop() }
  }

  private func loop() async {
    let started = currentMoment()
    var lastSign = started
    var unmapAfter = Self.startSeconds
    while !Task.isCancelled {
      await supervisor.tick()
      let now = currentMoment()
      // The sign is given after a tick went through: a supervisor that hangs gives none.
      if let every = manager.watchdogSeconds, seconds(from: lastSign, to: now) >= every / 2 {
        manager.notify("WATCHDOG=1")
        lastSign = now
      }
      if isEphemeral {
        if await supervisor.isDone() { return }
        if await !supervisor.hasWatchedAnything, seconds(from: started, to: now) > Self.startGrace { return }
      }
      if seconds(from: started, to: now) >= unmapAfter {
        _ = mlos_linux_drop_own_text()
        unmapAfter = seconds(from: started, to: now) + Self.unmapSeconds
      }
      var interval = await supervisor.isFollowed ? Self.followedInterval : current.value.checkInterval.inSeconds
      if let every = manager.watchdogSeconds { interval = min(interval, every / 2) }
      try? await Task.sleep(for: .seconds(interval))
    }
  }

  private func seconds(from: Moment, to: Moment) -> Double { Double(to.monotonic - from.monotonic) / 1e9 }
}

/// Says "ready", once: to systemd, to the log and to whoever passed a descriptor.
struct Readiness: Sendable {
  let controlSocket: String
  let manager: ServiceManager
  let readyDescriptor: Int32?
  let logger: Logger

  func announce() {
    manager.notify("READY=1\nSTATUS=Watching for agents")
    logger.notice("ready", metadata: ["pid": "\(getpid())", "control": "\(controlSocket)"])
    guard let readyDescriptor else { return }
    _ = write(readyDescriptor, "1", 1)
    close(readyDescriptor)
  }
}

/// SIGHUP: the configuration is read again and the log file opened anew. A bad configuration changes nothing.
struct Reloader: Service {
  let signals: UnixSignalsSequence
  let configuration: Configuration
  let manager: ServiceManager

  func run() async throws {
    await cancelWhenGracefulShutdown {
      for await _ in signals {
        manager.notify("RELOADING=1\nMONOTONIC_USEC=\(currentMoment().monotonic / 1_000)")
        await configuration.reload()
        manager.notify("READY=1")
      }
    }
  }
}

/// Answers those who wait for events when the end comes, so that the HTTP server can close.
struct Releaser: Service {
  let supervisor: Supervisor
  let manager: ServiceManager

  func run() async throws {
    try? await gracefulShutdown()
    manager.notify("STOPPING=1")
    await supervisor.close()
  }
}
