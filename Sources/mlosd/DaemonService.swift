import Config
import Glibc
import HTTPAPI
import LinuxPlatform
import Logging
import Model
import ServiceLifecycle
import SocketAPI
import Supervisor
import UnixSignals
import Wire

/// Puts the parts together and runs them until a signal, or until an ephemeral supervisor has nothing left to watch.
struct DaemonService {
  let settings: Settings
  /// Of those, what was changed while a supervisor ran.
  let changes: RuntimeChanges
  let stored: StoredRules
  let sources: ConfigurationSources
  let isEphemeral: Bool
  let readyDescriptor: Int32?
  let output: LogOutput
  let levels: LogLevels
  let logger: Logger

  init(
    settings: Settings, changes: RuntimeChanges, stored: StoredRules, sources: ConfigurationSources, isEphemeral: Bool,
    readyDescriptor: Int32?
  ) throws(StartError) {
    self.settings = settings
    self.changes = changes
    self.stored = stored
    self.sources = sources
    self.isEphemeral = isEphemeral
    self.readyDescriptor = readyDescriptor
    output = try LogOutput(path: settings.logFile, format: LogOutput.Format(settings.logFormat))
    levels = LogLevels(Logger.Level(settings.logLevel))
    let (output, levels) = (output, levels)
    LoggingSystem.bootstrap { OutputLogHandler(output: output, label: $0, levels: levels) }
    logger = Logger(label: "mlosd")
  }

  func run() async throws {
    // Sockets and files are this user's alone unless opened up on purpose.
    umask(0o077)
    // What `mlos run` starts is for that user alone, root too.
    let isSystemService = geteuid() == 0 && settings.socket.hasPrefix("/run/") && !isEphemeral
    let claim = try claimed { () throws(SocketClaim.Refusal) in
      try SocketClaim(path: settings.socket, sharedFolder: isSystemService)
    }
    let agents = try claimed { () throws(SocketClaim.Refusal) in
      try claim.listen(path: settings.socket, type: SOCK_SEQPACKET, mode: isSystemService ? 0o666 : 0o600, backlog: 1_024)
    }
    try claimed { () throws(SocketClaim.Refusal) in try claim.removeStale(settings.controlSocket) }

    if let problem = stored.problem { logger.warning("\(StoredRules.words(problem))") }
    let keeper = openJournal()
    let supervisor = Supervisor(
      inspector: ProcFSInspector(), files: CatalogInspector(),
      finder: ProcFSFinder(
        discovery: AgentDiscovery(socket: settings.socket, isDefaultSocket: settings.socket == sources.paths.agentSocket)),
      options: SupervisorOptions(
        processLimit: settings.agentsLimit, eventCapacity: settings.eventsCapacity,
        observeInterval: Self.observeInterval(settings), isEphemeral: isEphemeral, unloading: UnloadingSettings(settings),
        rules: settings.rules),
      ownPID: getpid(), ticksPerSecond: Double(ProcFS.ticksPerSecond), logger: Logger(label: "supervisor"),
      heapProfiler: RecorderProfiler(), pages: PlatformPages(), meter: MemoryMeter(), recorder: keeper,
      processorMeter: ProcFSProcessors(), comparer: QueuedComparison(), storage: StorageMeter(),
      now: currentMoment)
    let listener: AgentListener
    do {
      listener = try AgentListener(
        listener: agents, admission: isSystemService ? .everyone : .user(geteuid()), sink: supervisor,
        logger: Logger(label: "agents"))
    } catch {
      throw StartError("\(error)")
    }
    let pressure = try PressureService(
      supervisor: supervisor, claim: claim, path: settings.pressureSocket, isSystemService: isSystemService)
    listener.start()
    await pressure.start()

    let current = CurrentSettings(settings)
    let configuration = Configuration(
      sources: sources, changes: changes, stored: stored, current: current, supervisor: supervisor, recorder: keeper,
      output: output, levels: levels, logger: logger)
    let control = ControlAPI(
      commands: supervisor,
      facts: ServiceFacts(
        version: Release.version, pid: getpid(), user: geteuid(), agentSocket: settings.socket,
        controlSocket: settings.controlSocket, ticksPerSecond: Double(ProcFS.ticksPerSecond)),
      bodyLimit: { Int(current.value.httpLimitBody.count) }, configuration: configuration,
      rules: configuration, history: keeper, now: { currentMoment().wall })
    let manager = ServiceManager(environment: sources.environment)
    // Signals are trapped before anyone is told that the daemon is ready: untrapped, SIGHUP would end it.
    let reloads = await UnixSignalsSequence(trapping: .sighup)
    let readiness = Readiness(
      controlSocket: settings.controlSocket, manager: manager, readyDescriptor: readyDescriptor, logger: logger)
    let server = control.server(socketPath: settings.controlSocket, logger: Logger(label: "http")) { readiness.announce() }
    let services: [any Service] = [
      server,
      Regular(supervisor: supervisor, current: current, manager: manager, isEphemeral: isEphemeral),
      Reloader(
        signals: reloads, configuration: configuration, manager: manager),
      Releaser(supervisor: supervisor, manager: manager),
    ]
    var group = ServiceGroupConfiguration(
      services: services.map {
        ServiceGroupConfiguration.ServiceConfiguration(
          service: $0, successTerminationBehavior: .gracefullyShutdownGroup, failureTerminationBehavior: .cancelGroup)
      }, gracefulShutdownSignals: [.sigterm, .sigint], logger: lifecycleLogger)
    group.maximumGracefulShutdownDuration = .seconds(5)
    defer {
      pressure.stop()
      listener.stop()
      claim.release(also: [settings.controlSocket])
    }
    do {
      try await ServiceGroup(configuration: group).run()
    } catch is CancellationError {
      logger.notice("ended after waiting 5 s for open requests")
    }
    keeper?.close(at: currentMoment().wall)
    logger.notice("ended", metadata: ["pid": "\(getpid())"])
    if isEphemeral { EmbeddedLog.remove(besideSocket: settings.socket) }
  }

  /// A supervisor that ends with its program keeps none, unless it was told where.
  private func openJournal() -> JournalKeeper? {
    let path = settings.journalPath
    guard !path.isEmpty, !isEphemeral || settings.isGiven("journal.path") else { return nil }
    let logger = Logger(label: "journal")
    if let problem = JournalKeeper.makeFolder(of: path) {
      logger.warning("the journal's folder cannot be made", metadata: ["path": "\(path)", "error": "\(problem)"])
    }
    return JournalKeeper(path: path, at: currentMoment().wall, logger: logger)
  }

  /// Warnings only: below, the library logs whole services, this process's environment included.
  private var lifecycleLogger: Logger {
    let (output, levels) = (output, LogLevels(.warning))
    return Logger(label: "lifecycle") { OutputLogHandler(output: output, label: $0, levels: levels) }
  }

  static func observeInterval(_ settings: Settings) -> Double? {
    let seconds = settings.observeInterval.inSeconds
    return seconds > 0 ? seconds : nil
  }

  private func claimed<Value>(_ body: () throws(SocketClaim.Refusal) -> Value) throws(StartError) -> Value {
    do throws(SocketClaim.Refusal) { return try body() } catch { throw StartError(error.description) }
  }
}

@Sendable func currentMoment() -> Moment {
  var wall = timespec()
  clock_gettime(CLOCK_REALTIME, &wall)
  var monotonic = timespec()
  clock_gettime(CLOCK_MONOTONIC, &monotonic)
  return Moment(
    wall: Double(wall.tv_sec) + Double(wall.tv_nsec) / 1e9,
    monotonic: UInt64(monotonic.tv_sec) * 1_000_000_000 + UInt64(monotonic.tv_nsec))
}

extension Duration {
  var inSeconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) / 1e18
  }
}

extension LogOutput.Format {
  init(_ format: LogFormat) {
    switch format {
    case .json: self = .json
    case .text: self = .text
    }
  }
}

extension Logger.Level {
  init(_ level: LogLevel) {
    switch level {
    case .trace: self = .trace
    case .debug: self = .debug
    case .info: self = .info
    case .notice: self = .notice
    case .warning: self = .warning
    case .error: self = .error
    case .critical: self = .critical
    }
  }
}

extension ConfigAnswer {
  /// Puts what a rule has set in the place of what is configured.
  mutating func take(_ setting: RuleSetting) {
    if let index = settings.firstIndex(where: { $0.key == setting.key }) {
      (settings[index].value, settings[index].origin) = (setting.value, "rule \(setting.rule)")
    } else {
      settings.append(
        SettingRow(
          key: setting.key, value: setting.value, origin: "rule \(setting.rule)", summary: Settings.summary(of: setting.key) ?? ""
        ))
    }
  }

  init(_ settings: Settings) {
    self.init(
      file: Known(settings.file),
      settings: settings.rows().map { SettingRow(key: $0.key, value: $0.value, origin: $0.origin, summary: $0.summary) })
  }
}
