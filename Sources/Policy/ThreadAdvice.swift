import Model

/// A process whose threads were read twice.
public struct ThreadObservation: Hashable, Sendable {
  public var process: ProcessIdentity
  public var processName: String
  public var before: ThreadTimes
  public var after: ThreadTimes
  public var allowance: ProcessorAllowance
  /// Names of packages in it, and base names of its modules.
  public var packages: [String]
  public var modules: [String]

  public init(
    process: ProcessIdentity, processName: String, before: ThreadTimes, after: ThreadTimes, allowance: ProcessorAllowance,
    packages: [String], modules: [String]
  ) {
    self.process = process
    self.processName = processName
    self.before = before
    self.after = after
    self.allowance = allowance
    self.packages = packages
    self.modules = modules
  }
}

/// How long each thread ran and waited between two readings.
public struct ThreadGrowth: Hashable, Sendable {
  public var thread: Int32
  public var ran: UInt64
  public var waited: UInt64

  /// A thread that was not there before, or whose number is another's now, counts from its start.
  public static func between(_ before: ThreadTimes, _ after: ThreadTimes) -> [ThreadGrowth] {
    let old = Dictionary(before.threads.map { ($0.thread, $0) }, uniquingKeysWith: { first, _ in first })
    return after.threads.map { now in
      guard let then = old[now.thread], then.ran <= now.ran, then.waited <= now.waited else {
        return ThreadGrowth(thread: now.thread, ran: now.ran, waited: now.waited)
      }
      return ThreadGrowth(thread: now.thread, ran: now.ran - then.ran, waited: now.waited - then.waited)
    }
  }

  /// A 20th: below it a thread that wakes now and then does not compete.
  public static let busyShare = 0.05

  public func isBusy(over nanoseconds: UInt64) -> Bool {
    Double(ran) + Double(waited) >= Self.busyShare * Double(nanoseconds)
  }
}

/// More threads that want to run than there are processors for them.
enum ThreadAdvice {
  /// 0.5 s: five and more of the scheduler's turns, also on a machine that is full.
  static let shortestSeconds = 0.5
  /// A quarter more than there are processors: as many threads as processors wait now and then for others on the machine.
  static let mostDemand = 1.25
  /// A quarter of the time the threads want to run.
  static let leastWaited = 0.25

  /// Processes that compete for the same processors count together: two that each fit alone can be too many.
  static func contentions(_ observations: [ThreadObservation]) -> [ThreadContention] {
    var demand: [Place: Double] = [:]
    let measured = observations.compactMap { Measured($0) }
    for process in measured { demand[process.place, default: 0] += process.demand }
    return measured.compactMap { process in
      let observation = process.observation
      let processors = observation.allowance.count
      let all = demand[process.place] ?? 0
      // One thread alone cannot be made fewer.
      guard processors > 0, all > Self.mostDemand * processors, process.busy >= 2 else { return nil }
      let contention = ThreadContention(
        process: observation.process, processName: observation.processName, seconds: process.seconds, busyThreads: process.busy,
        processors: processors, ranSeconds: process.ran, waitedSeconds: process.waited, demand: all,
        knobs: ThreadKnob.found(packages: observation.packages, modules: observation.modules))
      return contention.waitedShare >= Self.leastWaited ? contention : nil
    }.sorted { ($1.waitedSeconds, $0.process.pid) < ($0.waitedSeconds, $1.process.pid) }
  }

  /// Where processes compete.
  private struct Place: Hashable {
    var processors: Set<Int>
    var group: String?
  }

  private struct Measured {
    var observation: ThreadObservation
    var seconds: Double
    var busy: Int
    var ran: Double
    var waited: Double
    var place: Place

    var demand: Double { (ran + waited) / seconds }

    init?(_ observation: ThreadObservation) {
      let (before, after) = (observation.before, observation.after)
      guard before.process == after.process, after.at > before.at else { return nil }
      let time = after.at - before.at
      seconds = Double(time) / 1e9
      guard seconds >= ThreadAdvice.shortestSeconds else { return nil }
      let threads = ThreadGrowth.between(before, after).filter { $0.isBusy(over: time) }
      busy = threads.count
      ran = threads.reduce(0) { $0 + Double($1.ran) } / 1e9
      waited = threads.reduce(0) { $0 + Double($1.waited) } / 1e9
      place = Place(processors: observation.allowance.processors, group: observation.allowance.quotaGroup)
      self.observation = observation
    }
  }
}

extension ThreadKnob {
  /// Those of the libraries that are in the process.
  static func found(packages: [String], modules: [String]) -> [ThreadKnob] {
    allCases.filter { knob in
      switch knob {
      case .onnxRuntime: packages.contains { $0.hasPrefix("onnxruntime") }
      case .torch: packages.contains("torch")
      case .openMP: modules.contains { name in ["libgomp", "libomp", "libiomp5"].contains { name.hasPrefix($0) } }
      case .openBLAS: modules.contains { $0.contains("openblas") }
      }
    }
  }
}
