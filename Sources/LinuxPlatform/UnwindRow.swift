/// How to find the caller of a function at one address: a row of the table that call frame information describes
/// (DWARF 4, section 6.4.1).
struct UnwindRow: Sendable {
  /// Where a register of the caller is.
  enum Rule: Sendable {
    case undefined
    case sameValue
    /// At the canonical frame address plus this.
    case offset(Int64)
    /// The canonical frame address plus this, itself.
    case valueOffset(Int64)
    case register(Int)
    /// At the address the expression gives.
    case expression([UInt8])
    case valueExpression([UInt8])
  }
  /// How the canonical frame address is found.
  enum FrameAddress: Sendable {
    case register(Int, offset: Int64)
    case expression([UInt8])
  }

  var frameAddress: FrameAddress
  /// Registers without a rule keep their value.
  var rules: [Int: Rule] = [:]
  var returnAddressRegister = 16
  /// A signal handler's frame: the address in it is no return address.
  var isSignalFrame = false
  /// Where the code that this table entry is for begins: the function, where nobody has a name for it.
  var start: UInt64 = 0
}

/// Bounded evaluation of a DWARF expression (DWARF 4, section 2.5): what compilers and glibc use to find frames.
struct UnwindExpression {
  /// Operations carried out at most, so that no loop goes on.
  static let stepLimit = 256
  static let depthLimit = 32

  let register: (Int) -> UInt64?
  let memory: (UInt64) -> UInt64?

  /// Nil for what is unknown, out of bounds or too long.
  func evaluate(_ program: [UInt8], initial: UInt64?) -> UInt64? {
    var stack: [UInt64] = initial.map { [$0] } ?? []
    var cursor = ByteCursor(program[...])
    for _ in 0..<Self.stepLimit {
      guard let operation = cursor.u8() else { return stack.last }
      guard step(operation, &stack, &cursor), stack.count <= Self.depthLimit else { return nil }
    }
    return nil
  }

  private func step(_ operation: UInt8, _ stack: inout [UInt64], _ cursor: inout ByteCursor) -> Bool {
    switch operation {
    case 0x03, 0x0E: return push(cursor.u64(), &stack)
    case 0x08: return push(cursor.u8().map(UInt64.init), &stack)
    case 0x09: return push(cursor.u8().map { UInt64(bitPattern: Int64(Int8(bitPattern: $0))) }, &stack)
    case 0x0A: return push(cursor.u16().map(UInt64.init), &stack)
    case 0x0B: return push(cursor.u16().map { UInt64(bitPattern: Int64(Int16(bitPattern: $0))) }, &stack)
    case 0x0C: return push(cursor.u32().map(UInt64.init), &stack)
    case 0x0D: return push(cursor.u32().map { UInt64(bitPattern: Int64(Int32(bitPattern: $0))) }, &stack)
    case 0x0F: return push(cursor.u64(), &stack)
    case 0x10: return push(cursor.unsignedLEB(), &stack)
    case 0x11: return push(cursor.signedLEB().map { UInt64(bitPattern: $0) }, &stack)
    case 0x30...0x4F: return push(UInt64(operation - 0x30), &stack)
    case 0x70...0x8F: return pushRegister(Int(operation - 0x70), &stack, &cursor)
    case 0x92:
      guard let number = cursor.unsignedLEB(), number < 64 else { return false }
      return pushRegister(Int(number), &stack, &cursor)
    case 0x12: return push(stack.last, &stack)
    case 0x13: return stack.popLast() != nil
    case 0x14: return push(stack.count > 1 ? stack[stack.count - 2] : nil, &stack)
    case 0x15:
      guard let index = cursor.u8(), Int(index) < stack.count else { return false }
      return push(stack[stack.count - 1 - Int(index)], &stack)
    case 0x16:
      guard stack.count > 1 else { return false }
      stack.swapAt(stack.count - 1, stack.count - 2)
      return true
    case 0x06: return push(stack.popLast().flatMap { memory($0) }, &stack)
    case 0x19: return push(stack.popLast().map { UInt64(Int64(bitPattern: $0).magnitude) }, &stack)
    case 0x1F: return push(stack.popLast().map { 0 &- $0 }, &stack)
    case 0x20: return push(stack.popLast().map { ~$0 }, &stack)
    case 0x23:
      guard let top = stack.popLast(), let value = cursor.unsignedLEB() else { return false }
      return push(top &+ value, &stack)
    case 0x28, 0x2F: return jump(operation == 0x2F, &stack, &cursor)
    case 0x96: return true
    default: return binary(operation, &stack)
    }
  }

  private func push(_ value: UInt64?, _ stack: inout [UInt64]) -> Bool {
    guard let value else { return false }
    stack.append(value)
    return true
  }

  private func pushRegister(_ number: Int, _ stack: inout [UInt64], _ cursor: inout ByteCursor) -> Bool {
    guard let offset = cursor.signedLEB(), let value = register(number) else { return false }
    return push(value &+ UInt64(bitPattern: offset), &stack)
  }

  private func jump(_ always: Bool, _ stack: inout [UInt64], _ cursor: inout ByteCursor) -> Bool {
    guard let raw = cursor.u16() else { return false }
    guard always || stack.popLast().map({ $0 != 0 }) ?? false else { return true }
    let target = cursor.position + Int(Int16(bitPattern: raw))
    guard (0...cursor.count).contains(target) else { return false }
    cursor.position = target
    return true
  }

  private func binary(_ operation: UInt8, _ stack: inout [UInt64]) -> Bool {
    guard let right = stack.popLast(), let left = stack.popLast() else { return false }
    let (a, b) = (Int64(bitPattern: left), Int64(bitPattern: right))
    switch operation {
    case 0x1A: stack.append(left & right)
    case 0x1C: stack.append(left &- right)
    case 0x1E: stack.append(left &* right)
    case 0x21: stack.append(left | right)
    case 0x22: stack.append(left &+ right)
    case 0x24: stack.append(right < 64 ? left << right : 0)
    case 0x25: stack.append(right < 64 ? left >> right : 0)
    case 0x26: stack.append(UInt64(bitPattern: a >> Int64(min(right, 63))))
    case 0x27: stack.append(left ^ right)
    case 0x29: stack.append(a == b ? 1 : 0)
    case 0x2A: stack.append(a >= b ? 1 : 0)
    case 0x2B: stack.append(a > b ? 1 : 0)
    case 0x2C: stack.append(a <= b ? 1 : 0)
    case 0x2D: stack.append(a < b ? 1 : 0)
    case 0x2E: stack.append(a != b ? 1 : 0)
    default: return false
    }
    return true
  }
}
