import ArgumentParser
import Client
import Wire

/// What the three commands that give memory back have in common.
struct ReclaimOptions: ParsableArguments {
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  /// Asks, shows what came of it, and fails with the reason where nothing did.
  func run(_ asked: ReclaimAsked) async throws {
    let client = try connection.client()
    Output.prepare()
    let answer: ControlClient.Answer<ReclaimAnswer>
    do throws(ClientError) {
      answer = try await client.reclaim(asked)
    } catch {
      throw Failure(error)
    }
    Output.print(output.json ? [JSONText.indented(answer.json)] : ReclaimView(answer: answer.body).lines(output.terminal))
    guard answer.body.success || answer.body.dryRun else { throw ExitCode(ExitStatus.refused.rawValue) }
  }
}

/// A process, a package or a library.
struct ReclaimTarget: ExpressibleByArgument {
  var pid: Int32?
  var name: String

  init?(argument: String) {
    guard !argument.isEmpty else { return nil }
    name = argument
    pid = Int32(argument).flatMap { $0 > 0 ? $0 : nil }
  }
}

struct UnloadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unload", abstract: "Give back the memory of a package, a library or a process, and measure what came back.",
    discussion: """
      Nothing that is in use is touched, and the next use brings it back by itself. Of a process, in this order: libraries
      it has closed, its own callbacks, Python's garbage, the allocator's free memory, clean pages of files, and, where
      there is a swap, the rest. Exit status 4 when nothing came back; the answer says why. Examples:
        mlos unload torch
        mlos unload libmkl_core.so.2 --pid 4711
        mlos unload 4711 --dry-run
      """)

  @Argument(help: "Package or library, as mlos packages and mlos modules list them, or a process.") var target: ReclaimTarget
  @Option(help: "In one process only.", completion: ProcessArgument.completion) var pid: ProcessArgument?
  @Flag(name: .customLong("dry-run"), help: "Say what would go, and touch nothing.") var dryRun = false
  @Flag(help: "What was in use a moment ago goes too, and what its user denies.") var force = false
  @Flag(name: .customLong("keep-cache"), help: "Leave the kernel's copies of files in memory: the next use is faster.")
  var keepCache = false
  @OptionGroup var options: ReclaimOptions

  func validate() throws {
    if target.pid != nil, pid != nil { throw ValidationError("--pid goes with a package or a library, not with a process") }
  }

  func run() async throws {
    try await options.run(
      ReclaimAsked(
        pid: target.pid ?? pid?.pid, package: target.pid == nil ? target.name : nil, force: force ? true : nil,
        dryRun: dryRun ? true : nil, keepCache: keepCache ? true : nil))
  }
}

struct TrimCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trim", abstract: "Have the allocator of a process give back what it holds free.",
    discussion: """
      With glibc that is malloc_trim(3); jemalloc, tcmalloc and mimalloc have calls of their own. While it walks its heap
      other threads of the program may wait for it. Exit status 4 when nothing came back. Example:
        mlos trim 4711
      """)

  @Argument(help: "The process; without one, with --all, every watched process.", completion: ProcessArgument.completion)
  var pid: ProcessArgument?
  @Flag(help: "Every watched process.") var all = false
  @OptionGroup var options: ReclaimOptions

  func validate() throws { try ReclaimScope.check(pid, all) }

  func run() async throws { try await options.run(ReclaimAsked(pid: pid?.pid, all: all ? true : nil, rungs: ["trim"])) }
}

struct CollectCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc", abstract: "Run Python's collector in a process, then have its allocator give back what is free.",
    discussion: """
      The collector runs in the program's main thread between two instructions; one that waits in a system call comes there
      when it returns, and is not waited for longer than --wait. In a program that is not Python only the allocator is asked.
      Exit status 4 when nothing came back. Example:
        mlos gc 4711
      """)

  @Argument(help: "The process; without one, with --all, every watched process.", completion: ProcessArgument.completion)
  var pid: ProcessArgument?
  @Flag(help: "Every watched process.") var all = false
  @Option(help: ArgumentHelp("How long the collector may take to begin, in milliseconds.", valueName: "ms")) var wait: UInt64 =
    1_000
  @OptionGroup var options: ReclaimOptions

  func validate() throws {
    try ReclaimScope.check(pid, all)
    if wait > 60_000 { throw ValidationError("--wait must be at most 60000, not \(wait)") }
  }

  func run() async throws {
    try await options.run(
      ReclaimAsked(pid: pid?.pid, all: all ? true : nil, rungs: ["collect", "trim"], collectMilliseconds: wait))
  }
}

/// One process, or all.
enum ReclaimScope {
  static func check(_ pid: ProcessArgument?, _ all: Bool) throws {
    if pid == nil, !all { throw ValidationError("name a process, or --all") }
    if pid != nil, all { throw ValidationError("name a process or --all, not both") }
  }
}
