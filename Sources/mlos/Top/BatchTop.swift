import Client
import Glibc
import Wire

/// `mlos top` for a pipe, a file or a script: one frame after another, or one JSON object a line.
struct BatchTop {
  var model: TopModel
  let reader: TopReader
  let terminal: Terminal
  let isJSON: Bool
  /// Frames; nil for no end.
  let count: Int?

  /// The first frame comes after the second reading: before there are no rates.
  mutating func run(first: TopReading) throws {
    if count == nil { Output.endWhenAbandoned() }
    model.take(first)
    var schedule = TopSchedule()
    schedule.start(at: monotonicSeconds())
    schedule.finish(at: monotonicSeconds(), failed: false)
    var frames = 0
    while frames < count ?? .max {
      Self.wait(until: schedule.next(interval: model.interval) ?? 0)
      schedule.start(at: monotonicSeconds())
      let outcome = reader.read(model.scope)
      schedule.finish(at: monotonicSeconds(), failed: (try? outcome.get()) == nil)
      switch outcome {
      case .success(let reading):
        model.take(reading)
        try show(isFirst: frames == 0)
        frames += 1
      case .failure(let error):
        // Said once, not at every try. A frame that was asked for by number is an error like that of any command.
        if count == 1 { throw Failure(error) }
        if model.failure == nil { Output.complain("\(error); retrying") }
        model.fail(error, at: monotonicSeconds())
      }
    }
  }

  private func show(isFirst: Bool) throws {
    if isJSON {
      Output.print([String(decoding: try Coding.encoder().encode(TopReport(model)), as: UTF8.self)])
    } else {
      Output.print((isFirst ? [] : [""]) + model.page(terminal))
    }
  }

  private static func wait(until time: Double) {
    while true {
      let left = time - monotonicSeconds()
      guard left > 0 else { return }
      _ = poll(nil, 0, Int32(min((left * 1000).rounded(.up), 60_000)))
    }
  }
}

extension TopReader {
  /// Asks and waits for the outcome.
  func read(_ scope: TopPackagesScope) -> Outcome {
    start(scope)
    while true {
      var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      if poll(&state, 1, -1) > 0, let outcome = take() { return outcome }
    }
  }
}

/// `mlos top --json`, one a reading.
struct TopReport: Encodable {
  static let schema = "mlos.top/1"

  struct Supervisor: Encodable {
    var pid: Int32
    var version: String
    var uptimeSeconds: Double
    var residentBytes: Known<UInt64>
    var processorPercent: Known<Double>
  }

  /// Over the processes the command is about, whatever the filter.
  struct Totals: Encodable {
    var processes: Int
    var residentBytes: UInt64
    var privateBytes: Known<UInt64>
    var liveHeapBytes: Known<UInt64>
    var liveHeapBytesPerSecond: Known<Double>
    var allocatedBytesPerSecond: Known<Double>
  }

  /// The API's fields and two more.
  struct Process: Encodable {
    var process: TopProcess

    private enum CodingKeys: CodingKey { case liveHeapBytesPerSecond, processorPercent }

    func encode(to encoder: any Encoder) throws {
      try process.row.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(Known(process.rates.heapGrowth), forKey: .liveHeapBytesPerSecond)
      try container.encode(Known(process.rates.processorPercent), forKey: .processorPercent)
    }
  }

  var schema = TopReport.schema
  var takenAt: Double
  /// Between the two readings the rates come from.
  var elapsedSeconds: Known<Double>
  var supervisor: Supervisor
  var totals: Totals
  /// One of the two, filtered and in order.
  var processes: [Process]?
  var packages: [PackageRow]?

  /// - Precondition: The model has a reading.
  init(_ model: TopModel) {
    guard let reading = model.reading else { preconditionFailure("a report before the first reading") }
    let status = reading.status
    let all = model.processes
    let sums = TopTotals(all)
    takenAt = reading.processes.takenAt
    elapsedSeconds = Known(model.elapsed)
    supervisor = Supervisor(
      pid: status.pid, version: status.version, uptimeSeconds: status.uptimeSeconds, residentBytes: status.ownResidentBytes,
      processorPercent: Known(model.supervisorPercent))
    totals = Totals(
      processes: sums.processes, residentBytes: sums.residentBytes, privateBytes: Known(sums.privateBytes.value),
      liveHeapBytes: Known(sums.liveHeapBytes.value), liveHeapBytesPerSecond: Known(sums.heapGrowth.value),
      allocatedBytesPerSecond: Known(sums.allocatedBytesPerSecond.value))
    if model.page == .processes {
      processes = model.processRows(all).map { Process(process: $0) }
    } else {
      packages = model.packageRows()
    }
  }
}
