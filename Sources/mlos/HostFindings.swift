import Config
import FoundationEssentials
import LinuxPlatform
import Model

/// What the kernel and the machine offer.
enum HostFindings {
  static func collect(_ connection: ConnectionOptions) -> [Finding] {
    let environment = ProcessInfo.processInfo.environment
    // A configuration that is wrong is another finding.
    let socket = (try? connection.settings(environment: environment))?.socket
    let directory = socket.flatMap { path in path.lastIndex(of: "/").map { String(path[..<$0]) } }
    return HostInspector(socketDirectory: directory ?? RuntimePaths.current(environment: environment).directory).findings()
  }
}
