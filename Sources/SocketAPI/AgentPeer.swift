import CAgentABI
import CLinux
import Glibc
import LinuxPlatform
import Supervisor
import Synchronization

/// Commands on their way from the supervisor's queue to the agents' thread, which alone may use the sockets: a descriptor it
/// has closed may be anybody's.
final class OutgoingCommands: Sendable {
  private struct Command {
    var number: UInt64
    var packet: [UInt8]
    /// Closed after sending; -1 for none.
    var descriptor: Int32
  }
  /// Far more than the profiles that may be under way.
  private static let limit = 1_024

  private let waiting = Mutex<[Command]>([])

  func add(_ packet: [UInt8], to number: UInt64, descriptor: Int32) -> Bool {
    waiting.withLock { commands in
      guard commands.count < Self.limit else { return false }
      commands.append(Command(number: number, packet: packet, descriptor: descriptor))
      return true
    }
  }

  /// - Parameter socket: Of a connection by its number; nil when it is over.
  func sendAll(_ socket: (UInt64) -> Int32?) {
    let commands = waiting.withLock { commands in
      defer { commands = [] }
      return commands
    }
    for command in commands {
      if let socket = socket(command.number) {
        _ = mlos_linux_send(socket, command.packet, command.packet.count, command.descriptor)
      }
      if command.descriptor >= 0 { close(command.descriptor) }
    }
  }
}

/// One connected agent, for who wants something of it.
struct AgentPeer: AgentCommanding {
  let number: UInt64
  let outgoing: OutgoingCommands
  let loop: EventLoop

  func send(_ command: AgentCommand, request: UInt32, descriptor: Int32?) -> Bool {
    let (code, arguments) = Self.encoded(command)
    var copy: Int32 = -1
    if let descriptor {
      copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
      guard copy >= 0 else { return false }
    }
    guard outgoing.add(SupervisorFrame.command(code, arguments, request: request), to: number, descriptor: copy) else {
      if copy >= 0 { close(copy) }
      return false
    }
    loop.wake()
    return true
  }
}

extension AgentPeer {
  /// As mlos_abi.h has it.
  static func encoded(_ command: AgentCommand) -> (mlos_command_code, [UInt64]) {
    switch command {
    case .heapStart: (MLOS_COMMAND_HEAP_START, [])
    case .heapStop: (MLOS_COMMAND_HEAP_STOP, [])
    case .trim: (MLOS_COMMAND_TRIM, [])
    case .collect(let milliseconds): (MLOS_COMMAND_COLLECT, [milliseconds])
    case .drop(let one, let other): (MLOS_COMMAND_DROP, [one.start, one.end, other?.start ?? 0, other?.end ?? 0])
    case .merge(let range, let begins): (MLOS_COMMAND_MERGE, [range.start, range.end, begins ? 1 : 0])
    case .cacheLimit(let limit): (MLOS_COMMAND_CACHE_LIMIT, [UInt64(clamping: limit)])
    case .evict(let module): (MLOS_COMMAND_EVICT, [UInt64(module)])
    case .reclaim(let bytes, let milliseconds): (MLOS_COMMAND_RECLAIM, [bytes.count, milliseconds])
    }
  }
}

extension CommandOutcome {
  init(status: UInt32, value: Int64) {
    switch status {
    case MLOS_RESULT_OK.rawValue: self = .done(value)
    case MLOS_RESULT_UNSUPPORTED.rawValue: self = .unsupported
    default: self = .failed(value)
    }
  }
}
