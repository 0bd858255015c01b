import Glibc

/// Processes with the agent in them, found in /proc: for completion, which must answer at once, with or without a supervisor.
enum WatchedProcesses {
  static func identifiers() -> [Int32] {
    guard let directory = opendir("/proc") else { return [] }
    defer { closedir(directory) }
    var found: [Int32] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard let pid = Int32(name), hasAgent(pid) else { continue }
      found.append(pid)
    }
    return found.sorted()
  }

  private static func hasAgent(_ pid: Int32) -> Bool {
    guard let file = fopen("/proc/\(pid)/maps", "re") else { return false }
    defer { fclose(file) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, file) > 0 {
      if let line, strstr(line, "/" + AgentLibrary.name) != nil { return true }
    }
    return false
  }
}
