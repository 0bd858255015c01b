/// The name among `candidates` that was probably meant, nil when none is near. Case, dots, dashes and underscores do not
/// count; ties go to the first in alphabetical order.
public func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
  let wanted = folded(name)
  // Longer input is no slip of the finger, and the distance is quadratic.
  guard !wanted.isEmpty, wanted.count <= 64 else { return nil }
  var best: (distance: Int, name: String)?
  for candidate in candidates.sorted() {
    let letters = folded(candidate)
    let distance = editDistance(wanted, letters)
    let isPart = min(wanted.count, letters.count) >= 3 && (letters.starts(with: wanted) || wanted.starts(with: letters))
    guard isPart || distance <= max(1, max(wanted.count, letters.count) / 3) else { continue }
    if best.map({ distance < $0.distance }) ?? true { best = (distance, candidate) }
  }
  return best?.name
}

private func folded(_ name: String) -> [Character] { name.lowercased().filter { !".-_".contains($0) } }

/// Insertions, deletions, replacements and swaps of neighbours (Damerau-Levenshtein, optimal string alignment).
public func editDistance(_ left: [Character], _ right: [Character]) -> Int {
  guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
  var beforeLast: [Int] = []
  var last = Array(0...right.count)
  for row in 1...left.count {
    var current = [row]
    for column in 1...right.count {
      var distance = min(
        last[column] + 1, current[column - 1] + 1, last[column - 1] + (left[row - 1] == right[column - 1] ? 0 : 1))
      if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
        distance = min(distance, beforeLast[column - 2] + 1)
      }
      current.append(distance)
    }
    (beforeLast, last) = (last, current)
  }
  return last[right.count]
}
