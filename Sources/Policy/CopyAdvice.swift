import Model

/// Memory that several processes of one program hold the same content in.
enum CopyAdvice {
  /// 16 MiB of one other process: interpreters and libraries that have just started have some MiB in common.
  static let least = Bytes.mebibytes(16)
  /// 64 pages of a sample: fewer may be chance.
  static let leastPages: UInt64 = 64
  /// Of a normal distribution, for 95 %.
  private static let deviations = 1.96

  /// One for each set of processes that have something in common.
  static func copies(_ reading: ComparisonReading) -> [MemoryCopies] {
    let page = Double(reading.pageSize.count)
    var groupOf = Array(reading.processes.indices)
    var found: [Int: Estimate] = [:]
    for (index, process) in reading.processes.enumerated() where process.sampled > 0 {
      let earlier = process.equal.filter { $0.key < index && $0.value >= leastPages }
      let equal = earlier.values.reduce(0.0) { $0 + Double($1) }
      let estimate = Estimate(pages: Double(process.pages), sampled: Double(process.sampled), equal: equal)
      guard estimate.duplicate * page >= Double(least.count) else { continue }
      found[index] = estimate
      // Whatever group those belong to is one from here on.
      for owner in earlier.keys {
        let (old, new) = (groupOf[owner], groupOf[index])
        groupOf = groupOf.map { $0 == old ? new : $0 }
      }
    }
    return Dictionary(grouping: reading.processes.indices, by: { groupOf[$0] }).values.compactMap { members in
      let sum = members.compactMap { found[$0] }.reduce(Estimate(pages: 0, sampled: 0, equal: 0)) { $0 + $1 }
      guard members.count > 1 else { return nil }
      let margin = deviations * sum.variance.squareRoot()
      func bytes(_ pages: Double) -> Bytes { Bytes(UInt64(min(max(pages * page, 0), 1e18))) }
      return MemoryCopies(
        program: reading.program, processes: members.map { reading.processes[$0].identity }, duplicate: bytes(sum.duplicate),
        low: bytes(sum.duplicate - margin), high: bytes(min(sum.duplicate + margin, sum.covered)), covered: bytes(sum.covered),
        sampled: bytes(sum.sampled))
    }
  }

  /// What a sample says of the whole.
  private struct Estimate {
    var duplicate: Double
    var variance: Double
    var covered: Double
    var sampled: Double

    init(pages: Double, sampled: Double, equal: Double) {
      let share = sampled > 0 ? min(1, equal / sampled) : 0
      duplicate = pages * share
      // Nothing is left to chance where every page was looked at.
      let rest = max(0, 1 - sampled / max(pages, 1))
      variance = sampled > 0 ? pages * pages * share * (1 - share) / sampled * rest : 0
      covered = pages
      self.sampled = sampled
    }

    static func + (left: Estimate, right: Estimate) -> Estimate {
      var sum = left
      sum.duplicate += right.duplicate
      sum.variance += right.variance
      sum.covered += right.covered
      sum.sampled += right.sampled
      return sum
    }
  }

  /// 1 MiB: smaller mappings are not worth a look.
  static let smallestRange: UInt64 = 1 << 20

  /// Processes of one program and user with large anonymous mappings, those with most of it first; only where there are two.
  static func candidates(_ processes: [CopyCandidate]) -> [ComparedProgram] {
    var groups: [Program: [ComparedProcess]] = [:]
    for process in processes {
      var ranges: [Range<UInt64>] = []
      var resident = Bytes.zero
      for mapping in process.mappings {
        guard case .anonymous = mapping.backing, mapping.permissions.isSuperset(of: [.read, .write]),
          !mapping.permissions.contains(.shared), mapping.usage.anonymous.count >= smallestRange, mapping.end > mapping.start
        else { continue }
        ranges.append(mapping.start..<mapping.end)
        resident += mapping.usage.anonymous
      }
      guard resident >= least else { continue }
      groups[Program(path: process.program, user: process.user), default: []].append(
        ComparedProcess(identity: process.identity, ranges: ranges, resident: resident))
    }
    return groups.filter { $0.value.count > 1 }.map { program, members in
      ComparedProgram(
        program: printable(program.path),
        processes: members.sorted { ($1.resident, $0.identity.pid) < ($0.resident, $1.identity.pid) })
    }.sorted { ($1.resident, $0.program) < ($0.resident, $1.program) }
  }

  private struct Program: Hashable {
    var path: [UInt8]
    var user: UInt32
  }
}

extension ComparedProgram {
  fileprivate var resident: Bytes { processes.reduce(.zero) { $0 + $1.resident } }
}

/// A process whose memory may be held by another one, too.
public struct CopyCandidate: Hashable, Sendable {
  public var identity: ProcessIdentity
  public var program: [UInt8]
  public var user: UInt32
  public var mappings: [Mapping]

  public init(identity: ProcessIdentity, program: [UInt8], user: UInt32, mappings: [Mapping]) {
    self.identity = identity
    self.program = program
    self.user = user
    self.mappings = mappings
  }

  /// What is worth comparing of these.
  public static func programs(_ candidates: [CopyCandidate]) -> [ComparedProgram] { CopyAdvice.candidates(candidates) }
}
