/// `GET /api/v1/history?metric=NAME[&from=TIME&to=TIME&step=SECONDS&aggregation=NAME]`: the course of a metric, oldest first.
public struct HistoryAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.history/1"
  public var schema = HistoryAnswer.schema
  public var metric: String
  public var from: Double
  public var to: Double
  public var stepSeconds: Double
  /// `avg`, `min`, `max`, `sum`, `count`, `last`.
  public var aggregation: String
  /// Steps without a sample are left out.
  public var points: [HistoryPoint]

  public init(metric: String, from: Double, to: Double, stepSeconds: Double, aggregation: String, points: [HistoryPoint]) {
    self.metric = metric
    self.from = from
    self.to = to
    self.stepSeconds = stepSeconds
    self.aggregation = aggregation
    self.points = points
  }
}

public struct HistoryPoint: Codable, Sendable, Hashable {
  /// Where the step begins.
  public var at: Double
  public var value: Double
  public var samples: Int64
  /// Of the coarsest sum in it: above the step, its samples may belong to the steps after it.
  public var resolutionSeconds: Double

  public init(at: Double, value: Double, samples: Int64, resolutionSeconds: Double) {
    self.at = at
    self.value = value
    self.samples = samples
    self.resolutionSeconds = resolutionSeconds
  }
}

/// `GET /api/v1/history`: what has been measured.
public struct MetricsAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.metrics/1"
  public var schema = MetricsAnswer.schema
  /// Sorted.
  public var metrics: [String]

  public init(metrics: [String]) { self.metrics = metrics }
}

/// `GET /api/v1/totals`: unloads since the journal began, also those it has forgotten.
public struct TotalsAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.totals/1"
  public var schema = TotalsAnswer.schema
  public var all: TotalsRow
  /// By the reason's word.
  public var reasons: [NamedTotals]
  /// By the names of units.
  public var units: [NamedTotals]

  public init(all: TotalsRow, reasons: [NamedTotals], units: [NamedTotals]) {
    self.all = all
    self.reasons = reasons
    self.units = units
  }
}

public struct NamedTotals: Codable, Sendable, Hashable {
  public var name: String
  public var totals: TotalsRow

  public init(name: String, totals: TotalsRow) {
    self.name = name
    self.totals = totals
  }
}

public struct TotalsRow: Codable, Sendable, Hashable {
  /// Tried; what was only said is none.
  public var unloads: UInt64
  public var successful: UInt64
  public var failed: UInt64
  public var freedBytes: UInt64
  public var seconds: Double
  /// Of the last one.
  public var lastAt: Known<Double>

  public init(
    unloads: UInt64, successful: UInt64, failed: UInt64, freedBytes: UInt64, seconds: Double, lastAt: Known<Double>
  ) {
    self.unloads = unloads
    self.successful = successful
    self.failed = failed
    self.freedBytes = freedBytes
    self.seconds = seconds
    self.lastAt = lastAt
  }
}

/// `GET /api/v1/export?format=FORMAT[&what=WHAT&from=TIME&to=TIME&cursor=CURSOR]`: the journal as text, in pieces that follow
/// one another.
public struct ExportAnswer: Codable, Sendable, Hashable {
  public static let schema = "mlos.export/1"
  public var schema = ExportAnswer.schema
  /// `json` (one object a line), `csv` (with a header in the first piece), `prometheus`.
  public var format: String
  public var text: String
  /// Pass as `cursor` for the next piece; null after the last.
  public var next: Known<String>

  public init(format: String, text: String, next: Known<String>) {
    self.format = format
    self.text = text
    self.next = next
  }
}

/// How the journal is doing.
public struct JournalStatus: Codable, Sendable, Hashable {
  public var path: String
  /// `writing`; `waiting`: rows wait until it can be written again; `stopped`: somebody has to do something.
  public var condition: String
  /// Why it does not write, in words.
  public var problem: Known<String>
  /// Of the file and its log; null while it is not open.
  public var bytes: Known<UInt64>
  public var queuedRows: Int
  /// Since the start.
  public var lostRows: UInt64

  public init(
    path: String, condition: String, problem: Known<String>, bytes: Known<UInt64>, queuedRows: Int, lostRows: UInt64
  ) {
    self.path = path
    self.condition = condition
    self.problem = problem
    self.bytes = bytes
    self.queuedRows = queuedRows
    self.lostRows = lostRows
  }
}
