import ArgumentParser
import Client
import Dispatch
import Glibc
import Wire

/// What widths and orders go by.
enum HeapMeasure: String, CaseIterable, ExpressibleByArgument { case live, allocated }

struct HeapCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "heap", abstract: "Show who allocates the heap of a process.",
    discussion: """
      Samples allocations for some seconds and shows, by package and by chain of calls, what was allocated meanwhile and what \
      of it is still live, with the 95 % interval of each estimate. Ctrl-C gives the profile so far. Only native code is seen: \
      Python's functions appear as the interpreter's. Example:
        mlos heap 4711 --seconds 30 --flamegraph heap.svg --pprof heap.pb.gz
      """)

  /// The supervisor takes no more.
  static let longest = 3_600.0

  @Argument(help: "The process.", completion: ProcessArgument.completion) var pid: ProcessArgument
  @Option(help: ArgumentHelp("How long to sample.", valueName: "n")) var seconds = 10.0
  @Option(help: ArgumentHelp("Only chains of calls that belong to one package.", valueName: "name")) var package: String?
  @Option(help: ArgumentHelp("Write a flame graph.", valueName: "file.svg"), completion: .file(extensions: ["svg"]))
  var flamegraph: String?
  @Option(help: ArgumentHelp("Write a profile for pprof.", valueName: "file.pb.gz"), completion: .file(extensions: ["gz"]))
  var pprof: String?
  @Option(help: "What the order and the flame graph go by: live or allocated.") var by = HeapMeasure.live
  @Option(help: ArgumentHelp("Show N chains of calls.", valueName: "n")) var limit = 10
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard seconds > 0, seconds <= Self.longest else {
      throw ValidationError("--seconds must be above 0 and at most \(Int(Self.longest))")
    }
    if let flamegraph, flamegraph == pprof { throw ValidationError("--flamegraph and --pprof need a file each") }
    try OrderingOptions.check(limit)
  }

  func run() async throws {
    Output.prepare()
    let client = try connection.client()
    // Found out now, not when the profile is there and cannot be written.
    let graph = try flamegraph.map { try ResultFile(path: $0) }
    let profile = try pprof.map { try ResultFile(path: $0) }
    let answer: ControlClient.Answer<HeapAnswer>
    do throws(ClientError) {
      answer = try await sample(client)
    } catch {
      throw failure(error)
    }
    let body = answer.body
    let view = HeapView(answer: body, by: by, package: package, limit: limit)
    if let emptiness = view.emptiness {
      if output.json { Output.print([JSONText.indented(answer.json)]) }
      throw Failure(status: .notFound, message: emptiness, advice: "profile it while it works, or for longer: --seconds")
    }
    if let package, !body.packages.contains(where: { $0.name == package }) {
      throw Failure(
        status: .notFound, message: "no sample of process \(pid.pid) belongs to a package '\(package)'",
        advice: "packages with samples: " + body.packages.map(\.name).joined(separator: ", "))
    }
    // A full disk takes one file, not what was sampled; a reader that goes away takes no file.
    let outcomes = [
      graph.map { file in
        (file.path, Result { try file.write(Array(FlameGraph(answer: body, by: by, package: package).svg().utf8)) })
      },
      profile.map { file in (file.path, Result { try file.write(Gzip.compressed(PprofProfile(answer: body).encoded())) }) },
    ].compactMap(\.self)
    Output.print(output.json ? [JSONText.indented(answer.json)] : view.lines(output.terminal))
    for case (let path, .success) in outcomes where !output.json {
      Output.print(output.terminal.footnote("wrote \(path)", .plain))
    }
    if let reason = body.reason.value { Output.complain("the profile is partial: \(reason)") }
    for (_, outcome) in outcomes { try outcome.get() }
  }

  private func sample(_ client: ControlClient) async throws(ClientError) -> ControlClient.Answer<HeapAnswer> {
    let pid = pid.pid
    // A supervisor that hangs is told after the usual time, not after that of a profile.
    _ = try await client.status()
    let interrupts = Self.interrupts { Task { _ = try? await client.stopHeapProfile(of: pid) } }
    defer { interrupts.cancel() }
    let shown = isatty(STDERR_FILENO) == 1 && seconds > 2
    let total = seconds
    let progress = Task { if shown { await Self.showProgress(client, pid, total) } }
    defer {
      progress.cancel()
      if shown { Output.progress("") }
    }
    return try await client.heapProfile(of: pid, HeapProfileRequest(seconds: seconds, package: package))
  }

  /// Ctrl-C ends the profile, a second one the command.
  private static func interrupts(_ stop: @escaping @Sendable () -> Void) -> any DispatchSourceSignal {
    signal(SIGINT, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: DispatchQueue(label: "mlos.interrupts"))
    nonisolated(unsafe) var count = 0
    source.setEventHandler {
      count += 1
      if count > 1 { _exit(ExitStatus.interrupted.rawValue) }
      stop()
    }
    source.resume()
    return source
  }

  private static func showProgress(_ client: ControlClient, _ pid: Int32, _ total: Double) async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(1))
      guard !Task.isCancelled, let answer = try? await client.heapProgress(of: pid).body, !Task.isCancelled else { continue }
      let elapsed = answer.seconds.value.map { "\(Int($0)) of \(Phrases.decimal(total, places: 0)) s" } ?? "waiting for the agent"
      Output.progress("\(elapsed), \(answer.samples) samples; Ctrl-C ends it")
    }
  }

  private func failure(_ error: ClientError) -> Failure {
    // It is there, and can have no profile as things are.
    if case .answered(409, let answer) = error { return Failure(status: .notFound, message: answer.error.message) }
    return Failure(error)
  }
}

/// A file that is found to be writable before the work and written after it. One that was not there is not there in between
/// either, so that nothing is left however the command ends.
final class ResultFile {
  let path: String
  /// Of a file that was there; -1 for one to be made.
  private var descriptor: Int32
  private let isNew: Bool
  private var isWritten = false

  private static let flags = O_WRONLY | O_CLOEXEC | O_NOCTTY

  init(path: String) throws {
    self.path = path
    let existing = open(path, Self.flags)
    if existing < 0, errno == ENOENT {
      let trial = open(path, Self.flags | O_CREAT | O_EXCL, 0o666)
      isNew = trial >= 0
      // EEXIST: a symbolic link to nothing, which open(2) makes the file of.
      descriptor = isNew || errno != EEXIST ? -1 : open(path, Self.flags | O_CREAT, 0o666)
      guard trial >= 0 || descriptor >= 0 else { throw Self.failure(path) }
      if isNew {
        close(trial)
        unlink(path)
      }
    } else {
      isNew = false
      descriptor = existing
      guard existing >= 0 else { throw Self.failure(path) }
    }
  }

  func write(_ bytes: [UInt8]) throws {
    if descriptor < 0 { descriptor = open(path, Self.flags | O_CREAT, 0o666) }
    guard descriptor >= 0 else { throw Self.failure(path) }
    var rest = bytes[...]
    var failed = ftruncate(descriptor, 0) != 0 && errno != EINVAL
    while !rest.isEmpty && !failed {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else { failed = errno != EINTR }
    }
    guard !failed else { throw Self.failure(path) }
    isWritten = true
  }

  private static func failure(_ path: String) -> Failure {
    Failure(status: .notFound, message: "cannot write \(path): \(String(cString: strerror(errno)))")
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    if isNew && !isWritten { unlink(path) }
  }
}
