import Client
import LinuxPlatform

/// MEMORY_PRESSURE_WATCH of the program that `mlos run` starts: by systemd's protocol (https://systemd.io/MEMORY_PRESSURE) a program
/// that knows it gives back what it can do without when it is told there.
enum PressureWatch {
  static let variable = "MEMORY_PRESSURE_WATCH"
  /// "some 200000 2000000" and a NUL, in base64: what systemd asks of the kernel, too. A file of the kernel wants it written.
  static let trigger = "c29tZSAyMDAwMDAgMjAwMDAwMAA="

  /// The variables to set: none when somebody else has said where to look, or that nobody should (`/dev/null`).
  ///
  /// - Parameters:
  ///   - socket: The supervisor's. Best: it knows how full memory is besides how long somebody waits for it, and programs are told
  ///     before anything is taken from them.
  ///   - files: Of the kernel, best first.
  static func variables(
    inherited: [UInt8]?, socket: String, files: [String], listens: (String) -> Bool, takesTrigger: (String) -> Bool
  ) -> [(name: String, value: [UInt8]?)] {
    guard inherited == nil else { return [] }
    if listens(socket) {
      // Nothing to write there.
      return [(variable, Array(socket.utf8)), ("MEMORY_PRESSURE_WRITE", nil)]
    }
    guard let file = files.first(where: takesTrigger) else { return [] }
    return [(variable, Array(file.utf8)), ("MEMORY_PRESSURE_WRITE", Array(trigger.utf8))]
  }

  static func variables(inherited: [UInt8]?, socket: String) -> [(name: String, value: [UInt8]?)] {
    variables(
      inherited: inherited, socket: socket, files: [PressureFiles.ownGroup(), PressureFiles().machine].compactMap(\.self),
      listens: { SocketCheck.probeAgents(path: $0) == nil }, takesTrigger: PressureFiles.takesTrigger)
  }
}
