import Wire

/// A flame graph as one SVG file that needs nothing else: callers below, what they call above, widths by bytes. Every box has a
/// title that browsers show when the mouse is over it.
struct FlameGraph {
  var answer: HeapAnswer
  var by = HeapMeasure.live
  var package: String?

  static let width = 1200.0
  static let rowHeight = 18.0
  static let margin = 12.0
  static let characterWidth = 6.6
  /// Narrower boxes say nothing to an eye.
  static let narrowest = 0.3
  /// Boxes drawn at most; the smallest go first.
  static let boxLimit = 20_000

  private final class Node {
    var bytes = 0.0
    var children: [Int: Node] = [:]
  }

  func svg() -> String {
    let root = tree()
    var boxes: [(depth: Int, x: Double, width: Double, frame: Int, bytes: Double)] = []
    var deepest = 0
    let scale = root.bytes > 0 ? (Self.width - 2 * Self.margin) / root.bytes : 0
    var waiting = [(node: root, depth: 0, x: Self.margin, frame: -1)]
    while let (node, depth, x, frame) = waiting.popLast() {
      let width = node.bytes * scale
      guard width >= Self.narrowest, boxes.count < Self.boxLimit else { continue }
      boxes.append((depth, x, width, frame, node.bytes))
      deepest = max(deepest, depth)
      var next = x
      // The same order in every graph: by name.
      for (index, child) in node.children.sorted(by: { (name($0.key), $0.key) < (name($1.key), $1.key) }) {
        waiting.append((child, depth + 1, next, index))
        next += child.bytes * scale
      }
    }
    let top = 58.0
    let height = top + Double(deepest + 1) * Self.rowHeight + legendHeight + Self.margin
    var text = header(height)
    for box in boxes {
      let y = top + Double(deepest - box.depth) * Self.rowHeight
      text += self.box(box.frame, box.x, y, box.width, box.bytes, root.bytes)
    }
    return text + legend(top + Double(deepest + 1) * Self.rowHeight + 20) + "</svg>\n"
  }

  private func tree() -> Node {
    let root = Node()
    for stack in answer.stacks {
      let bytes = Double(by == .live ? stack.live.bytes : stack.allocated.bytes)
      guard bytes > 0 else { continue }
      root.bytes += bytes
      var node = root
      // -2 stands for callers that are not known.
      for index in (stack.isComplete ? [] : [-2]) + stack.frames.reversed() {
        if let known = node.children[index] {
          node = known
        } else {
          let child = Node()
          node.children[index] = child
          node = child
        }
        node.bytes += bytes
      }
    }
    return root
  }

  private func name(_ frame: Int) -> String {
    switch frame {
    case -1: "all"
    case -2: "callers not known"
    default: HeapFrameName.text(answer.frames[frame])
    }
  }

  private func packageName(_ frame: Int) -> String? { frame < 0 ? nil : answer.packages[answer.frames[frame].package].name }

  /// A colour for each of the packages with most bytes, grey for the others.
  private static let palette = [
    "#f4a261", "#8ecae6", "#a7c957", "#e5989b", "#cdb4db", "#ffd166", "#90be6d", "#b5c9c3", "#d4a373", "#9fb8ad",
  ]
  private func colour(_ frame: Int) -> String {
    guard frame >= 0 else { return frame == -1 ? "#e9ecef" : "#f1f3f5" }
    let package = answer.frames[frame].package
    return package < Self.palette.count ? Self.palette[package] : "#ced4da"
  }

  private func box(_ frame: Int, _ x: Double, _ y: Double, _ width: Double, _ bytes: Double, _ total: Double) -> String {
    let name = name(frame)
    let share = Phrases.decimal(bytes / total * 100, places: 1)
    // Added up, figures that end at the largest number go beyond it.
    let amount = Phrases.bytes(UInt64(exactly: bytes.rounded()) ?? .max)
    let title = "\(name)\(packageName(frame).map { " (\($0))" } ?? ""): \(amount), \(share) %"
    var text = "<g><title>\(Self.escaped(title))</title>"
    text += "<rect x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" width=\"\(Self.number(max(width - 0.5, 0.3)))\" "
    text += "height=\"\(Self.number(Self.rowHeight - 1))\" rx=\"2\" fill=\"\(colour(frame))\"/>"
    let room = Int((width - 8) / Self.characterWidth)
    if room >= 3 {
      let shown = name.count <= room ? name : String(name.prefix(room - 2)) + ".."
      text += "<text x=\"\(Self.number(x + 4))\" y=\"\(Self.number(y + 12.5))\">\(Self.escaped(shown))</text>"
    }
    return text + "</g>\n"
  }

  private func header(_ height: Double) -> String {
    let figures = by == .live ? answer.total.live : answer.total.allocated
    let what = by == .live ? "live of what was allocated" : "allocated"
    let title = "Heap of \(answer.name) (\(answer.pid))" + (package.map { ", package \($0)" } ?? "")
    let below =
      "\(HeapView.phrase(figures)) \(what) in \(Phrases.decimal(answer.seconds, places: 1)) s, "
      + "\(Phrases.count(Int(clamping: figures.samples), "sample", "samples"))"
      + (answer.reason.value.map { "; partial: \($0)" } ?? "")
      + (HeapView(answer: answer, by: by).nothingLive.map { "; \($0)" } ?? "")
    return """
      <?xml version="1.0" encoding="UTF-8"?>
      <svg xmlns="http://www.w3.org/2000/svg" width="\(Self.number(Self.width))" height="\(Self.number(height))" \
      viewBox="0 0 \(Self.number(Self.width)) \(Self.number(height))" font-family="monospace" font-size="11" fill="#212529">
      <style>rect:hover { stroke: #212529; stroke-width: 1 }</style>
      <rect width="100%" height="100%" fill="#ffffff"/>
      <text x="\(Self.number(Self.margin))" y="24" font-size="16" font-family="sans-serif" font-weight="bold">\(Self.escaped(title))</text>
      <text x="\(Self.number(Self.margin))" y="43" font-size="12" font-family="sans-serif" fill="#495057">\(Self.escaped(below))</text>

      """
  }

  private var legendHeight: Double { 34 }

  private func legend(_ y: Double) -> String {
    var text = ""
    var x = Self.margin
    for (index, package) in answer.packages.prefix(Self.palette.count).enumerated() {
      let label = package.name.count <= 28 ? package.name : String(package.name.prefix(26)) + ".."
      let width = 22 + Double(label.count) * Self.characterWidth + 10
      guard x + width < Self.width - Self.margin else { break }
      text += "<rect x=\"\(Self.number(x))\" y=\"\(Self.number(y - 10))\" width=\"12\" height=\"12\" rx=\"2\" "
      text += "fill=\"\(Self.palette[index])\"/>"
      text += "<text x=\"\(Self.number(x + 17))\" y=\"\(Self.number(y))\">\(Self.escaped(label))</text>\n"
      x += width
    }
    return text
  }

  private static func number(_ value: Double) -> String { Phrases.decimal(value, places: 1) }

  /// For XML: names come from other people's files. Characters XML does not have are replaced.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case let other where other.value < 0x20 || (0xFFFE...0xFFFF).contains(other.value): result += "\u{FFFD}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
