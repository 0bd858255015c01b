import LinuxPlatform
import Model

/// What the kernel and the machine offer.
enum HostFindings {
  static let collect: @Sendable () -> [Finding] = { HostInspector().findings() }
}
