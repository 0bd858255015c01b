import Foundation
import Testing
import Wire

@testable import mlos

@Suite struct InstalledCommandTests {
  /// Any library the loader finds; what is in it does not matter here.
  static let library = "/lib/\(AgentLibrary.architecture)/libm.so.6"
  static let daemon =
    "#!/bin/sh\necho \"$@\" > \"${0%/*}/arguments\"\ncat /proc/self/stat > \"${0%/*}/stat\"\nls -l /proc/$$/fd > \"${0%/*}/fds\"\nprintf 1 >&3\n"

  @Test("the program takes the place of the command: process, input, output, status") func exactness() throws {
    let command = try InstalledCommand()
    defer { command.remove() }
    try command.script("mlosd", Self.daemon)
    let outcome = try command.run(
      "run", "--socket", command.socket, "--agent", Self.library, "--", "sh", "-c",
      "cat; echo \"$LD_PRELOAD $MLOS_SOCKET $1 $KEPT\"; exec sh -c 'exit 7'", "name", "--version", input: "from standard input\n",
      environment: ["KEPT": "a=b c", "LD_PRELOAD": ""])
    #expect(outcome.output == "from standard input\n\(Self.library) \(command.socket) --version a=b c\n")
    #expect(outcome.errors == "")
    #expect(outcome.status == 7)
    #expect(try command.contents("arguments") == "--ephemeral --socket \(command.socket) --ready-fd 3\n")
  }

  @Test("a supervisor that is started is no child, in its own session, and holds nothing of the terminal") func detached() throws
  {
    let command = try InstalledCommand()
    defer { command.remove() }
    try command.script("mlosd", Self.daemon)
    let outcome = try command.run(
      "run", "--keep-alive", "--socket", command.socket, "--agent", Self.library, "sh", "-c", "echo $$; cat /proc/$$/stat")
    #expect(outcome.status == 0)
    let lines = outcome.output.split(separator: "\n")
    let program = lines[1].split(separator: " ")
    let supervisor = try command.contents("stat").split(separator: " ")
    // Fields 4 and 6 of /proc/PID/stat: parent and session; its own parent is the script.
    #expect(supervisor[5] != program[5])
    #expect(supervisor[3] != lines[0])
    let descriptors = try command.contents("fds").split(separator: "\n").compactMap { line in
      line.split(separator: " -> ").count == 2 ? line.split(separator: " ").suffix(3) : nil
    }.map { "\($0.first!) \($0.last!)" }
    #expect(descriptors.contains("0 /dev/null"))
    #expect(descriptors.contains("2 \(command.directory.appending(path: "run/mlosd.log").path(percentEncoded: false))"))
    #expect(try command.contents("arguments") == "--socket \(command.socket) --ready-fd 3\n")
  }

  @Test("a signal that ends the program ends it, not some wrapper") func signals() throws {
    let command = try InstalledCommand()
    defer { command.remove() }
    try command.script("mlosd", Self.daemon)
    let outcome = try command.run(
      "run", "--socket", command.socket, "--agent", Self.library, "sh", "-c", "kill -KILL $$")
    #expect(outcome.signal == SIGKILL)
    // Blocked and ignored signals are what they are without it, whatever this test inherited.
    try command.script("signals", "#!/bin/sh\nexec grep -E '^Sig(Ign|Blk)' /proc/self/status\n")
    let signals = command.directory.appending(path: "signals").path(percentEncoded: false)
    let watched = try command.run("run", "--socket", command.socket, "--agent", Self.library, signals)
    let unwatched = try InstalledCommand.run(signals)
    #expect(watched.output == unwatched.output)
  }

  @Test("a supervisor that fails is an error with its last words, unless it is optional") func failing() throws {
    let command = try InstalledCommand()
    defer { command.remove() }
    try command.script("mlosd", "#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    let strict = try command.run("run", "--socket", command.socket, "--agent", Self.library, "true")
    #expect(strict.status == 125)
    #expect(strict.errors.contains("ended without getting ready:\n  no such luck\n"))
    let optional = try command.run(
      "run", "--optional", "--socket", command.socket, "--agent", Self.library, "sh", "-c", "echo \"[$LD_PRELOAD]\"")
    #expect(optional.status == 0)
    #expect(optional.output == "[]\n")
    #expect(optional.errors.contains("without supervision"))
  }

  @Test("a running supervisor is used as it is") func running() async throws {
    let command = try InstalledCommand()
    defer { command.remove() }
    let server = try await ScriptedServer([])
    let socket = URL(filePath: server.path).deletingLastPathComponent().appending(path: "agent.sock").path(percentEncoded: false)
    let agents = try AgentsSocket(path: socket)
    #expect(try command.run("run", "--socket", socket, "--agent", Self.library, "true").status == 0)
    #expect(agents.connections == 0)
    agents.close()
    try await server.stop()
    #expect(try command.run("run", "--no-embedded", "--socket", socket, "--agent", Self.library, "true").status == 0)
  }

  @Test(
    "what `run` cannot do has the status env(1) gives it",
    arguments: [
      (["run", "--agent", library, "nosuch"], 127), (["run", "--agent", library, "/etc/passwd"], 126),
      (["run", "--agent", library, "/"], 126), (["run", "--agent", "/nosuch.so", "true"], 125), (["run"], 64),
      (["run", "--bogus", "true"], 64), (["run", "--help"], 0), (["run", "-h"], 0),
      (["run", "--agent", library, "--no-embedded", "ls", "--help"], 0),
    ] as [([String], Int32)])
  func runStatuses(arguments: [String], status: Int32) throws {
    let command = try InstalledCommand()
    defer { command.remove() }
    var arguments = arguments
    if arguments.count > 1, !arguments.contains("--help"), !arguments.contains("-h") {
      arguments.insert(contentsOf: ["--socket", command.socket], at: 1)
    }
    let process = Process()
    process.executableURL = command.mlos
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == status)
  }

  @Test("statuses of the other commands") func statuses() throws {
    let command = try InstalledCommand()
    defer { command.remove() }
    #expect(try command.run("ps", "--socket", command.socket).status == 3)
    #expect(try command.run("ps", "--socket", "relative/agent.sock").status == 3)
    #expect(try command.run("ps", "--socket", "").status == 64)
    #expect(try command.run("events", "--limit", "0").status == 64)
    #expect(try command.run("ps", environment: ["MLOS_SOCKET": "relative"]).status == 78)
    #expect(try command.run("ps", "--sort", "colour").status == 64)
    #expect(try command.run("modules", "0").status == 64)
    #expect(try command.run("events", "--kind", "none").status == 64)
    #expect(try command.run("--version").output == "mlos \(Release.version)\n")
    let config = try command.run("config", "show", "--json", "--socket", command.socket)
    #expect(config.status == 0)
    #expect(config.errors.contains("no supervisor is reachable"))
    let answer = try Coding.decoder().decode(ConfigAnswer.self, from: Data(config.output.utf8))
    #expect(answer.settings.first?.origin == "command line --socket")
  }

  @Test("completion scripts", arguments: ["bash", "zsh", "fish"]) func completion(shell: String) throws {
    let command = try InstalledCommand()
    defer { command.remove() }
    let outcome = try command.run("completion", shell)
    #expect(outcome.status == 0)
    #expect(outcome.output.contains("packages"))
  }
}
