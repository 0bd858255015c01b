import Client
import Wire

/// Everything `mlos top` knows and how it answers to keys and answers. No terminal, no clock: time is a parameter, in seconds of
/// whichever clock that never goes back.
struct TopModel {
  enum Page: Equatable {
    case processes
    case packages
    /// Of one process, opened from the list.
    case process(pid: Int32, name: String)
  }

  /// What a page remembers while another is shown.
  struct List {
    var order = TopOrder.resident
    var isReversed = false
    var filter = ""
    /// The row marked; nil for the first, whichever it is.
    var marked: String?
    /// Where the marked row was, for when it goes away.
    var position = 0
    /// The first row on screen.
    var offset = 0
  }

  enum Mode: Equatable {
    case browsing
    case filtering
    /// First line shown.
    case help(Int)
  }

  /// What the terminal's side is to do.
  enum Action: Equatable {
    case quit
    /// Ask the supervisor now.
    case read
    /// Write every line again.
    case repaint
  }

  struct Options {
    /// Nothing but this process.
    var only: Int32?
    var page = Page.processes
    var order = TopOrder.resident
    var isReversed = false
    var filter = ""
    var limit: Int?
    /// Seconds.
    var interval = 1.0
  }

  /// Steps of the keys + and -.
  static let intervals = [0.2, 0.5, 1, 2, 5, 10, 30, 60]
  /// Longest filter that can be typed.
  static let filterLimit = 200

  let only: Int32?
  let limit: Int?
  var interval: Double
  var page: Page
  var mode = Mode.browsing
  var isPaused = false
  var processesList = List()
  var packagesList = List()
  var processList = List()
  /// Rows of the table that were on screen last: what a page key moves by.
  var visibleRows = 1

  private(set) var reading: TopReading?
  private(set) var rates: [Int32: TopRates] = [:]
  /// Of the supervisor itself.
  private(set) var supervisorPercent: Double?
  /// Seconds between the readings the rates come from.
  private(set) var elapsed: Double?
  /// The last packages by what was asked, for as long as that page is open.
  private(set) var packages: PackagesAnswer?
  private(set) var packagesScope = TopPackagesScope.none
  /// When what is not answered yet was asked.
  private(set) var asked: Double?
  /// Why there is no news, and since when.
  private(set) var failure: (error: ClientError, since: Double)?

  init(_ options: Options) {
    only = options.only
    limit = options.limit
    interval = options.interval
    page = options.page
    list.order = options.order
    list.isReversed = options.isReversed
    list.filter = options.filter
  }

  /// What the page shown remembers.
  var list: List {
    get {
      switch page {
      case .processes: processesList
      case .packages: packagesList
      case .process: processList
      }
    }
    set {
      switch page {
      case .processes: processesList = newValue
      case .packages: packagesList = newValue
      case .process: processList = newValue
      }
    }
  }

  /// What the page shown needs.
  var scope: TopPackagesScope {
    switch page {
    case .processes: .none
    case .packages: only.map { .of($0) } ?? .all
    case .process(let pid, _): .of(pid)
    }
  }

  /// The process whose packages are shown is not watched any more, or the one of `--pid`.
  var isGone: Bool {
    guard let reading, let pid = scope.pid ?? only else { return false }
    return !reading.processes.processes.contains { $0.pid == pid }
  }

  mutating func ask(at time: Double) { asked = time }

  mutating func take(_ new: TopReading) {
    asked = nil
    failure = nil
    if let reading {
      // The supervisor's clock. One that was set back, or two answers from one moment, give no rates.
      let seconds = new.processes.takenAt - reading.processes.takenAt
      let before = Dictionary(reading.processes.processes.map { ($0.pid, $0) }) { $1 }
      rates = [:]
      for row in new.processes.processes {
        rates[row.pid] = before[row.pid].map { TopRates(from: $0, to: row, seconds: seconds) }
      }
      let isSame = reading.status.pid == new.status.pid && abs(reading.status.startedAt - new.status.startedAt) < 1
      supervisorPercent =
        isSame
        ? TopRates.percent(
          from: reading.status.ownProcessorSeconds.value, to: new.status.ownProcessorSeconds.value, seconds: seconds) : nil
      elapsed = seconds > 0 ? seconds : nil
    }
    reading = new
    if new.scope == scope, let answer = new.packages {
      packages = answer
      packagesScope = new.scope
    }
  }

  mutating func fail(_ error: ClientError, at time: Double) {
    asked = nil
    failure = (error, failure?.since ?? time)
  }

  /// Processes this is about, in no order.
  var processes: [TopProcess] {
    let rows = reading?.processes.processes ?? []
    return rows.filter { only == nil || $0.pid == only }
      .map { TopProcess(row: $0, rates: rates[$0.pid] ?? .unknown) }
  }

  /// Nil until the answer to what the page asks about is there.
  var shownPackages: PackagesAnswer? { packagesScope == scope ? packages : nil }

  /// Processes of the page, filtered and in order.
  func processRows(_ processes: [TopProcess]) -> [TopProcess] {
    let filter = processesList.filter.lowercased()
    let chosen = processes.filter { Self.fits(filter, ["\($0.row.pid)", $0.row.name, $0.row.commandLine, $0.agent]) }
    return Ordering(isReversed: processesList.isReversed, limit: limit).apply(chosen, by: processesList.order)
  }

  /// Packages of the page, filtered and in order.
  func packageRows() -> [PackageRow] {
    let list = page == .packages ? packagesList : processList
    let filter = list.filter.lowercased()
    let chosen = (shownPackages?.packages ?? []).filter {
      Self.fits(filter, [$0.name, $0.kind.rawValue, $0.version.value ?? ""])
    }
    return Ordering(isReversed: list.isReversed, limit: limit).apply(chosen, by: list.order)
  }

  /// Names of the rows of the page shown, in order.
  func identities() -> [String] {
    page == .processes ? processRows(processes).map(\.identity) : packageRows().map(\.identity)
  }

  private static func fits(_ filter: String, _ texts: [String]) -> Bool {
    filter.isEmpty || texts.contains { $0.lowercased().contains(filter) }
  }
}

extension TopProcess {
  var identity: String { "\(row.pid)" }
  var agent: String { row.agentState.value ?? row.source }
}

extension PackageRow {
  var identity: String { "\(name) \(kind.rawValue) \(version.value ?? "")" }
}

extension Ordering {
  func apply(_ rows: [TopProcess], by order: TopOrder) -> [TopProcess] {
    switch order {
    case .resident: apply(rows, descending: true, by: { $0.row.residentBytes }, tie: \.row.pid)
    case .private: apply(rows, descending: true, by: { $0.row.privateBytes.value }, tie: \.row.pid)
    case .proportional: apply(rows, descending: true, by: { $0.row.proportionalBytes.value }, tie: \.row.pid)
    case .heap: apply(rows, descending: true, by: { $0.row.liveHeapBytes.value }, tie: \.row.pid)
    case .growth: apply(rows, descending: true, by: { $0.rates.heapGrowth }, tie: \.row.pid)
    case .allocations: apply(rows, descending: true, by: { $0.row.allocationsPerSecond.value }, tie: \.row.pid)
    case .cpu: apply(rows, descending: true, by: { $0.rates.processorPercent }, tie: \.row.pid)
    case .used: apply(rows, descending: true, by: { $0.row.lastActiveAt.value }, tie: \.row.pid)
    case .name: apply(rows, descending: false, by: { $0.row.name }, tie: \.row.pid)
    case .pid: apply(rows, descending: false, by: { $0.row.pid }, tie: \.row.pid)
    }
  }

  /// What packages do not have sorts them by resident memory; the keys and `--sort` do not offer it.
  func apply(_ rows: [PackageRow], by order: TopOrder) -> [PackageRow] {
    let memory: MemoryOrder =
      switch order {
      case .private: .private
      case .proportional: .proportional
      case .used: .used
      case .name: .name
      case .resident, .heap, .growth, .allocations, .cpu, .pid: .resident
      }
    return apply(rows, by: memory, memory: \.memory, used: { $0.lastUsedAt.value }, name: \.identity)
  }
}
