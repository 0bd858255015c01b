import Foundation
import Glibc

@testable import mlos

/// The built command in a directory of its own, where its neighbours are the test's.
struct InstalledCommand {
  let directory: URL
  var mlos: URL { directory.appending(path: "mlos") }
  var socket: String { directory.appending(path: "run/agent.sock").path(percentEncoded: false) }

  struct Outcome {
    var status: Int32
    /// Ended by this signal; 0 for none.
    var signal: Int32
    var output: String
    var errors: String
  }

  init() throws {
    let bundle = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    let built =
      FileManager.default.fileExists(atPath: bundle.appending(path: "mlos").path(percentEncoded: false))
      ? bundle : URL(filePath: try Self.ownDirectory())
    // Short: socket paths are.
    directory = URL(filePath: "/tmp/mlos-test-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    try FileManager.default.createDirectory(
      at: directory.appending(path: "run"), withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    do {
      try FileManager.default.linkItem(at: built.appending(path: "mlos"), to: mlos)
    } catch {
      try FileManager.default.copyItem(at: built.appending(path: "mlos"), to: mlos)
    }
  }

  private static func ownDirectory() throws -> String {
    guard let own = AgentLibrary.ownExecutable() else { throw CocoaError(.fileNoSuchFile) }
    return URL(filePath: own).deletingLastPathComponent().path(percentEncoded: false)
  }

  func remove() { try? FileManager.default.removeItem(at: directory) }

  /// Puts an executable script beside the command.
  func script(_ name: String, _ text: String) throws {
    let file = directory.appending(path: name)
    try text.write(to: file, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path(percentEncoded: false))
  }

  func contents(_ name: String) throws -> String { try String(contentsOf: directory.appending(path: name), encoding: .utf8) }

  /// Runs the command to its end, or until `whenOutput` has something to say about the first piece of output.
  func run(
    _ arguments: String..., input: String = "", environment: [String: String] = [:]
  ) throws -> Outcome {
    try run(arguments, input: input, environment: environment, whenOutput: nil)
  }

  func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:],
    whenOutput: ((Process, FileHandle) -> Void)?
  ) throws -> Outcome {
    try Self.run(
      mlos.path(percentEncoded: false), arguments, input: input, environment: environment, whenOutput: whenOutput)
  }

  static func run(
    _ program: String, _ arguments: [String] = [], input: String = "", environment: [String: String] = [:],
    whenOutput: ((Process, FileHandle) -> Void)? = nil
  ) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent"].merging(environment) { $1 }
    let (input_, output, errors) = (Pipe(), Pipe(), Pipe())
    process.standardInput = input_
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    input_.fileHandleForWriting.write(Data(input.utf8))
    try input_.fileHandleForWriting.close()
    var text = Data()
    if let whenOutput {
      text = output.fileHandleForReading.availableData
      whenOutput(process, output.fileHandleForReading)
    } else {
      text = output.fileHandleForReading.readDataToEndOfFile()
    }
    let complaints = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let isSignal = process.terminationReason == .uncaughtSignal
    return Outcome(
      status: isSignal ? -1 : process.terminationStatus, signal: isSignal ? process.terminationStatus : 0,
      output: String(decoding: text, as: UTF8.self), errors: String(decoding: complaints, as: UTF8.self))
  }
}

/// A supervisor's socket for agents that nobody serves.
final class AgentsSocket {
  private let descriptor: Int32

  init(path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0, listen(descriptor, 8) == 0 else { throw CocoaError(.fileWriteUnknown) }
  }

  /// How many wait to be accepted.
  var connections: Int {
    var count = 0
    while case let connection = accept(descriptor, nil, nil), connection >= 0 {
      Glibc.close(connection)
      count += 1
    }
    return count
  }

  func close() { Glibc.close(descriptor) }
}
