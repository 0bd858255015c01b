import ArgumentParser
import FoundationEssentials
import Glibc
import Simulator

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Play a recorded or made history against this policy and others.",
    discussion: """
      Every policy gets the same limit, a share of what all units take together. Less reload time is better; nothing is touched and \
      no supervisor is asked. Examples:
        mlos simulate history.trace
        mlos simulate --workload zipf --seed 7 --limit 50 --policy mlos --policy lru
      """)

  @Argument(help: "File of mlos record (mlos.trace/1); - reads standard input.", completion: .file()) var trace: String?
  @Option(
    help: ArgumentHelp("Make a history instead: \(Workload.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "kind")
  )
  var workload: String?
  @Option(help: "Of the history that is made: the same number makes the same one.") var seed: UInt64 = 1
  @Option(help: ArgumentHelp("Hours of the history that is made.", valueName: "n")) var hours = 12.0
  @Option(
    help: ArgumentHelp("Limit in percent of all units' bytes; may be given more than once. (default: 25, 50, 75)", valueName: "n")
  )
  var limit: [Double] = []
  @Option(
    help: ArgumentHelp(
      "Only these; may be given more than once: \(PolicyChoice.all.map(\.name).joined(separator: ", ")).", valueName: "name"),
    completion: .list(PolicyChoice.all.map(\.name)))
  var policy: [String] = []
  @Option(
    help: ArgumentHelp(
      "Compare also at the memory that this policy holds on average; takes thirty times as long.", valueName: "name"),
    completion: .list(PolicyChoice.all.map(\.name)))
  var equalMemory: String?
  @Flag(help: "Print the tables as Markdown.") var markdown = false
  @Flag(help: "Print JSON, one object a line.") var json = false

  func validate() throws {
    guard (trace == nil) != (workload == nil) else { throw ValidationError("name a file or a --workload, one of the two") }
    if let workload, Workload(rawValue: workload) == nil {
      throw ValidationError(
        "unknown workload '\(workload)'; there are: \(Workload.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    guard hours > 0, hours <= 168 else { throw ValidationError("--hours must be above 0 and at most 168") }
    for share in limit where !(share > 0 && share <= 100) {
      throw ValidationError("--limit must be above 0 and at most 100 percent")
    }
    for name in policy + [equalMemory].compactMap(\.self) where PolicyChoice.named(name) == nil {
      throw ValidationError("unknown policy '\(name)'; there are: \(PolicyChoice.all.map(\.name).joined(separator: ", "))")
    }
  }

  func run() throws {
    Output.prepare()
    let trace = try history()
    guard !trace.events.isEmpty else {
      let source = self.trace.map { $0 == "-" ? "standard input" : $0 } ?? trace.header.source
      throw Failure(status: .usage, message: "\(source): nothing is used in it, so there is nothing to play")
    }
    let progress = SimulationProgress()
    defer { progress.end() }
    let comparison = Simulation.compare(
      trace: trace, limits: limit.isEmpty ? Simulation.defaultLimits : limit.map { $0 / 100 },
      policies: policy.isEmpty ? PolicyChoice.all : policy.compactMap(PolicyChoice.named),
      equalMemoryTo: equalMemory.flatMap(PolicyChoice.named), progress: progress.take)
    progress.end()
    if json {
      Output.print([Self.trimmed(comparison.jsonLines())])
      return
    }
    let terminal = Terminal.current(environment: ProcessInfo.processInfo.environment, noColour: true)
    let view = SimulationView(comparison: comparison)
    Output.print(markdown ? view.markdown() : view.lines(terminal))
  }

  private func history() throws -> Trace {
    if let workload, let kind = Workload(rawValue: workload) { return kind.trace(seed: seed, hours: hours) }
    let path = trace ?? "-"
    do throws(TraceError) {
      return try Trace(reading: try Self.contents(path))
    } catch {
      throw Failure(status: .usage, message: "\(path == "-" ? "standard input" : path): \(error)")
    }
  }

  /// At most one piece more than a trace may have, which the reader refuses. Ends the command when it cannot be read.
  private static func contents(_ path: String) throws(TraceError) -> [UInt8] {
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else { unreadable(path, errno) }
    defer { if path != "-" { close(descriptor) } }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count <= Trace.Limit.fileBytes {
      let count = read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { unreadable(path, errno) }
      if count == 0 { break }
      bytes += piece[..<count]
    }
    return bytes
  }

  private static func unreadable(_ path: String, _ number: Int32) -> Never {
    Failure(status: .usage, message: "\(path) cannot be read: \(String(cString: strerror(number)))").exit()
  }

  private static func trimmed(_ text: String) -> String { text.hasSuffix("\n") ? String(text.dropLast()) : text }
}
