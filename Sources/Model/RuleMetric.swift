/// What a number of a metric counts, and in which base unit it is kept.
public enum MetricUnit: String, Hashable, Sendable, CaseIterable {
  /// 0 to 1, or more where more than the whole can be used.
  case share
  case bytes
  case seconds
  case count

  /// What to write, with its article: "a share such as 60% or 0.6".
  public var expectation: String {
    switch self {
    case .share: "a share such as 60% or 0.6"
    case .bytes: "a size such as 500MiB"
    case .seconds: "a duration such as 120, 90s or 2m"
    case .count: "a number such as 3"
    }
  }
}

/// What is known about one figure a rule can ask for.
public protocol MetricDeclaration: RawRepresentable, Hashable, Sendable, CaseIterable where RawValue == String {
  var unit: MetricUnit { get }
  /// One line, without a full stop.
  var summary: String { get }
}

/// Figures there is one of.
public enum MachineMetric: String, MetricDeclaration {
  case memoryLevel = "memory.level"
  case memoryUsed = "memory.used"
  case memoryAvailable = "memory.available"
  case memoryStall = "memory.stall"
  case swapUsed = "swap.used"
  case unloadingRegrets = "unloading.regrets"

  public var unit: MetricUnit {
    switch self {
    case .memoryLevel, .memoryStall: .share
    case .memoryUsed, .memoryAvailable, .swapUsed: .bytes
    case .unloadingRegrets: .count
    }
  }

  public var summary: String {
    switch self {
    case .memoryLevel: "Memory used, of the limit that binds: the control group's or the machine's"
    case .memoryUsed: "Memory used, in the same sense"
    case .memoryAvailable: "The limit less what is used"
    case .memoryStall: "Share of the time in which something waited for memory (PSI `some`)"
    case .swapUsed: "Swap in use on the machine"
    case .unloadingRegrets: "Units that were needed again within `unloading.regret_window`, in the last such window"
    }
  }
}

/// Figures of the packages of one name, in all processes together.
public enum PackageMetric: String, MetricDeclaration {
  case idle, bytes, loaded, uses

  public var unit: MetricUnit {
    switch self {
    case .idle: .seconds
    case .bytes: .bytes
    case .loaded, .uses: .count
    }
  }

  public var summary: String {
    switch self {
    case .idle: "Time since its last use in any process"
    case .bytes: "What would come back to the machine if it went everywhere"
    case .loaded: "Processes that have it loaded"
    case .uses: "Times it was seen in use"
    }
  }
}

/// Figures of the watched processes of one name together.
public enum ProcessMetric: String, MetricDeclaration {
  case bytes, heap, cpu

  public var unit: MetricUnit {
    switch self {
    case .bytes, .heap: .bytes
    case .cpu: .share
    }
  }

  public var summary: String {
    switch self {
    case .bytes: "Memory, shared pages counted in parts (PSS)"
    case .heap: "Live heap, as the agents count it"
    case .cpu: "Processor time used; 1 is one processor"
    }
  }
}

/// A figure that a rule asks for, written `memory.level`, `package.torch.idle`, `process."my app".heap`.
public enum RuleMetric: Hashable, Sendable {
  case machine(MachineMetric)
  case package(String, PackageMetric)
  case process(String, ProcessMetric)

  public var unit: MetricUnit {
    switch self {
    case .machine(let metric): metric.unit
    case .package(_, let metric): metric.unit
    case .process(_, let metric): metric.unit
    }
  }

  /// The most it can be, in its unit; nil where nothing bounds it.
  public var largest: Double? {
    switch self {
    case .machine(.memoryLevel), .machine(.memoryStall): 1
    case .machine, .package, .process: nil
    }
  }
}

extension RuleMetric: CustomStringConvertible {
  /// As rules write it.
  public var description: String {
    switch self {
    case .machine(let metric): metric.rawValue
    case .package(let name, let metric): "package.\(UnitName.written(name)).\(metric.rawValue)"
    case .process(let name, let metric): "process.\(UnitName.written(name)).\(metric.rawValue)"
    }
  }
}

/// Every metric there is, for documents and error messages.
public enum MetricCatalogue {
  /// `package.NAME.idle` stands for one metric a name.
  public static let all: [(name: String, unit: MetricUnit, summary: String)] =
    MachineMetric.allCases.map { ($0.rawValue, $0.unit, $0.summary) }
    + PackageMetric.allCases.map { ("package.NAME.\($0.rawValue)", $0.unit, $0.summary) }
    + ProcessMetric.allCases.map { ("process.NAME.\($0.rawValue)", $0.unit, $0.summary) }
}
