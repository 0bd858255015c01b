/// A copy of a thread's registers and of its stack, from the stack pointer upwards. Hostile: every byte may be a lie.
struct StackCopy {
  var programCounter: UInt64
  var stackPointer: UInt64
  /// Values of registers by their DWARF numbers.
  var registers: [Int: UInt64]
  var stack: ArraySlice<UInt8>

  /// The eight bytes at an address inside the copy.
  func word(at address: UInt64) -> UInt64? {
    guard address >= stackPointer, stack.count >= 8, address - stackPointer <= UInt64(stack.count - 8) else { return nil }
    let start = stack.startIndex + Int(address - stackPointer)
    var value: UInt64 = 0
    for index in 0..<8 { value |= UInt64(stack[start + index]) << UInt64(8 * index) }
    return value
  }
}

/// The calls that led to one point, innermost first.
struct UnwoundStack {
  var frames: [CodeLocation] = []
  /// The outermost frame was reached. Else the copy ended before, or something on the way could not be made out.
  var isComplete = false
}

/// Finds the callers in a copied stack, by call frame information and, for code without it, by frame pointers.
///
/// Memory is read from the copy and nowhere else; frames, steps and rows are bounded. Nothing a stack or a file says can do
/// more than give a wrong frame. For one thread.
struct StackUnwinder {
  static let frameLimit = 128

  let map: CodeMap
  /// DWARF numbers of this kind of machine.
  #if arch(arm64)
    static let stackPointer = 31
    static let framePointer = 29
    static let savedRegisters = Array(19...30)
  #else
    static let stackPointer = 7
    static let framePointer = 6
    static let savedRegisters = [3, 6, 12, 13, 14, 15]
  #endif

  /// - Parameter mayGoOn: Asked before every frame: one whose row is not known yet can take as long as a hostile file makes it,
  ///   within `UnwindTable.entryLimit`.
  func unwind(_ copy: StackCopy, while mayGoOn: () -> Bool = { true }) -> UnwoundStack {
    var result = UnwoundStack()
    var registers = copy.registers
    registers[Self.stackPointer] = copy.stackPointer
    var counter = copy.programCounter
    // A return address stands behind its call, which may be the function's last instruction.
    var isReturnAddress = false
    while result.frames.count < Self.frameLimit, mayGoOn() {
      guard let location = map.location(of: isReturnAddress ? counter &- 1 : counter) else { return result }
      result.frames.append(location)
      let caller: Caller
      if let index = location.image, let row = map.images[index].table?.row(at: location.address) {
        caller = step(row, registers, copy)
      } else {
        caller = stepByFramePointer(registers, copy)
      }
      switch caller {
      case .none: return result
      case .outermost:
        result.isComplete = true
        return result
      case .frame(let next, let values, let isExact):
        // A stack grows downwards: callers lie above. The same place twice would go on for ever.
        guard let before = registers[Self.stackPointer], let after = values[Self.stackPointer],
          after > before || (after == before && next != counter)
        else { return result }
        counter = next
        registers = values
        isReturnAddress = !isExact
      }
    }
    return result
  }

  private enum Caller {
    case none
    case outermost
    /// `isExact`: interrupted there by a signal, not returned to.
    case frame(counter: UInt64, registers: [Int: UInt64], isExact: Bool)
  }

  private func step(_ row: UnwindRow, _ registers: [Int: UInt64], _ copy: StackCopy) -> Caller {
    let expression = UnwindExpression(register: { registers[$0] }, memory: { copy.word(at: $0) })
    let frameAddress: UInt64?
    switch row.frameAddress {
    case .register(let number, let offset): frameAddress = registers[number].map { $0 &+ UInt64(bitPattern: offset) }
    case .expression(let program): frameAddress = expression.evaluate(program, initial: nil)
    }
    guard let frameAddress else { return .none }
    var values = registers
    // By definition, unless the row says otherwise.
    values[Self.stackPointer] = frameAddress
    for (number, rule) in row.rules {
      switch rule {
      case .undefined: values[number] = nil
      case .sameValue: values[number] = registers[number]
      case .offset(let offset): values[number] = copy.word(at: frameAddress &+ UInt64(bitPattern: offset))
      case .valueOffset(let offset): values[number] = frameAddress &+ UInt64(bitPattern: offset)
      case .register(let other): values[number] = registers[other]
      case .expression(let program):
        values[number] = expression.evaluate(program, initial: frameAddress).flatMap { copy.word(at: $0) }
      case .valueExpression(let program): values[number] = expression.evaluate(program, initial: frameAddress)
      }
    }
    if case .undefined = row.rules[row.returnAddressRegister] { return .outermost }
    guard let counter = values[row.returnAddressRegister].map(Self.strippingSignature) else { return .none }
    values[row.returnAddressRegister] = row.returnAddressRegister == 30 ? counter : nil
    return counter == 0 ? .outermost : .frame(counter: counter, registers: values, isExact: row.isSignalFrame)
  }

  /// The ABI's frame record: the caller's frame pointer, then the return address.
  private func stepByFramePointer(_ registers: [Int: UInt64], _ copy: StackCopy) -> Caller {
    guard let pointer = registers[Self.framePointer], pointer % 8 == 0, let saved = copy.word(at: pointer),
      let counter = copy.word(at: pointer &+ 8).map(Self.strippingSignature)
    else { return .none }
    // What is no record gives an address that is no code.
    guard counter != 0 else { return .outermost }
    guard map.location(of: counter &- 1) != nil else { return .none }
    return .frame(
      counter: counter, registers: [Self.framePointer: saved, Self.stackPointer: pointer &+ 16], isExact: false)
  }

  /// arm64 signs return addresses in the bits above the address space.
  private static func strippingSignature(_ address: UInt64) -> UInt64 {
    #if arch(arm64)
      return address & 0x0000_FFFF_FFFF_FFFF
    #else
      return address
    #endif
  }
}
