import Glibc
import LinuxPlatform
import Logging
import Model
import SocketAPI
import Supervisor

/// Hears of want of memory from the kernel and hands it on: to the supervisor, and through a socket to programs that asked for it.
struct PressureService {
  private let supervisor: Supervisor
  private let watcher: PressureWatcher
  private let bell: PressureListener

  init(supervisor: Supervisor, claim: SocketClaim, path: String, isSystemService: Bool) throws(StartError) {
    self.supervisor = supervisor
    let logger = Logger(label: "pressure")
    do throws(SocketClaim.Refusal) {
      let listener = try claim.listen(path: path, type: SOCK_STREAM, mode: isSystemService ? 0o666 : 0o600, backlog: 128)
      bell = try Self.started { () throws(PlatformError) in
        try PressureListener(
          path: path, listener: listener, admission: isSystemService ? .everyone : .user(geteuid()), logger: logger)
      }
      watcher = try Self.started { () throws(PlatformError) in
        try PressureWatcher(
          listener: PressureWatcher.Listener(
            event: { supervisor.pressureChanged($0) }, lookDue: { supervisor.lookForPressure() },
            changed: { Self.log($0, to: logger) }))
      }
    } catch {
      throw StartError(error.description)
    }
  }

  func start() async {
    await supervisor.use(watcher: watcher, bell: bell)
    watcher.start()
    bell.start()
  }

  func stop() {
    watcher.stop()
    bell.stop()
  }

  private static func started<Value>(_ body: () throws(PlatformError) -> Value) throws(SocketClaim.Refusal) -> Value {
    do throws(PlatformError) { return try body() } catch { throw SocketClaim.Refusal(error.description) }
  }

  private static func log(_ trigger: PressureTriggerReport, to logger: Logger) {
    let about: Logger.Metadata = ["source": "\(trigger.source)", "path": "\(trigger.path)"]
    let why = { about.merging(["reason": "\(trigger.problem ?? "-")"]) { $1 } }
    switch trigger.state {
    case .armed:
      logger.info(
        "the kernel tells of pressure", metadata: about.merging(["trigger": "\(trigger.trigger?.text ?? "-")"]) { $1 })
    case .refused:
      logger.warning("the kernel does not tell of pressure: memory is looked at regularly", metadata: why())
    case .unavailable: logger.debug("nothing here tells of pressure", metadata: why())
    case .lost: logger.notice("the kernel tells of pressure no more", metadata: why())
    }
  }
}
