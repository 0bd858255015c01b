import Wire

/// `mlos heap`.
struct HeapView {
  var answer: HeapAnswer
  var by = HeapMeasure.live
  var package: String?
  var limit = 10

  func lines(_ terminal: Terminal) -> [String] {
    var lines = packages.lines(terminal)
    lines += summary.map { Emphasis.faint.applied(to: $0, terminal) }
    for stack in shownStacks { lines += [""] + chain(stack, terminal) }
    return lines
  }

  private var packages: Table {
    Table(
      columns: [
        .text("PACKAGE", minimum: 10), .text("KIND", drop: 5), .number("LIVE"), .text("±"), .number("OBJECTS", drop: 3),
        .number("ALLOCATED"), .text("±", drop: 1), .number("SAMPLES", drop: 4), .number("PASSES THROUGH", drop: 2),
      ],
      rows: answer.packages.sorted { measure($0.own) > measure($1.own) }.filter { $0.own.allocated.samples > 0 }.map { row in
        [
          Table.Cell(row.name), Table.Cell(row.kind.rawValue), Table.Cell(Phrases.bytes(row.own.live.bytes)),
          Table.Cell(Self.error(row.own.live)), "\(row.own.live.objects)", Table.Cell(Phrases.bytes(row.own.allocated.bytes)),
          Table.Cell(Self.error(row.own.allocated)), "\(row.own.allocated.samples)",
          Table.Cell(Phrases.bytes(by == .live ? row.through.live.bytes : row.through.allocated.bytes)),
        ]
      })
  }

  private func measure(_ figures: HeapFigures) -> UInt64 { by == .live ? figures.live.bytes : figures.allocated.bytes }

  /// Half of the 95 % interval in percent of the estimate. An interval that begins at almost nothing is given by its end.
  static func error(_ estimate: HeapEstimate) -> String {
    guard let low = estimate.lowBytes.value, let high = estimate.highBytes.value, estimate.bytes > 0, high >= low else {
      return ""
    }
    if estimate.samples < 5, high > low { return "<\(Phrases.bytes(high))" }
    let percent = Double(high - low) / 2 / Double(estimate.bytes) * 100
    return "±\(Phrases.decimal(percent, places: percent < 1 ? 1 : 0)) %"
  }

  static func phrase(_ estimate: HeapEstimate) -> String {
    let error = error(estimate)
    let amount = Phrases.bytes(estimate.bytes)
    return error.isEmpty ? amount : error.hasPrefix("<") ? "\(amount) (\(error))" : "\(amount) \(error)"
  }

  var summary: [String] {
    let sampling = answer.sampling
    var lines = [
      "\(answer.name) (\(answer.pid)), \(Phrases.decimal(answer.seconds, places: 1)) s: live \(Self.phrase(answer.total.live)) of "
        + "\(Self.phrase(answer.total.allocated)) allocated"
    ]
    if let allocated = answer.exact.allocatedBytes.value, let live = answer.exact.liveHeapBytes.value {
      lines.append(
        "counted exactly: \(Phrases.bytes(allocated)) allocated meanwhile; live heap, older blocks too: \(Phrases.bytes(live))")
    }
    var means = "one every \(Phrases.bytes(sampling.meanBytes)) on average"
    if sampling.largestMeanBytes > sampling.meanBytes { means += ", at times every \(Phrases.bytes(sampling.largestMeanBytes))" }
    lines.append("\(sampling.samples) samples, \(means)")
    let losses = [
      (sampling.throttled, "above the highest rate"), (sampling.stacksLost, "without a stack"),
      (sampling.liveLost, "not followed to their free"), (sampling.refused, "made no sense"),
    ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
    if !losses.isEmpty { lines.append("of these lost: " + losses.joined(separator: ", ")) }
    if answer.stacksLeftOut > 0 { lines.append("\(answer.stacksLeftOut) smaller chains of calls are not in the answer") }
    return lines
  }

  private var shownStacks: [HeapStackRow] {
    let sorted = answer.stacks.sorted { left, right in
      by == .live ? left.live.bytes > right.live.bytes : left.allocated.bytes > right.allocated.bytes
    }
    return Array(sorted.prefix(limit).filter { (by == .live ? $0.live.bytes : $0.allocated.bytes) > 0 })
  }

  private func chain(_ stack: HeapStackRow, _ terminal: Terminal) -> [String] {
    let owner = answer.packages[stack.package].name
    let heading = "live \(Self.phrase(stack.live)), allocated \(Self.phrase(stack.allocated))  \(owner)"
    var lines = [Emphasis.heading.applied(to: heading, terminal)]
    // Enough to recognise a chain; the rest is in the graph and in --json.
    let most = 12
    for index in stack.frames.prefix(most) {
      let frame = answer.frames[index]
      let package = answer.packages[frame.package].name
      let text = "  \(HeapFrameName.text(frame))  (\(package))"
      lines.append(terminal.columns.map { DisplayWidth.cut(text, to: $0, keepingEnd: false) } ?? text)
    }
    if stack.frames.count > most { lines.append("  ... \(stack.frames.count - most) more") }
    if !stack.isComplete { lines.append("  (callers beyond this are not known)") }
    return lines
  }
}
