import ArgumentParser
import Model
import Wire

/// `--sort` of `ps`.
enum ProcessOrder: String, CaseIterable, ExpressibleByArgument { case resident, `private`, heap, cpu, pid }

/// `--sort` of `modules` and `packages`.
enum MemoryOrder: String, CaseIterable, ExpressibleByArgument { case resident, `private`, proportional, used, name }

/// Which rows are shown, and in which order. Figures go from large to small, names and numbers of processes upwards; equal
/// ones by `tie`; rows whose figure is not known come last either way.
struct Ordering {
  var isReversed = false
  var limit: Int?

  func apply<Row, Key: Comparable, Tie: Comparable>(
    _ rows: [Row], descending: Bool, by key: (Row) -> Key?, tie: (Row) -> Tie
  ) -> [Row] {
    let downwards = descending != isReversed
    let sorted = rows.sorted { left, right in
      switch (key(left), key(right)) {
      case (let first?, let second?) where first != second: downwards ? first > second : first < second
      case (_?, nil): true
      case (nil, _?): false
      case (_?, _?), (nil, nil): tie(left) < tie(right)
      }
    }
    return limit.map { Array(sorted.prefix($0)) } ?? sorted
  }

  func apply(_ rows: [ProcessRow], by order: ProcessOrder) -> [ProcessRow] {
    switch order {
    case .resident: apply(rows, descending: true, by: { $0.residentBytes }, tie: \.pid)
    case .private: apply(rows, descending: true, by: { $0.privateBytes.value }, tie: \.pid)
    case .heap: apply(rows, descending: true, by: { $0.liveHeapBytes.value }, tie: \.pid)
    case .cpu: apply(rows, descending: true, by: { $0.processorSeconds }, tie: \.pid)
    case .pid: apply(rows, descending: false, by: { $0.pid }, tie: \.pid)
    }
  }

  func apply<Row>(
    _ rows: [Row], by order: MemoryOrder, memory: (Row) -> MemoryRow, used: (Row) -> Double?, name: (Row) -> String
  ) -> [Row] {
    switch order {
    case .resident: apply(rows, descending: true, by: { memory($0).residentBytes }, tie: name)
    case .private: apply(rows, descending: true, by: { memory($0).privateBytes }, tie: name)
    case .proportional: apply(rows, descending: true, by: { memory($0).proportionalBytes }, tie: name)
    case .used: apply(rows, descending: true, by: used, tie: name)
    case .name: apply(rows, descending: false, by: name, tie: name)
    }
  }
}

/// Sum that stays at the largest number instead of stopping the program.
func sum(_ counts: some Sequence<UInt64>) -> UInt64 { counts.reduce(Bytes.zero) { $0 + Bytes($1) }.count }
