import ArgumentParser

/// `--sort` of `top`, and what its keys choose.
enum TopOrder: String, CaseIterable, ExpressibleByArgument {
  case resident, `private`, proportional, heap, growth, allocations, cpu, used, name, pid

  /// Those that a list of packages has.
  static let ofPackages: [TopOrder] = [.resident, .private, .proportional, .used, .name]

  /// The key that chooses it.
  var key: Character {
    switch self {
    case .resident: "R"
    case .private: "P"
    case .proportional: "O"
    case .heap: "H"
    case .growth: "G"
    case .allocations: "A"
    case .cpu: "C"
    case .used: "U"
    case .name: "N"
    case .pid: "I"
    }
  }

  /// As the help has it.
  var meaning: String {
    switch self {
    case .resident: "resident memory"
    case .private: "private memory"
    case .proportional: "proportional memory"
    case .heap: "live heap"
    case .growth: "growth of the live heap"
    case .allocations: "allocations a second"
    case .cpu: "processor use"
    case .used: "last active, last used"
    case .name: "name"
    case .pid: "process ID"
    }
  }
}
