import ArgumentParser
import Client
import Dispatch
import Glibc
import Simulator
import Synchronization
import Wire

struct RecordCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record", abstract: "Record what is used when, for mlos simulate.",
    discussion: """
      Asks the supervisor again and again until the time is over or Ctrl-C. Uses of packages are seen as often as the supervisor \
      looks for them (observe.interval), those of processes at every --interval. Example:
        mlos record --seconds 3600 --units processes history.trace
      """)

  @Argument(help: "File to write; it is replaced when the recording ends.", completion: .file()) var file: String
  @Option(help: ArgumentHelp("How long.", valueName: "n")) var seconds = 600.0
  @Option(help: ArgumentHelp("Seconds between two looks.", valueName: "n")) var interval = 1.0
  @Option(
    help: ArgumentHelp("What is a unit: packages (in a process) or processes.", valueName: "kind"),
    completion: .list(["packages", "processes"]))
  var units = "packages"
  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    guard seconds > 0, seconds <= Trace.Limit.seconds else {
      throw ValidationError("--seconds must be above 0 and at most a year")
    }
    guard interval >= 0.1, interval <= 3600 else { throw ValidationError("--interval must be from 0.1 to 3600") }
    guard HistoryRecorder.Units(rawValue: units) != nil else {
      throw ValidationError("unknown units '\(units)'; there are: packages, processes")
    }
  }

  func run() async throws {
    Output.prepare()
    let client = try connection.client()
    // Found out now, not when the recording is there and cannot be written.
    let result = try ResultFile(path: file)
    let stop = Interrupt()
    defer { stop.end() }
    var recorder = HistoryRecorder()
    let began = Self.now()
    var elapsed = 0.0
    do throws(ClientError) {
      repeat {
        if units == HistoryRecorder.Units.processes.rawValue {
          recorder.take(try await client.processes().body, at: elapsed)
        } else {
          recorder.take(try await client.packages().body, at: elapsed)
        }
        if isatty(STDERR_FILENO) == 1 {
          Output.progress("\(Int(elapsed)) of \(Int(seconds)) s, \(recorder.units) units, \(recorder.uses) uses; Ctrl-C ends it")
        }
        await stop.wait(seconds: min(interval, max(seconds - elapsed, 0)))
        elapsed = Self.now() - began
      } while elapsed < seconds && !stop.isSet
    } catch {
      // What was seen until the supervisor went is worth keeping.
      guard recorder.uses > 0 else { throw Failure(error) }
      Output.complain("\(error); what was recorded until then is kept")
    }
    if isatty(STDERR_FILENO) == 1 { Output.progress("") }
    let trace = recorder.trace(
      source: "mlos record --units \(units)", recorder: "mlos \(Release.version)", machine: Self.machine(), duration: elapsed)
    guard !trace.units.isEmpty else { throw Failure(status: .notFound, message: "nothing was watched, so nothing was recorded") }
    try result.write(Array(trace.text().utf8))
    if recorder.isFull { Output.complain("more units or uses than a trace may have: some are left out") }
    Output.print([
      "wrote \(file): \(Phrases.count(trace.units.count, "unit", "units")), \(Phrases.count(trace.events.count, "use", "uses"))"
    ])
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func machine() -> String {
    let gibibytes = Double(sysconf(Int32(_SC_PHYS_PAGES))) * Double(sysconf(Int32(_SC_PAGESIZE))) / Double(1 << 30)
    return "\(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors, \(Phrases.decimal(gibibytes, places: 1)) GiB"
  }
}

/// Ctrl-C ends the wait under way and every one after it; a second one ends the command.
private final class Interrupt: Sendable {
  private struct State {
    var isSet = false
    var waiting: Task<Void, Never>?
  }
  private let state = Mutex(State())
  /// Set up once, then only cancelled, from any thread.
  private nonisolated(unsafe) let source: any DispatchSourceSignal

  init() {
    signal(SIGINT, SIG_IGN)
    source = DispatchSource.makeSignalSource(signal: SIGINT, queue: DispatchQueue(label: "mlos.interrupts"))
    source.setEventHandler { [unowned self] in
      state.withLock { state in
        if state.isSet { _exit(ExitStatus.interrupted.rawValue) }
        state.isSet = true
        state.waiting?.cancel()
      }
    }
    source.resume()
  }

  var isSet: Bool { state.withLock { $0.isSet } }

  func wait(seconds: Double) async {
    let sleep = Task<Void, Never> { try? await Task.sleep(for: .seconds(seconds)) }
    state.withLock { state in
      state.waiting = sleep
      if state.isSet { sleep.cancel() }
    }
    await sleep.value
  }

  func end() { source.cancel() }
}
