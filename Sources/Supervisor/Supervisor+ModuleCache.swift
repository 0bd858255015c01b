import Logging
import Model

/// How many closed libraries an agent is to keep.
enum ModuleCacheLimit {
  /// LIMIT_MAX of the agent's module_cache.c: it keeps no more, whatever it is told.
  static let largest = 128
  /// What a program was started with: MLOS_ENV_MODULE_CACHE of mlos_agent.h.
  static let variable = "MLOS_MODULE_CACHE"

  /// The setting, and never more than the program was started with: who said 0 there knows something about the program.
  ///
  /// - Parameter own: The program's variable; nil when it is not set.
  static func wanted(setting: Int, own: [UInt8]?) -> Int {
    min(max(setting, 0), own.map(number) ?? largest, largest)
  }

  /// As the agent reads it: the digits at the beginning, none are 0.
  private static func number(_ text: [UInt8]) -> Int {
    text.prefix { (0x30...0x39).contains($0) }.reduce(0) { min($0 * 10 + Int($1 - 0x30), largest) }
  }
}

extension Supervisor {
  /// To every agent that is connected.
  func tellCacheLimits() {
    for pid in processes.keys.sorted() { tellCacheLimit(to: pid) }
  }

  /// Says nothing to an agent that has this limit already: an idle process is not woken for it. One without a thread of its own
  /// takes it when its program allocates; its segment then has it, so the answer is not waited for.
  func tellCacheLimit(to pid: Int32) {
    guard case .agent(let session, let segment)? = processes[pid]?.link, segment.abilities.contains(.moduleCache),
      let shown = segment.cacheLimit
    else { return }
    // What is on its way to it comes before what its segment shows.
    let current = processes[pid]?.cacheLimitTold ?? shown
    let setting = unloading.policy.settings.moduleCacheLimit
    guard ModuleCacheLimit.wanted(setting: setting, own: nil) != current else { return }
    let limit: Int
    do throws(InspectionError) {
      limit = ModuleCacheLimit.wanted(setting: setting, own: try inspector.variable(ModuleCacheLimit.variable, of: pid))
    } catch {
      // What it was started with is not known: never more than it keeps now.
      limit = min(ModuleCacheLimit.wanted(setting: setting, own: nil), current)
    }
    guard limit != current, let commands = heap.commands[session] else { return }
    let request = heap.nextRequest
    heap.nextRequest &+= 1
    guard commands.send(.cacheLimit(limit), request: request, descriptor: nil) else {
      logger.notice("an agent does not take the limit of closed modules", metadata: about(pid, ["limit": "\(limit)"]))
      return
    }
    processes[pid]?.cacheLimitTold = limit
  }
}
