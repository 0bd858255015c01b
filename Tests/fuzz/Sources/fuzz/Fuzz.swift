import Glibc
import Model

@testable import Config
@testable import Frames
@testable import LinuxPlatform
@testable import Supervised
@testable import Views

import CFuzz

/// libFuzzer's entry. FUZZ_TARGET names the reader; an unknown name ends with the list of names.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let input = UnsafeBufferPointer(start: data, count: count)
  chosen(Array(input))
  return 0
}

private let chosen: @Sendable ([UInt8]) -> Void = {
  let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let target = targets[name] else {
    print("FUZZ_TARGET must be one of: \(targets.keys.sorted().joined(separator: " "))")
    fflush(nil)
    // Not exit: libFuzzer takes that for a finding, ends before what was printed is written, and leaves a file.
    _exit(2)
  }
  return target
}()

/// Each reads its input to the end and uses what it gets: a trap, a broken promise or an endless loop is the finding, an error is
/// not. docs/fuzzing.md says what each stands for.
private let targets: [String: @Sendable ([UInt8]) -> Void] = [
  "segment": { SegmentStage.shared.read($0) },
  "frame": { input in
    input.withUnsafeBytes { _ = try? AgentFrame($0) }
  },
  "heap": { HeapStage.shared.read($0) },
  "unwind": { UnwindStage.read($0) },
  "symbols": { SymbolsStage.read($0) },
  "function-name": { checkPrintable(FunctionName.readable($0)) },
  "process": { ProcessStage.shared.read($0) },
  "packages": { PackageStage.shared.read($0) },
  "elf": { input in
    withMemoryFile(input) { descriptor in
      var limits = ElfReader.Limits()
      limits.bytesRead = 4 << 20
      limits.symbols = 1 << 16
      _ = try? ElfReader(limits: limits).facts(descriptor: descriptor)
    }
  },
  "stat": { input in
    if let line = try? StatLine(input) { consume(shown(line.name).utf8.count) }
  },
  "statm": { _ = try? StatmLine($0) },
  "status": { _ = try? StatusFile($0) },
  "processors": { input in
    _ = try? SchedstatLine(input)
    for processor in (ProcessorList.parse(input) ?? []).union(ProcessorList.allowed(inStatus: input)) {
      precondition((0..<ProcessorList.limit).contains(processor))
    }
  },
  "smaps": { input in
    for entry in (try? Smaps.entries(input)) ?? [] { consume(Int(truncatingIfNeeded: entry.usage.resident.count)) }
  },
  "mapping-name": { input in
    if case .path(let path, _) = MappingName(input[...]) { consume(shown(path).utf8.count) }
  },
  "yaml": { input in
    let reading = ConfigurationFile.read(input, path: "/etc/mlos/mlos.yaml")
    for error in reading.errors { consume("\(error)".utf8.count) }
    // A rule that was read is written so that it reads back; few of them, for written out they take more values.
    let rules = reading.rules.prefix(100).map(\.rule)
    let again = try? RuleFile.read(Array(RuleFile.text(rules).utf8), path: "again")
    precondition(again == rules, "a rule changed on its way")
    _ = try? RuntimeChangesFile.decode(input, path: "/var/lib/mlos/settings.json")
    _ = try? RuntimeRulesFile.decode(input, path: "/var/lib/mlos/rules.json")
  },
  "json": { AnswerStage.read($0) },
  "printable": { consume(shown($0).utf8.count) },
  "keys": { input in
    // However a terminal cuts the bytes into pieces, the keys are the same; what is longer than any sequence is dropped as it came.
    var (whole, pieces) = (KeyParser(), KeyParser())
    let keys = whole.feed(input)
    let same = input.flatMap { pieces.feed([$0]) } == keys && whole.flush() == pieces.flush()
    precondition(same || input.count > 32)
  },
]

private nonisolated(unsafe) var sink = 0
/// Keeps the optimiser from leaving out what nobody looks at.
func consume(_ number: Int) { sink &+= number }

/// Text from outside for a terminal: as `printable` promises.
func shown(_ bytes: [UInt8]) -> String {
  let text = printable(bytes)
  checkPrintable(text)
  return text
}

func checkPrintable(_ text: String) {
  for scalar in text.unicodeScalars {
    precondition(
      !(scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x202A...0x202E).contains(scalar.value)),
      "a control character")
  }
}

func withMemoryFile(_ bytes: [UInt8], _ body: (Int32) -> Void) {
  let descriptor = MemoryFile.shared
  ftruncate(descriptor, 0)
  _ = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
  body(descriptor)
}

private enum MemoryFile {
  static let shared = fuzz_memory_file()
}
