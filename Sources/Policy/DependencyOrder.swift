import Model

/// Which loaded units must go before which, and which only together.
struct DependencyOrder {
  /// For each unit (by index) the loaded units that need it directly.
  private(set) var dependents: [[Int]]
  /// For each unit the number of its group: units that need each other in a circle share one.
  private(set) var group: [Int]
  private(set) var members: [[Int]]

  /// - Parameter units: In the order of `ReclaimUnit`, so that the result does not depend on the order of a dictionary.
  init(_ units: [UnitObservation]) {
    dependents = Array(repeating: [], count: units.count)
    group = Array(0..<units.count)
    members = []
    guard units.contains(where: { !$0.needs.isEmpty }) else {
      members = group.map { [$0] }
      return
    }
    var index: [ReclaimUnit: Int] = [:]
    for (number, unit) in units.enumerated() where unit.isLoaded { index[unit.unit] = number }
    for (number, unit) in units.enumerated() where unit.isLoaded {
      for need in Set(unit.needs).sorted() {
        if let other = index[need], other != number { dependents[other].append(number) }
      }
    }
    findGroups()
  }

  /// Tarjan's strongly connected components, without recursion: chains of dependencies may be long.
  private mutating func findGroups() {
    let count = dependents.count
    var order = Array(repeating: -1, count: count)
    var low = Array(repeating: 0, count: count)
    var isOnStack = Array(repeating: false, count: count)
    var stack: [Int] = []
    var next = 0
    for root in 0..<count where order[root] < 0 {
      var path: [(node: Int, edge: Int)] = [(root, 0)]
      while let (node, edge) = path.last {
        if edge == 0 {
          order[node] = next
          low[node] = next
          next += 1
          stack.append(node)
          isOnStack[node] = true
        }
        if edge < dependents[node].count {
          path[path.count - 1].edge += 1
          let other = dependents[node][edge]
          if order[other] < 0 {
            path.append((other, 0))
          } else if isOnStack[other] {
            low[node] = min(low[node], order[other])
          }
          continue
        }
        path.removeLast()
        if let parent = path.last { low[parent.node] = min(low[parent.node], low[node]) }
        guard low[node] == order[node] else { continue }
        var found: [Int] = []
        while let top = stack.popLast() {
          isOnStack[top] = false
          found.append(top)
          if top == node { break }
        }
        for member in found { group[member] = members.count }
        members.append(found.sorted())
      }
    }
  }

  /// Units outside its group that need a member of it.
  func dependents(ofGroup number: Int) -> [Int] {
    if members[number].count == 1 { return dependents[members[number][0]] }
    return Set(members[number].flatMap { dependents[$0] }).filter { group[$0] != number }.sorted()
  }
}
