import Model

/// /proc/PID/stat, the fields that are used.
struct StatLine {
  var name: [UInt8]
  var state: UInt8
  var parent: Int32
  var minorFaults: UInt64
  var majorFaults: UInt64
  var processorTicks: UInt64
  var threads: UInt32
  var startTicks: UInt64
  /// Size of the address ranges, and the resident set, as statm has them.
  var virtual: Bytes
  var resident: Bytes
  /// Field 28, startstack; nil without the right to see it, when the kernel prints 0.
  var stackBottom: UInt64?

  /// The name may hold spaces, parentheses and line feeds: it reaches from the first `(` to the last `)`.
  init(_ text: [UInt8]) throws(PlatformError) {
    let malformed = PlatformError(.malformed, context: "stat")
    guard let open = text.firstIndex(of: UInt8(ascii: "(")), let close = text.lastIndex(of: UInt8(ascii: ")")), open < close
    else { throw malformed }
    name = Array(text[(open + 1)..<close])
    var reader = ByteReader(text)
    reader.position = close + 1
    guard reader.skip(0x20), let letter = reader.current, (0x21...0x7E).contains(letter) else { throw malformed }
    state = letter
    // Fields 4 to 28 (proc(5) counts from 1; the state is field 3). Some may be negative; none of those is used.
    var fields = [UInt64?](repeating: nil, count: 29)
    reader.position += 1
    for index in 4...28 {
      guard reader.skip(0x20) else { throw malformed }
      fields[index] = reader.decimal()
      reader.skipWord()
    }
    guard let parent = fields[4].flatMap({ Int32(exactly: $0) }), let minor = fields[10], let major = fields[12],
      let user = fields[14], let system = fields[15], let threads = fields[20].flatMap({ UInt32(exactly: $0) }),
      let start = fields[22], let virtual = fields[23], let resident = fields[24],
      case (let residentBytes, false) = resident.multipliedReportingOverflow(by: ProcFS.pageSize),
      case (let ticks, false) = user.addingReportingOverflow(system)
    else { throw malformed }
    self.parent = parent
    minorFaults = minor
    majorFaults = major
    processorTicks = ticks
    self.threads = threads
    startTicks = start
    self.virtual = Bytes(virtual)
    self.resident = Bytes(residentBytes)
    stackBottom = fields[28].flatMap { $0 == 0 ? nil : $0 }
  }
}

/// /proc/PID/statm: pages, given here in bytes.
struct StatmLine {
  var size: Bytes
  var resident: Bytes
  /// Resident pages of files and shared memory.
  var shared: Bytes

  init(_ text: [UInt8]) throws(PlatformError) {
    var reader = ByteReader(text)
    func field() throws(PlatformError) -> Bytes {
      reader.skipBlanks()
      guard let pages = reader.decimal(), case (let bytes, false) = pages.multipliedReportingOverflow(by: ProcFS.pageSize)
      else { throw PlatformError(.malformed, context: "statm") }
      return Bytes(bytes)
    }
    size = try field()
    resident = try field()
    shared = try field()
  }
}

/// /proc/PID/status, the fields that are used; nil where the kernel prints none (kernel threads, zombies).
struct StatusFile {
  var effectiveUser: UInt32?
  /// The process, where this is one of its threads: those have directories in /proc, too, though it lists none.
  var threadGroup: Int32?
  /// VmPeak.
  var virtualPeak: Bytes?
  var residentAnonymous: Bytes?
  var residentFile: Bytes?
  var residentShared: Bytes?
  var swap: Bytes?
  var seccomp: Int?
  var effectiveCapabilities: UInt64?

  init(_ text: [UInt8]) throws(PlatformError) {
    var reader = ByteReader(text)
    while !reader.isAtEnd {
      let end = reader.lineEnd() ?? text.count
      var line = ByteReader(text, from: reader.position, to: end)
      // The name of the process comes first, its line feeds escaped by the kernel: it cannot forge a line.
      if line.skip("Tgid:") {
        line.skipBlanks()
        guard let group = line.decimal().flatMap({ Int32(exactly: $0) }) else { throw Self.malformed }
        threadGroup = group
      } else if line.skip("Uid:") {
        line.skipBlanks()
        guard line.decimal() != nil else { throw Self.malformed }
        line.skipBlanks()
        guard let user = line.decimal().flatMap({ UInt32(exactly: $0) }) else { throw Self.malformed }
        effectiveUser = user
      } else if line.skip("VmPeak:") {
        virtualPeak = try Self.kibibytes(&line)
      } else if line.skip("RssAnon:") {
        residentAnonymous = try Self.kibibytes(&line)
      } else if line.skip("RssFile:") {
        residentFile = try Self.kibibytes(&line)
      } else if line.skip("RssShmem:") {
        residentShared = try Self.kibibytes(&line)
      } else if line.skip("VmSwap:") {
        swap = try Self.kibibytes(&line)
      } else if line.skip("Seccomp:") {
        line.skipBlanks()
        guard let mode = line.decimal(), mode <= 16 else { throw Self.malformed }
        seccomp = Int(mode)
      } else if line.skip("CapEff:") {
        line.skipBlanks()
        guard let set = line.hexadecimal() else { throw Self.malformed }
        effectiveCapabilities = set
      }
      reader.position = end + 1
    }
  }

  private static func kibibytes(_ line: inout ByteReader) throws(PlatformError) -> Bytes {
    line.skipBlanks()
    guard let number = line.decimal(), number <= UInt64.max >> 10 else { throw malformed }
    return .kibibytes(number)
  }

  private static var malformed: PlatformError { PlatformError(.malformed, context: "status") }
}
