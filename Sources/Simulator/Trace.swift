import Model

/// A history of uses: which units there are, and when each was used. What memory there was is no part of it.
public struct Trace: Hashable, Sendable {
  public struct Header: Hashable, Sendable {
    /// What was watched or how it was made: `tools/demo`, `generated zipf, seed 7`.
    public var source: String
    /// The program that wrote it.
    public var recorder: String
    /// Where: reload seconds of one machine say little about another.
    public var machine: String
    /// Seconds; no event lies after it.
    public var duration: Double

    public init(source: String, recorder: String, machine: String, duration: Double) {
      self.source = source
      self.recorder = recorder
      self.machine = machine
      self.duration = duration
    }
  }

  public struct Unit: Hashable, Sendable {
    public var name: String
    public var kind: ReclaimUnit.Kind
    public var bytes: Bytes
    /// What bringing it into memory takes, without what it needs.
    public var reloadSeconds: Double
    /// Indexes of units that must be there as long as this one is; each is smaller than its own, so there is no circle.
    public var needs: [Int]

    public init(_ name: String, kind: ReclaimUnit.Kind = .package, bytes: Bytes, reloadSeconds: Double, needs: [Int] = []) {
      self.name = name
      self.kind = kind
      self.bytes = bytes
      self.reloadSeconds = reloadSeconds
      self.needs = needs
    }
  }

  /// One use, which begins at `time` and lasts `busy` seconds when everything is in memory.
  public struct Event: Hashable, Sendable {
    public var time: Double
    public var unit: Int
    public var busy: Double

    public init(time: Double, unit: Int, busy: Double = 0) {
      self.time = time
      self.unit = unit
      self.busy = busy
    }
  }

  public var header: Header
  public var units: [Unit]
  /// By time.
  public var events: [Event]

  /// - Precondition: Events are in order of time, name units that exist, and end within the duration; the reader sees to that.
  public init(header: Header, units: [Unit], events: [Event]) {
    self.header = header
    self.units = units
    self.events = events
  }

  /// All units in memory at once: limits are given as a share of this.
  public var totalBytes: Bytes { units.reduce(.zero) { $0 + $1.bytes } }

  /// For each unit, everything a use of it needs in memory, dependencies first and itself last.
  var closures: [[Int]] {
    var result: [[Int]] = []
    result.reserveCapacity(units.count)
    for (index, unit) in units.enumerated() {
      var all: Set<Int> = [index]
      for need in unit.needs { all.formUnion(result[need]) }
      result.append(all.sorted())
    }
    return result
  }

  public static let format = "mlos.trace/1"

  /// A reader stops here: a trace is a file from anywhere.
  public enum Limit {
    public static let fileBytes = 256 << 20
    /// Names of a unit's needs take most of a line.
    public static let lineBytes = 16 << 10
    public static let nameBytes = 256
    public static let units = 10_000
    public static let events = 4_000_000
    public static let needs = 64
    /// A year.
    public static let seconds = 31_536_000.0
    /// A day: nothing that takes longer is brought back on demand.
    public static let reloadSeconds = 86_400.0
    /// 1 PiB, and exact in a JSON number.
    public static let unitBytes = 1 << 50
  }
}
