import ArgumentParser
import CLinux
import Dispatch
import Glibc

/// `run` becomes another program and must do so from the main thread, whose signal mask is the one the shell gave; an async
/// main would move to a thread with a mask of its own. So the command is parsed here, and only those that wait for answers
/// leave this thread.
func start() {
  // Before anything opens a descriptor: it would become a standard stream.
  let closed = mlos_linux_open_standard_descriptors()
  guard closed >= 0 else {
    Failure(status: .cannotRun, message: "a standard stream is closed, and /dev/null cannot be opened").exit()
  }
  Output.isClosed = closed & (1 << STDOUT_FILENO) != 0
  guard CommandLine.arguments.dropFirst().first != "---completion" else {
    Task { await CommandLineInterface.main() }
    dispatchMain()
  }
  // Swift reads the arguments from there: without them `run` would do nothing and call it success.
  guard access("/proc/self/cmdline", R_OK) == 0 else {
    Failure(status: .cannotRun, message: "/proc is not mounted here", advice: "mount -t proc proc /proc").exit()
  }
  let command: any ParsableCommand
  do {
    command = try CommandLineInterface.parseAsRoot(withNegativeValue(Array(CommandLine.arguments.dropFirst())))
    guard let asynchronous = command as? any AsyncParsableCommand else {
      var command = command
      return try command.run()
    }
    wait(for: asynchronous)
  } catch {
    end(with: error)
  }
}

/// `mlos config set KEY -5`: a value, not an option; it is refused by its range, not by `-5` or by the help that `-h` asks for.
func withNegativeValue(_ arguments: [String]) -> [String] {
  guard arguments.starts(with: ["config", "set"]), !arguments.contains("--"),
    let index = arguments.firstIndex(where: { argument in
      let rest = argument.dropFirst()
      return argument.hasPrefix("-") && (rest.first?.isNumber == true || rest.hasPrefix(".")) && rest.first?.isASCII == true
    }), !["--socket", "--config"].contains(arguments[index - 1])
  else { return arguments }
  return arguments[..<index] + arguments[(index + 1)...] + ["--", arguments[index]]
}

func wait(for command: sending any AsyncParsableCommand) -> Never {
  Task {
    do {
      var command = command
      try await command.run()
      CommandLineInterface.exit()
    } catch {
      end(with: error)
    }
  }
  dispatchMain()
}

func end(with error: any Error) -> Never {
  if let failure = error as? Failure { failure.exit() }
  // Help and version are output like any other: what a full disk did not take is an error.
  if CommandLineInterface.exitCode(for: error).isSuccess {
    Output.prepare()
    Output.print([CommandLineInterface.fullMessage(for: error)])
    exit(0)
  }
  CommandLineInterface.exit(withError: error)
}

start()
