import Model
import Simulator
import Wire

/// Makes a trace of what a supervisor tells again and again: which units there are, how large they became, and when each was used.
struct HistoryRecorder {
  /// What is a unit.
  enum Units: String, CaseIterable {
    /// A package in a process.
    case packages
    /// A process with its private memory.
    case processes
  }

  /// Bytes a second at which a package is taken to come back, and what each time takes at least: no one has measured it.
  static let bytesPerSecond = 200e6
  static let leastSeconds = 0.01

  private struct Seen {
    var bytes = Bytes.zero
    var reloadSeconds = 0.0
    var lastUse: Double?
    /// Processor time at the look before; a process's start is over at the first look between which it did not run.
    var processorSeconds: Double?
    var isStarting = true
    var uses: [Double] = []
  }
  private var seen: [String: Seen] = [:]
  /// In the order in which they came.
  private var order: [String] = []
  /// More uses are not kept.
  private(set) var isFull = false
  private var count = 0

  var units: Int { order.count }
  var uses: Int { count }

  mutating func take(_ answer: PackagesAnswer, at time: Double) {
    for package in answer.packages where package.kind != .runtime {
      for holder in package.holders {
        let bytes = Bytes(holder.memory.privateBytes) - Bytes(holder.memory.anonymousBytes)
        note("\(package.name) in \(holder.processName) (\(holder.pid))", at: time) { unit in
          unit.bytes = max(unit.bytes, bytes)
          unit.reloadSeconds = max(Self.leastSeconds, Double(unit.bytes.count) / Self.bytesPerSecond)
          guard let used = holder.lastUsedAt.value, used > (unit.lastUse ?? -.infinity) else { return false }
          // The first that is told may lie before the recording.
          defer { unit.lastUse = used }
          return unit.lastUse != nil
        }
      }
    }
  }

  mutating func take(_ answer: ProcessesAnswer, at time: Double) {
    for process in answer.processes {
      note("\(process.name) (\(process.pid))", at: time) { unit in
        unit.bytes = max(unit.bytes, Bytes(process.privateBytes.value ?? process.residentAnonymousBytes))
        let hasRun = process.processorSeconds > (unit.processorSeconds ?? 0)
        let isNew = unit.processorSeconds == nil
        unit.processorSeconds = process.processorSeconds
        // What it took until it first rested is what starting it again would take.
        if unit.isStarting { unit.reloadSeconds = max(Self.leastSeconds, process.processorSeconds) }
        if !isNew, !hasRun { unit.isStarting = false }
        return hasRun && !unit.isStarting
      }
    }
  }

  /// - Parameter look: Says whether it has been used since the look before.
  private mutating func note(_ name: String, at time: Double, _ look: (inout Seen) -> Bool) {
    if seen[name] == nil {
      guard order.count < Trace.Limit.units else { return isFull = true }
      order.append(name)
    }
    var unit = seen[name] ?? Seen()
    if look(&unit) {
      if count < Trace.Limit.events {
        unit.uses.append(time)
        count += 1
      } else {
        isFull = true
      }
    }
    seen[name] = unit
  }

  /// Units that held memory of their own, and their uses in order.
  func trace(source: String, recorder: String, machine: String, duration: Double) -> Trace {
    let kept = order.filter { (seen[$0]?.bytes ?? .zero) > .zero }
    let units = kept.map { name in
      Trace.Unit(
        String(decoding: name.utf8.prefix(Trace.Limit.nameBytes), as: UTF8.self), bytes: seen[name]?.bytes ?? .zero,
        reloadSeconds: min(seen[name]?.reloadSeconds ?? Self.leastSeconds, Trace.Limit.reloadSeconds))
    }
    let events = kept.enumerated().flatMap { index, name in
      (seen[name]?.uses ?? []).map { Trace.Event(time: min(max($0, 0), duration), unit: index) }
    }.sorted { ($0.time, $0.unit) < ($1.time, $1.unit) }
    return Trace(
      header: Trace.Header(source: source, recorder: recorder, machine: machine, duration: duration), units: units, events: events
    )
  }
}
