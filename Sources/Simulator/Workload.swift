import Model

/// Histories made from a seed, each of a kind that machines with learned models see. The same seed gives the same trace everywhere.
public enum Workload: String, Hashable, Sendable, Codable, CaseIterable {
  /// Independent requests, few units popular and many rarely used.
  case zipf
  /// Jobs at fixed times: every ten minutes, every hour, every day; some requests between them.
  case periodic
  /// Sessions of many uses of a few units, then long silence.
  case bursts
  /// Every hour or so another set of units is the one in use.
  case phases
  /// Steady use of a few units, and now and then a pass over all others, each once.
  case scans
  /// A training run that holds its units for hours beside requests for inference.
  case trainingAndInference = "training"
  /// Units that need others, which need others.
  case chains
  /// Sizes and reload seconds from heavy tails, not in proportion to each other.
  case heavyTails = "heavy-tails"

  /// - Parameter hours: Above zero, at most a week.
  public func trace(seed: UInt64, units count: Int = 24, hours: Double = 12) -> Trace {
    var maker = TraceMaker(seed: seed, duration: min(max(hours, 0.1), 168) * 3600)
    maker.addUnits(max(count, 4), of: self)
    switch self {
    case .zipf, .heavyTails: maker.addRequests(to: maker.all, meanGap: 20, exponent: 0.9)
    case .periodic: maker.addPeriodicJobs()
    case .bursts: maker.addSessions()
    case .phases: maker.addPhases()
    case .scans: maker.addScans()
    case .trainingAndInference: maker.addTraining()
    case .chains: maker.addRequests(to: maker.all, meanGap: 30, exponent: 0.7)
    }
    return maker.finish(rawValue, seed: seed)
  }
}

/// Collects units and events of one trace.
private struct TraceMaker {
  private var random: RandomSource
  private let duration: Double
  private var units: [Trace.Unit] = []
  private var events: [Trace.Event] = []
  /// The order of popularity, which is not that of the names.
  private(set) var all: [Int] = []

  init(seed: UInt64, duration: Double) {
    random = RandomSource(seed: seed)
    self.duration = duration
  }

  consuming func finish(_ name: String, seed: UInt64) -> Trace {
    let order = events.indices.sorted { (events[$0].time, $0) < (events[$1].time, $1) }
    let header = Trace.Header(
      source: "generated \(name), seed \(seed)", recorder: "mlos simulate", machine: "none", duration: duration)
    return Trace(header: header, units: units, events: order.map { events[$0] })
  }

  // MARK: Units, 20 to 500 MB, 0.1 to 10 s

  mutating func addUnits(_ count: Int, of workload: Workload) {
    for index in 0..<count {
      let megabytes: Double
      let reload: Double
      if workload == .heavyTails {
        megabytes = random.boundedPareto(20...500, shape: 0.8)
        reload = random.boundedPareto(0.1...10, shape: 0.7)
      } else {
        // Read at 20 to 200 MB a second, as an import or a model's file is.
        megabytes = random.logUniform(20...500)
        reload = min(max(megabytes / random.logUniform(20...200), 0.1), 10)
      }
      let needs = workload == .chains ? chainNeeds(of: index) : []
      units.append(
        Trace.Unit(
          (index < 10 ? "unit-0" : "unit-") + "\(index)", kind: index % 3 == 0 ? .model : .package,
          bytes: Bytes(UInt64(megabytes * 1e6)), reloadSeconds: (reload * 1e3).rounded() / 1e3, needs: needs))
    }
    all = random.shuffled(count)
  }

  /// A few basic packages, frameworks on them, models on those.
  private mutating func chainNeeds(of index: Int) -> [Int] {
    guard index >= 3 else { return [] }
    let first = random.below(index)
    let second = random.below(index)
    return first == second || random.chance(0.6) ? [first] : [min(first, second), max(first, second)]
  }

  // MARK: Events

  private mutating func add(_ time: Double, _ unit: Int, busy: Double? = nil) {
    guard time < duration else { return }
    let busy = busy ?? random.logUniform(0.02...5)
    // To the millisecond, as recorded ones are.
    events.append(Trace.Event(time: (time * 1e3).rounded(.down) / 1e3, unit: unit, busy: (busy * 1e3).rounded() / 1e3))
  }

  mutating func addRequests(
    to members: [Int], meanGap: Double, exponent: Double, from start: Double = 0, until end: Double = .infinity
  ) {
    let popularity = Popularity(count: members.count, exponent: exponent)
    var time = start + random.exponential(mean: meanGap)
    while time < min(end, duration) {
      add(time, members[popularity.sample(&random)])
      time += random.exponential(mean: meanGap)
    }
  }

  mutating func addPeriodicJobs() {
    let periods = [600.0, 1800, 3600, 7200, 21_600]
    for (rank, unit) in all.enumerated() where rank % 4 != 3 {
      let period = periods[rank % periods.count]
      var time = random.uniform(0...period)
      while time < duration {
        // A job starts a little late, and uses its unit a few times.
        var use = time + random.exponential(mean: 5)
        for _ in 0...random.below(4) {
          add(use, unit)
          use += random.exponential(mean: 10)
        }
        time += period
      }
    }
    addRequests(to: all.enumerated().filter { $0.offset % 4 == 3 }.map(\.element), meanGap: 120, exponent: 0.9)
  }

  mutating func addSessions() {
    var time = 0.0
    while time < duration {
      let members = (0...random.below(4)).map { _ in all[min(random.below(all.count), random.below(all.count))] }
      addRequests(to: members, meanGap: 4, exponent: 0.5, from: time, until: time + random.logUniform(60...900))
      time += random.exponential(mean: 420)
    }
  }

  mutating func addPhases() {
    let size = max(3, all.count / 3)
    var time = 0.0
    while time < duration {
      let end = time + random.uniform(2400...5400)
      let order = random.shuffled(all.count)
      addRequests(to: Array(order.prefix(size)), meanGap: 15, exponent: 0.6, from: time, until: end)
      time = end
    }
  }

  mutating func addScans() {
    let steady = Array(all.prefix(max(3, all.count / 4)))
    addRequests(to: steady, meanGap: 20, exponent: 0.6)
    var time = random.exponential(mean: 2400)
    while time < duration {
      for unit in all.dropFirst(steady.count) {
        add(time, unit)
        time += random.uniform(1...8)
      }
      time += random.exponential(mean: 2400)
    }
  }

  mutating func addTraining() {
    let trained = Array(all.prefix(max(2, all.count / 8)))
    var time = random.uniform(60...600)
    while time < duration {
      let run = random.uniform(1800...7200)
      // The framework and the model are in use all along; data readers between the epochs.
      for unit in trained.dropLast() { add(time, unit, busy: min(run, duration - time)) }
      var epoch = time
      while epoch < time + run {
        if let reader = trained.last { add(epoch, reader, busy: 2) }
        epoch += random.uniform(120...240)
      }
      time += run + random.exponential(mean: 2400)
    }
    addRequests(to: Array(all.dropFirst(trained.count)), meanGap: 25, exponent: 0.9)
  }
}
