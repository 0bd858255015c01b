import Wire

/// What to ask the supervisor for, besides itself and its processes.
enum TopPackagesScope: Hashable, Sendable {
  case none
  case all
  case of(Int32)

  var pid: Int32? { if case .of(let pid) = self { pid } else { nil } }
}

/// What the supervisor said in one go.
struct TopReading: Sendable {
  var status: StatusAnswer
  var processes: ProcessesAnswer
  var scope = TopPackagesScope.none
  /// Nil for `.none`, and when the process asked about is not watched any more.
  var packages: PackagesAnswer?
}

/// What two readings tell that one does not.
struct TopRates: Equatable {
  /// Bytes a second; negative while the heap shrinks. Nil when it is not known at both ends.
  var heapGrowth: Double?
  /// 100 is one processor all the time.
  var processorPercent: Double?

  static let unknown = TopRates()

  /// Between two readings of a process; unknown when they are not of the same one or no time is between.
  init(from old: ProcessRow, to new: ProcessRow, seconds: Double) {
    // A start is told to the second or better; a number that is used again is another process.
    guard old.pid == new.pid, abs(old.startedAt - new.startedAt) < 1, seconds > 0 else { return }
    if let before = old.liveHeapBytes.value, let now = new.liveHeapBytes.value {
      heapGrowth = (Double(now) - Double(before)) / seconds
    }
    processorPercent = Self.percent(from: old.processorSeconds, to: new.processorSeconds, seconds: seconds)
  }

  init() {}

  /// Nil for a clock that went backwards.
  static func percent(from old: Double?, to new: Double?, seconds: Double) -> Double? {
    guard let old, let new, seconds > 0, new >= old else { return nil }
    return (new - old) / seconds * 100
  }
}

/// A process with its rates.
struct TopProcess {
  var row: ProcessRow
  var rates: TopRates
}

/// Sums over processes; nil where nothing is known. `unknown` counts the processes that a sum leaves out.
struct TopTotals: Equatable {
  struct Total<Value: Equatable>: Equatable {
    var value: Value?
    var unknown = 0
  }

  var processes = 0
  var residentBytes: UInt64 = 0
  var privateBytes = Total<UInt64>()
  var liveHeapBytes = Total<UInt64>()
  var heapGrowth = Total<Double>()
  var allocatedBytesPerSecond = Total<Double>()

  init(_ processes: [TopProcess]) {
    self.processes = processes.count
    residentBytes = sum(processes.map(\.row.residentBytes))
    privateBytes = Self.total(processes.map(\.row.privateBytes.value)) { sum($0) }
    liveHeapBytes = Self.total(processes.map(\.row.liveHeapBytes.value)) { sum($0) }
    heapGrowth = Self.total(processes.map(\.rates.heapGrowth)) { $0.reduce(0, +) }
    allocatedBytesPerSecond = Self.total(processes.map(\.row.allocatedBytesPerSecond.value)) { $0.reduce(0, +) }
  }

  private static func total<Value>(_ values: [Value?], _ add: ([Value]) -> Value) -> Total<Value> {
    let known = values.compactMap { $0 }
    return Total(value: known.isEmpty ? nil : add(known), unknown: values.count - known.count)
  }
}
