import ArgumentParser
import FoundationEssentials
import Glibc

/// Runs on the main thread, which a signal can interrupt; the supervisor is asked beside it.
struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top", abstract: "Show processes and packages as they change.",
    discussion: """
      On a terminal, until q; ? lists the keys. In a pipe or a file with --once or --batch. Examples:
        mlos top --sort growth
        mlos top --batch --interval 10 --json >> usage.jsonl
      """)

  @Flag(help: "Print one frame and end; its rates are over one interval.") var once = false
  @Flag(help: "Print one frame after another, with a blank line between.") var batch = false
  @Option(help: ArgumentHelp("With --batch: end after N frames.", valueName: "n")) var count: Int?
  @Option(help: ArgumentHelp("Time between two readings, 0.2 to 60.", valueName: "seconds")) var interval = 1.0
  @Option(help: "Order: \(TopOrder.allCases.map(\.rawValue).joined(separator: ", ")).") var sort = TopOrder.resident
  @OptionGroup var rows: OrderingOptions
  @Option(help: ArgumentHelp("Only rows with this in them, in either case of letters.", valueName: "text")) var filter = ""
  @Flag(help: "Start with the packages.") var packages = false
  @Option(help: "Of one process only.", completion: ProcessArgument.completion) var pid: ProcessArgument?
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if once, batch { throw ValidationError("--once and --batch exclude each other") }
    if let count {
      guard batch else { throw ValidationError("--count is for --batch") }
      if count < 1 { throw ValidationError("--count must be at least 1, not \(count)") }
    }
    guard (0.2...60).contains(interval) else {
      throw ValidationError("--interval must be from 0.2 to 60 seconds, not \(interval)")
    }
    if packages, !TopOrder.ofPackages.contains(sort) {
      let orders = TopOrder.ofPackages.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("packages cannot be sorted by \(sort.rawValue), only by \(orders)")
    }
    if output.json, !once, !batch { throw ValidationError("--json needs --once or --batch") }
  }

  func run() throws {
    Output.prepare()
    let environment = ProcessInfo.processInfo.environment
    let isLive = !once && !batch
    if isLive,
      let problem = Self.obstacle(
        input: isatty(STDIN_FILENO) == 1, output: isatty(STDOUT_FILENO) == 1, kind: environment["TERM"])
    {
      throw problem
    }
    let reader = try TopReader(try connection.client())
    let model = TopModel(
      TopModel.Options(
        only: pid?.pid, page: packages ? .packages : .processes, order: sort, isReversed: rows.reverse, filter: filter,
        limit: rows.limit, interval: interval))
    let first: TopReading
    switch reader.read(model.scope) {
    case .success(let reading): first = reading
    case .failure(let error): throw Failure(error)
    }
    if let pid, !first.processes.processes.contains(where: { $0.pid == pid.pid }) {
      throw Failure(
        status: .notFound, message: "process \(pid.pid) is not watched", advice: "watch it with `mlos adopt \(pid.pid)`")
    }
    guard isLive else {
      var printing = BatchTop(
        model: model, reader: reader, terminal: output.terminal, isJSON: output.json, count: once ? 1 : count)
      return try printing.run(first: first)
    }
    var live = try LiveTop(model, first: first, reader: reader, terminal: output.terminal, environment: environment)
    try live.run()
  }

  /// Why there can be no screen; nil when there can.
  static func obstacle(input: Bool, output: Bool, kind: String?) -> Failure? {
    let advice = "print frames with `mlos top --once` or `mlos top --batch`"
    guard output else { return Failure(status: .usage, message: "standard output is not a terminal", advice: advice) }
    guard input else {
      return Failure(status: .usage, message: "standard input is not a terminal: no keys could be read", advice: advice)
    }
    switch kind {
    case nil, "":
      return Failure(status: .usage, message: "TERM is not set: what the terminal can do is not known", advice: advice)
    case "dumb", "unknown":
      return Failure(status: .usage, message: "a terminal with TERM=\(kind ?? "") cannot place its cursor", advice: advice)
    default: return nil
    }
  }
}
