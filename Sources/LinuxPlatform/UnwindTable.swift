/// Call frame information of one file: .eh_frame, found through the sorted table of .eh_frame_hdr (Linux Standard Base
/// Core 5.0, "Exception Frames"). Why this is ours and not libunwind's: see docs/internals/heap.md.
final class UnwindTable {
  /// Largest entry looked at, 64 KiB; those of the largest generated functions take some 10 KiB. One of this size, made
  /// to be slow, takes some 30 ms to carry out.
  static let entryLimit = 64 << 10
  /// Depth of remembered states; compilers use one or two.
  static let rememberLimit = 64
  private static let rowLimit = 65_536
  private static let commonLimit = 4_096

  private let image: ElfImage
  private var rows: [UInt64: UnwindRow?] = [:]
  private var commons: [UInt64: Common?] = [:]

  init(image: ElfImage) { self.image = image }

  /// What several entries share (a CIE).
  private struct Common {
    var codeAlignment: UInt64
    var dataAlignment: Int64
    var returnAddressRegister: Int
    var pointerEncoding: UInt8 = 0
    var hasAugmentation = false
    var isSignalFrame = false
    var program: ArraySlice<UInt8>
  }

  /// The row for an address in the file; nil when there is none, or none that makes sense.
  func row(at address: UInt64) -> UnwindRow? {
    if let known = rows[address] { return known }
    if rows.count >= Self.rowLimit { rows.removeAll(keepingCapacity: true) }
    let row = find(address)
    rows[address] = .some(row)
    return row
  }

  private func find(_ address: UInt64) -> UnwindRow? {
    guard let entry = entryAddress(for: address), let (bytes, body) = entryBytes(entry) else { return nil }
    // A CIE's distance is counted from the field itself.
    var cursor = ByteCursor(bytes[...])
    guard let distance = cursor.u32(), distance != 0, let common = common(at: body &- UInt64(distance)) else { return nil }
    guard let start = pointer(&cursor, common.pointerEncoding, body),
      let length = pointer(&cursor, common.pointerEncoding & 0x0F, body)
    else { return nil }
    guard address >= start, address - start < length else { return nil }
    if common.hasAugmentation { guard let size = cursor.unsignedLEB(), size <= 4096, cursor.skip(Int(size)) else { return nil } }
    guard let program = cursor.slice(cursor.count - cursor.position) else { return nil }
    return run(common, program, from: start, to: address)
  }

  /// Binary search over pairs of first address and entry, both relative to the header.
  private func entryAddress(for address: UInt64) -> UInt64? {
    guard let header = image.unwindHeader, header.size >= 12, let head = image.bytes(atAddress: header.address, count: 12) else {
      return nil
    }
    // Version 1; count as udata4; pairs as sdata4 relative to the header: what all linkers write.
    guard head[0] == 1, head[2] == 0x03, head[3] == 0x3B else { return nil }
    // The pointer before the count has four bytes in every form a linker uses.
    guard [0x1B, 0x3B, 0x03, 0x0B].contains(head[1]) else { return nil }
    var cursor = ByteCursor(head[8...])
    let count = min(UInt64(cursor.u32() ?? 0), (header.size - 12) / 8)
    var (low, high): (UInt64, UInt64) = (0, count)
    var found: UInt64?
    while low < high {
      let middle = (low + high) / 2
      guard let pair = image.bytes(atAddress: header.address + 12 + middle * 8, count: 8) else { return nil }
      var cursor = ByteCursor(pair[...])
      guard let first = cursor.u32(), let entry = cursor.u32() else { return nil }
      if header.address &+ signed(first) <= address {
        found = header.address &+ signed(entry)
        low = middle + 1
      } else {
        high = middle
      }
    }
    return found
  }

  private func signed(_ value: UInt32) -> UInt64 { UInt64(bitPattern: Int64(Int32(bitPattern: value))) }

  /// The bytes of an entry after its length, and their address.
  private func entryBytes(_ address: UInt64) -> ([UInt8], UInt64)? {
    guard let length = image.bytes(atAddress: address, count: 4) else { return nil }
    var cursor = ByteCursor(length[...])
    // 0xFFFFFFFF announces a 64-bit length, which nobody needs.
    guard let size = cursor.u32(), size >= 4, size <= Self.entryLimit else { return nil }
    let body = address &+ 4
    guard let bytes = image.bytes(atAddress: body, count: Int(size)) else { return nil }
    return (bytes, body)
  }

  private func common(at address: UInt64) -> Common? {
    if let known = commons[address] { return known }
    if commons.count >= Self.commonLimit { commons.removeAll() }
    let common = readCommon(at: address)
    commons[address] = .some(common)
    return common
  }

  private func readCommon(at address: UInt64) -> Common? {
    guard let (bytes, body) = entryBytes(address) else { return nil }
    var cursor = ByteCursor(bytes[...])
    guard cursor.u32() == 0, let version = cursor.u8(), version == 1 || version == 3 else { return nil }
    var letters: [UInt8] = []
    while let letter = cursor.u8(), letter != 0 {
      letters.append(letter)
      guard letters.count <= 16 else { return nil }
    }
    guard let code = cursor.unsignedLEB(), let data = cursor.signedLEB() else { return nil }
    let register = version == 1 ? cursor.u8().map(UInt64.init) : cursor.unsignedLEB()
    guard let register, register < 64 else { return nil }
    var common = Common(codeAlignment: code, dataAlignment: data, returnAddressRegister: Int(register), program: [])
    if let first = letters.first {
      guard first == UInt8(ascii: "z"), let size = cursor.unsignedLEB(), size <= 4096 else { return nil }
      common.hasAugmentation = true
      let after = cursor.position + Int(size)
      for letter in letters.dropFirst() {
        switch letter {
        case UInt8(ascii: "R"):
          guard let encoding = cursor.u8() else { return nil }
          common.pointerEncoding = encoding
        case UInt8(ascii: "L"): guard cursor.u8() != nil else { return nil }
        case UInt8(ascii: "P"):
          guard let encoding = cursor.u8(), pointer(&cursor, encoding & 0x7F, body) != nil else { return nil }
        case UInt8(ascii: "S"): common.isSignalFrame = true
        // arm64: signed with key B, tagged stack. Neither changes where things are.
        case UInt8(ascii: "B"), UInt8(ascii: "G"): break
        default: return nil
        }
      }
      guard after >= cursor.position, after <= cursor.count else { return nil }
      cursor.position = after
    }
    guard let program = cursor.slice(cursor.count - cursor.position) else { return nil }
    common.program = program
    return common
  }

  /// A pointer in one of the forms of the standard's "DWARF Exception Header Encoding"; absolute and relative to itself.
  private func pointer(_ cursor: inout ByteCursor, _ encoding: UInt8, _ body: UInt64) -> UInt64? {
    let place = body &+ UInt64(cursor.position)
    let value: UInt64?
    switch encoding & 0x0F {
    case 0x00, 0x04, 0x0C: value = cursor.u64()
    case 0x01: value = cursor.unsignedLEB()
    case 0x02: value = cursor.u16().map(UInt64.init)
    case 0x03: value = cursor.u32().map(UInt64.init)
    case 0x09: value = cursor.signedLEB().map { UInt64(bitPattern: $0) }
    case 0x0A: value = cursor.u16().map { UInt64(bitPattern: Int64(Int16(bitPattern: $0))) }
    case 0x0B: value = cursor.u32().map { signed($0) }
    default: value = nil
    }
    guard let value else { return nil }
    switch encoding & 0x70 {
    case 0x00: return value
    case 0x10: return place &+ value
    default: return nil
    }
  }

  // MARK: Programs

  private struct State {
    var frameAddress: UnwindRow.FrameAddress?
    var rules: [Int: UnwindRow.Rule] = [:]
  }

  /// Carries out the common instructions, then those of the entry up to the address (DWARF 4, section 6.4.2).
  private func run(_ common: Common, _ program: ArraySlice<UInt8>, from start: UInt64, to address: UInt64) -> UnwindRow? {
    var state = State()
    var location: UInt64 = 0
    guard execute(common.program, common, &state, initial: State(), location: &location, until: nil, start: start) else {
      return nil
    }
    let initial = state
    location = start
    guard execute(program, common, &state, initial: initial, location: &location, until: address, start: start) else {
      return nil
    }
    guard let frameAddress = state.frameAddress else { return nil }
    return UnwindRow(
      frameAddress: frameAddress, rules: state.rules, returnAddressRegister: common.returnAddressRegister,
      isSignalFrame: common.isSignalFrame, start: start)
  }

  /// False for what makes no sense. Every instruction takes a byte at least, so this ends.
  private func execute(
    _ program: ArraySlice<UInt8>, _ common: Common, _ state: inout State, initial: State, location: inout UInt64,
    until address: UInt64?, start: UInt64
  ) -> Bool {
    var cursor = ByteCursor(program)
    var remembered: [State] = []
    while let code = cursor.u8() {
      let operand = Int(code & 0x3F)
      var advance: UInt64?
      switch code {
      case 0x40...0x7F: advance = UInt64(operand)
      case 0x02: advance = cursor.u8().map(UInt64.init)
      case 0x03: advance = cursor.u16().map(UInt64.init)
      case 0x04: advance = cursor.u32().map(UInt64.init)
      case 0x01:
        // Absolute, in the entry's own form: rare, and only from hand-written assembler.
        guard let target = pointer(&cursor, common.pointerEncoding & 0x0F, 0) else { return false }
        if let address, target > address { return true }
        location = target
        continue
      default: break
      }
      if (0x40...0x7F).contains(code) || (0x02...0x04).contains(code) {
        guard let advance else { return false }
        location = location &+ advance &* common.codeAlignment
        if let address, location > address { return true }
        continue
      }
      switch code {
      case 0x0A:
        guard remembered.count < Self.rememberLimit else { return false }
        remembered.append(state)
      case 0x0B:
        guard let last = remembered.popLast() else { return false }
        state = last
      default: guard apply(code, operand, &cursor, common, &state, initial) else { return false }
      }
    }
    return true
  }

  private func apply(
    _ code: UInt8, _ operand: Int, _ cursor: inout ByteCursor, _ common: Common, _ state: inout State, _ initial: State
  ) -> Bool {
    func register() -> Int? { cursor.unsignedLEB().flatMap { $0 < 128 ? Int($0) : nil } }
    func factored() -> Int64? { cursor.unsignedLEB().map { Int64(bitPattern: $0) &* common.dataAlignment } }
    func factoredSigned() -> Int64? { cursor.signedLEB().map { $0 &* common.dataAlignment } }
    func block() -> [UInt8]? {
      cursor.unsignedLEB().flatMap { size in size <= 4096 ? cursor.slice(Int(size)).map(Array.init) : nil }
    }
    func set(_ number: Int?, _ rule: UnwindRow.Rule?) -> Bool {
      guard let number, let rule else { return false }
      state.rules[number] = rule
      return true
    }
    switch code {
    case 0x00: return true
    case 0x80...0xBF: return set(operand, factored().map { .offset($0) })
    case 0xC0...0xFF:
      state.rules[operand] = initial.rules[operand]
      return true
    case 0x05:
      let number = register()
      return set(number, factored().map { .offset($0) })
    case 0x06:
      guard let number = register() else { return false }
      state.rules[number] = initial.rules[number]
      return true
    case 0x07: return set(register(), .undefined)
    case 0x08: return set(register(), .sameValue)
    case 0x09:
      let number = register()
      return set(number, register().map { .register($0) })
    case 0x0C, 0x12:
      guard let number = register() else { return false }
      guard let offset = code == 0x0C ? cursor.unsignedLEB().map({ Int64(bitPattern: $0) }) : factoredSigned() else {
        return false
      }
      state.frameAddress = .register(number, offset: offset)
      return true
    case 0x0D:
      guard let number = register(), case .register(_, let offset) = state.frameAddress else { return false }
      state.frameAddress = .register(number, offset: offset)
      return true
    case 0x0E, 0x13:
      guard let offset = code == 0x0E ? cursor.unsignedLEB().map({ Int64(bitPattern: $0) }) : factoredSigned() else {
        return false
      }
      guard case .register(let number, _) = state.frameAddress else { return false }
      state.frameAddress = .register(number, offset: offset)
      return true
    case 0x0F:
      guard let program = block() else { return false }
      state.frameAddress = .expression(program)
      return true
    case 0x10:
      let number = register()
      return set(number, block().map { .expression($0) })
    case 0x11:
      let number = register()
      return set(number, factoredSigned().map { .offset($0) })
    case 0x14:
      let number = register()
      return set(number, factored().map { .valueOffset($0) })
    case 0x15:
      let number = register()
      return set(number, factoredSigned().map { .valueOffset($0) })
    case 0x16:
      let number = register()
      return set(number, block().map { .valueExpression($0) })
    // DW_CFA_AARCH64_negate_ra_state: signatures are stripped from every return address.
    case 0x2D: return true
    // DW_CFA_GNU_args_size says what is on the stack for a call, which CFI accounts for.
    case 0x2E: return cursor.unsignedLEB() != nil
    case 0x2F:
      let number = register()
      return set(number, factored().map { .offset(0 &- $0) })
    default: return false
    }
  }
}
