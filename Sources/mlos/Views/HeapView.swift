import Wire

/// `mlos heap`.
struct HeapView {
  var answer: HeapAnswer
  var by = HeapMeasure.live
  var package: String?
  var limit = 10

  func lines(_ terminal: Terminal) -> [String] {
    var lines = packages(terminal).lines(terminal)
    lines += summary.flatMap { terminal.footnote($0) }
    for stack in shownStacks { lines += [""] + chain(stack, terminal) }
    return lines
  }

  private func packages(_ terminal: Terminal) -> Table {
    Table(
      columns: [
        .text("PACKAGE", minimum: Table.least(10, beside: 12, terminal)), .text("KIND", drop: 8),
        .number("LIVE", drop: 1).sorted(by == .live), .text("±", drop: by == .live ? 3 : 4), .number("OBJECTS", drop: 6),
        .number("ALLOCATED", drop: 2).sorted(by == .allocated), .text("±", drop: by == .live ? 4 : 3),
        .number("SAMPLES", drop: 7), .number("PASSES THROUGH", drop: 5),
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

  /// Why there is nothing to show; nil when there is.
  var emptiness: String? {
    guard answer.sampling.samples == 0, answer.stacks.isEmpty else { return nil }
    let process = "process \(answer.pid) (\(answer.name))"
    guard answer.seconds > 0 else {
      return "nothing was measured in \(process)" + (answer.reason.value.map { ": \($0)" } ?? "")
    }
    let time = "\(Phrases.decimal(answer.seconds, places: 1)) s"
    return switch answer.exact.allocatedBytes.value {
    case 0?: "\(process) allocated nothing within \(time)"
    case let bytes?:
      "nothing was sampled in \(process) within \(time): it allocated \(Phrases.bytes(bytes)), and one allocation every "
        + "\(Phrases.bytes(answer.sampling.meanBytes)) is sampled on average"
    case nil: "nothing was sampled in \(process) within \(time)"
    }
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

  /// Why there is no chain of calls, or no box in the graph, though there are samples.
  var nothingLive: String? {
    guard by == .live, answer.total.live.bytes == 0, answer.total.allocated.bytes > 0 else { return nil }
    return "nothing of it is live any more: --by allocated shows who allocated it"
  }

  var summary: [String] {
    let sampling = answer.sampling
    var lines = [
      "\(answer.name) (\(answer.pid)), \(Phrases.decimal(answer.seconds, places: 1)) s: live \(Self.phrase(answer.total.live)) of "
        + "\(Self.phrase(answer.total.allocated)) allocated"
    ]
    if let nothingLive { lines.append(nothingLive) }
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
    var lines = terminal.footnote(heading, .heading)
    // Enough to recognise a chain; the rest is in the graph and in --json.
    let most = 12
    for index in stack.frames.prefix(most) {
      let frame = answer.frames[index]
      let package = answer.packages[frame.package].name
      lines.append(terminal.line([("  \(HeapFrameName.text(frame))  (\(package))", .plain)]))
    }
    if stack.frames.count > most { lines.append(terminal.line([("  ... \(stack.frames.count - most) more", .plain)])) }
    if !stack.isComplete { lines.append(terminal.line([("  (callers beyond this are not known)", .plain)])) }
    return lines
  }
}
