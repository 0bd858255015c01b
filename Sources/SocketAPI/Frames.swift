import CAgentABI

/// What an agent may say. Decoding never trusts a length: the packet must be exactly as long as its type says.
enum AgentFrame: Hashable {
  case hello(state: UInt32, reason: UInt32, reconnects: UInt32)
  case result(request: UInt32, status: UInt32, value: Int64, nanoseconds: UInt64)

  enum Failure: Error, Hashable {
    case tooShort(Int)
    case wrongMagic
    case wrongVersion(UInt16)
    case wrongSize(type: UInt16, size: Int)
    case unknownType(UInt16)
  }

  init(_ packet: UnsafeRawBufferPointer) throws(Failure) {
    guard packet.count >= MemoryLayout<mlos_frame>.size else { throw .tooShort(packet.count) }
    let frame = packet.loadUnaligned(as: mlos_frame.self)
    guard frame.magic == MLOS_FRAME_MAGIC else { throw .wrongMagic }
    guard frame.version == MLOS_ABI_VERSION else { throw .wrongVersion(frame.version) }
    let size: Int
    switch UInt32(frame.type) {
    case MLOS_FRAME_HELLO.rawValue: size = MemoryLayout<mlos_hello>.size
    case MLOS_FRAME_RESULT.rawValue: size = MemoryLayout<mlos_result>.size
    default: throw .unknownType(frame.type)
    }
    guard packet.count == size, Int(frame.size) == size else { throw .wrongSize(type: frame.type, size: packet.count) }
    if UInt32(frame.type) == MLOS_FRAME_HELLO.rawValue {
      let hello = packet.loadUnaligned(as: mlos_hello.self)
      self = .hello(state: hello.state, reason: hello.reason, reconnects: hello.reconnects)
    } else {
      let result = packet.loadUnaligned(as: mlos_result.self)
      self = .result(
        request: frame.request, status: result.status, value: result.value, nanoseconds: result.duration_ns)
    }
  }
}

/// Frames the supervisor sends, as bytes of one packet.
enum SupervisorFrame {
  static func welcome(pid: Int32) -> [UInt8] {
    var welcome = mlos_welcome()
    welcome.frame = header(MLOS_FRAME_WELCOME, MemoryLayout<mlos_welcome>.size)
    welcome.supervisor_pid = UInt32(bitPattern: pid)
    return withUnsafeBytes(of: welcome) { Array($0) }
  }

  static func reject() -> [UInt8] {
    withUnsafeBytes(of: header(MLOS_FRAME_REJECT, MemoryLayout<mlos_frame>.size)) { Array($0) }
  }

  /// - Parameter arguments: Four at most; what is missing is 0.
  static func command(_ code: mlos_command_code, _ arguments: [UInt64] = [], request: UInt32) -> [UInt8] {
    var command = mlos_command()
    command.frame = header(MLOS_FRAME_COMMAND, MemoryLayout<mlos_command>.size)
    command.frame.request = request
    command.code = code.rawValue
    withUnsafeMutableBytes(of: &command.arguments) { bytes in
      for (index, argument) in arguments.prefix(4).enumerated() {
        bytes.storeBytes(of: argument, toByteOffset: index * MemoryLayout<UInt64>.stride, as: UInt64.self)
      }
    }
    return withUnsafeBytes(of: command) { Array($0) }
  }

  private static func header(_ type: mlos_frame_type, _ size: Int) -> mlos_frame {
    mlos_frame(
      magic: MLOS_FRAME_MAGIC, version: UInt16(MLOS_ABI_VERSION), type: UInt16(type.rawValue), size: UInt32(size), request: 0)
  }
}
