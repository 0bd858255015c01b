import ArgumentParser

/// `run` becomes another program and must do so from the main thread, whose signal mask is the one the shell gave: so the
/// command is parsed here, and only those that wait for answers leave this thread.
@MainActor func start() async {
  if CommandLine.arguments.dropFirst().first == "---completion" { return await CommandLineInterface.main() }
  do {
    var command = try CommandLineInterface.parseAsRoot()
    if var command = command as? any AsyncParsableCommand {
      try await command.run()
    } else {
      try command.run()
    }
  } catch let failure as Failure {
    failure.exit()
  } catch {
    CommandLineInterface.exit(withError: error)
  }
}

await start()
