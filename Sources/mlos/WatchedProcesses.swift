import Glibc

/// Processes with the agent in them, or without, found in /proc: for completion, which must answer at once, with or without a supervisor.
enum WatchedProcesses {
  static func identifiers(withAgent: Bool) -> [Int32] {
    guard let directory = opendir("/proc") else { return [] }
    defer { closedir(directory) }
    var found: [Int32] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard let pid = Int32(name), pid != getpid(), hasAgent(pid) == withAgent else { continue }
      found.append(pid)
    }
    return found.sorted()
  }

  /// Nil when it cannot be looked into, and for threads of the kernel, which map nothing.
  private static func hasAgent(_ pid: Int32) -> Bool? {
    guard let file = fopen("/proc/\(pid)/maps", "re") else { return nil }
    defer { fclose(file) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    var hasMappings = false
    while getline(&line, &capacity, file) > 0 {
      hasMappings = true
      if let line, strstr(line, "/" + AgentLibrary.name) != nil { return true }
    }
    return hasMappings ? false : nil
  }
}
