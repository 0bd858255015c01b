import ArgumentParser
import Client
import Config
import Glibc
import Model
import Wire

/// A time, as how long ago it is.
struct AgoArgument: ExpressibleByArgument {
  var seconds: Double

  init?(argument: String) {
    guard let duration = Duration(settingText: argument), duration >= .zero else { return nil }
    let (whole, fraction) = duration.components
    seconds = Double(whole) + Double(fraction) / 1e18
  }
}

/// A stretch of the past.
struct SpanOptions: ParsableArguments {
  @Option(help: ArgumentHelp("From so long ago on: 90s, 30m, 1h, 7d.", valueName: "duration")) var since: AgoArgument?
  @Option(help: ArgumentHelp("Until so long ago; now when not given.", valueName: "duration")) var until: AgoArgument?

  func validate() throws {
    if let since, let until, since.seconds <= until.seconds { throw ValidationError("--since must lie before --until") }
  }

  var span: ControlClient.Span {
    var wall = timespec()
    clock_gettime(CLOCK_REALTIME, &wall)
    let now = Double(wall.tv_sec) + Double(wall.tv_nsec) / 1e9
    return ControlClient.Span(from: since.map { max(0, now - $0.seconds) }, to: until.map { max(0, now - $0.seconds) })
  }
}

struct HistoryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "history", abstract: "Show what was decided, what came of it, and which settings were changed.",
    discussion: """
      Newest last; decisions of one package when a NAME is given. Examples:
        mlos history numpy --since 1d
        mlos history --metric memory.used --since 6h --step 10m
      """)

  static let aggregations = ["avg", "min", "max", "sum", "count", "last"]

  @Argument(help: "Name of a package.") var name: String?
  @OptionGroup var when: SpanOptions
  @Option(help: ArgumentHelp("Show the last N only.", valueName: "n")) var limit = 50
  @Option(help: ArgumentHelp("Show the course of a figure instead; a wrong name lists those there are.", valueName: "name"))
  var metric: String?
  @Option(help: ArgumentHelp("Of such a course: time that one line stands for, 10s at least.", valueName: "duration"))
  var step: AgoArgument?
  @Option(
    help: ArgumentHelp("Of such a course: \(aggregations.joined(separator: ", ")).", valueName: "name"),
    completion: .list(aggregations))
  var aggregation: String?
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try OrderingOptions.check(limit)
    guard limit <= 10_000 else { throw ValidationError("--limit must be at most 10000, not \(limit)") }
    if metric == nil, step != nil || aggregation != nil { throw ValidationError("--step and --aggregation need --metric") }
    if metric != nil, name != nil { throw ValidationError("a NAME and --metric exclude each other") }
    if let step, step.seconds < 10 { throw ValidationError("--step must be at least 10s") }
    if let aggregation, !Self.aggregations.contains(aggregation) {
      throw ValidationError("unknown aggregation '\(aggregation)'; there are \(Self.aggregations.joined(separator: ", "))")
    }
    if name == "" { throw ValidationError("the name is empty") }
  }

  func run() async throws {
    let client = try connection.client()
    let span = when.span
    if let asked = name ?? metric { try AskedName.check(asked) }
    if let metric {
      do {
        try await output.show({ () async throws(ClientError) in
          try await client.history(of: metric, in: span, step: step?.seconds, aggregation: aggregation)
        }) { MetricView(answer: $0).lines(output.terminal) }
      } catch let failure as Failure where failure.status == .notFound {
        let names = (try? await client.metrics())?.body.metrics ?? []
        throw Failure(
          status: failure.status, message: failure.message,
          advice: names.isEmpty ? nil : "measured are: \(names.joined(separator: ", "))")
      }
      return
    }
    Output.prepare()
    do throws(ClientError) {
      let decisions = try await client.decisions(of: name, in: span, limit: limit)
      let all = try await client.changes(in: span, limit: limit)
      let changes = name.map { name in all.filter { $0.key.hasPrefix("unloading.packages.\(UnitName.inPath(name)).") } } ?? all
      let notices = name == nil ? try await client.notices(in: span, limit: limit) : []
      let unwritten = try await client.status().body.journal.value.flatMap(\.unwritten)
      let view = HistoryView(decisions: decisions, changes: changes, notices: notices, limit: limit, unwritten: unwritten)
      if let unwritten { Output.complain(unwritten) }
      if output.json {
        let compact: [UInt8]
        do { compact = Array(try Coding.encoder().encode(view.listing)) } catch { throw .protocolError("\(error)") }
        Output.print([JSONText.indented(compact)])
      } else {
        Output.print(view.lines(output.terminal, clock: EventLine.localTime))
      }
    } catch {
      throw Failure(error)
    }
  }
}

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Print what the journal remembers, for other programs.",
    discussion: """
      json is one object a line, csv has a header; both newest first. prometheus prints the totals of all unloads.
      Example:
        mlos export --format csv --what outcomes --since 30d > outcomes.csv
      """)

  static let formats = ["json", "csv", "prometheus"]
  static let kinds = ["decisions", "outcomes", "changes", "metrics"]

  @Option(
    help: ArgumentHelp("\(formats.joined(separator: ", ")).", valueName: "format"), completion: .list(formats))
  var format: String?
  @Flag(help: "Short for --format json.") var json = false
  @Option(
    help: ArgumentHelp("\(kinds.joined(separator: ", ")); metrics are those of the last day.", valueName: "what"),
    completion: .list(kinds))
  var what = "decisions"
  @OptionGroup var when: SpanOptions
  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    guard let format = chosenFormat else {
      throw ValidationError("give --format \(Self.formats.joined(separator: ", ")), or --json")
    }
    if json, format != "json" { throw ValidationError("--json and --format \(format) exclude each other") }
    guard Self.formats.contains(format) else {
      throw ValidationError("unknown format '\(format)'; there are \(Self.formats.joined(separator: ", "))")
    }
    guard Self.kinds.contains(what) else {
      throw ValidationError("there is no '\(what)' to export; there are \(Self.kinds.joined(separator: ", "))")
    }
  }

  private var chosenFormat: String? { format ?? (json ? "json" : nil) }

  func run() async throws {
    Output.prepare()
    let client = try connection.client()
    let span = when.span
    guard let format = chosenFormat else { return }
    do throws(ClientError) {
      var cursor: String?
      repeat {
        let answer = try await client.export(what, as: format, in: span, cursor: cursor).body
        Output.write(answer.text)
        // What comes meanwhile is newer than what is asked for next: this ends.
        cursor = answer.next.value
      } while cursor != nil
    } catch {
      throw Failure(error)
    }
  }
}
