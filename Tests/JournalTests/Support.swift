import Glibc
import Journal
import Model
import TestKit
import Testing

let now = 1_700_000_000.0

func figures(_ bytes: UInt64? = 1 << 20) -> JudgementFigures {
  JudgementFigures(
    idleSeconds: 1200, timeoutSeconds: 900, strategy: "balanced", bytes: bytes.map { Bytes($0) }, reloadSeconds: 0.5,
    reuseProbability: 0.25, regret: 1.5, score: 12.5, unitClass: .optional)
}

func decision(
  _ name: String, at time: Double = now, cycle: UInt64 = 1, pid: Int32? = 4711, verdict: DecisionRecord.Verdict = .unload
) -> DecisionRecord {
  DecisionRecord(
    time: time, cycle: cycle,
    unit: ReclaimUnit(.package, name, in: pid.map { ProcessIdentity(pid: $0, startTicks: 99) }), verdict: verdict,
    reason: verdict == .unload ? "usage-pattern" : "busy", text: "why", rule: nil,
    predicted: verdict == .unload ? Bytes(1 << 20) : nil, figures: figures(),
    memory: MemoryPressure(used: Bytes(90), limit: Bytes(100), source: "/sys/fs/cgroup/a", stall: 0.25, wanted: Bytes(7)),
    requester: Requester("schedule"))
}

func outcome(
  _ name: String = "torch", _ result: UnloadOutcome.Result = .freed(Bytes(100)), of decision: Int64? = nil,
  because reason: UnloadReason = .usagePattern("balanced"), at time: Double = now
) -> OutcomeRecord {
  OutcomeRecord(
    UnloadOutcome(unit: ReclaimUnit(.package, name), result: result, seconds: 0.5), of: decision, because: reason, time: time)
}

/// A journal in a directory of its own, which goes with it.
struct Scratch {
  let tree = TemporaryTree()
  var path: String { "\(tree.path)/history.db" }

  func open(_ limits: JournalLimits = JournalLimits(), at time: Double = now) throws(JournalError) -> Journal {
    try Journal.open(path: path, limits: limits, at: time)
  }

  /// What opening is refused with; nil when it is not.
  func refusal(at time: Double = now) -> JournalError.Code? {
    do throws(JournalError) {
      _ = try open(at: time)
      return nil
    } catch {
      return error.code
    }
  }

  func bytes(_ suffix: String = "") -> [UInt8] { Self.contents(path + suffix) }

  static func contents(_ path: String) -> [UInt8] {
    let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(file, &buffer, buffer.count)
      if count <= 0 { return result }
      result += buffer[..<count]
    }
  }

  var names: [String] {
    guard let stream = opendir(tree.path) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}

/// The program beside the tests that writes journals.
let writer: String = {
  guard let resolved = realpath("/proc/self/exe", nil) else { return "JournalWriter" }
  defer { free(resolved) }
  let path = String(cString: resolved)
  return path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/JournalWriter"
}()

extension ChildProcess {
  /// All it writes before it ends.
  func output() -> String {
    var text = ""
    while true {
      let part = read()
      if part.isEmpty { return text }
      text += part
    }
  }
}
