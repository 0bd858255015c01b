import CFuzz
import FoundationEssentials
import Glibc
import Model

@testable import Config
@testable import Frames
@testable import LinuxPlatform
@testable import Wire

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
    exit(2)
  }
  return target
}()

/// Each reads its input to the end and uses what it gets: a trap, a leak or an endless loop is the finding, an error is not.
private let targets: [String: @Sendable ([UInt8]) -> Void] = [
  "segment": { SegmentStage.shared.read($0) },
  "frame": { input in
    input.withUnsafeBytes { _ = try? AgentFrame($0) }
  },
  "elf": { input in
    withMemoryFile(input) { descriptor in
      var limits = ElfReader.Limits()
      limits.bytesRead = 4 << 20
      limits.symbols = 1 << 16
      _ = try? ElfReader(limits: limits).facts(descriptor: descriptor)
    }
  },
  "stat": { input in
    if let line = try? StatLine(input) { consume(printable(line.name).utf8.count) }
  },
  "statm": { _ = try? StatmLine($0) },
  "status": { _ = try? StatusFile($0) },
  "smaps": { input in
    for entry in (try? Smaps.entries(input)) ?? [] { consume(Int(truncatingIfNeeded: entry.usage.resident.count)) }
  },
  "mapping-name": { input in
    if case .path(let path, _) = MappingName(input[...]) { consume(printable(path).utf8.count) }
  },
  "yaml": { input in
    let reading = ConfigurationFile.read(input, path: "/etc/mlos/mlos.yaml")
    for error in reading.errors { consume("\(error)".utf8.count) }
  },
  "json": { input in
    _ = try? Coding.decoder().decode(AdoptRequest.self, from: .init(input))
    if let answer = try? Coding.decoder().decode(EventsAnswer.self, from: .init(input)) {
      guard let again = try? StreamingEncoder.encode(answer),
        (try? Coding.decoder().decode(EventsAnswer.self, from: .init(again))) == answer
      else { fatalError("an answer is not what it was after writing and reading it") }
    }
  },
  "printable": { input in
    let text = printable(input)
    precondition(!text.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) })
  },
]

private nonisolated(unsafe) var sink = 0
private func consume(_ number: Int) { sink &+= number }

private func withMemoryFile(_ bytes: [UInt8], _ body: (Int32) -> Void) {
  let descriptor = MemoryFile.shared
  ftruncate(descriptor, 0)
  _ = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
  body(descriptor)
}

private enum MemoryFile {
  static let shared = fuzz_memory_file()
}

/// A valid segment of which the input rewrites pieces: each is three bytes of offset, one of length, and that many bytes.
/// Undone afterwards, so that every input starts from the same segment.
private final class SegmentStage: @unchecked Sendable {
  static let shared = SegmentStage()

  private let descriptor: Int32
  private let base: UnsafeMutableRawPointer
  private let size: Int

  private init() {
    var address: UnsafeMutableRawPointer?
    var length = 0
    descriptor = fuzz_segment(&address, &length)
    guard descriptor >= 0, let address else { fatalError("no segment, errno \(errno)") }
    base = address
    size = length
  }

  func read(_ input: [UInt8]) {
    var undo: [(Int, [UInt8])] = []
    var index = 0
    while index + 4 <= input.count {
      let wanted = Int(input[index]) | Int(input[index + 1]) << 8 | Int(input[index + 2]) << 16
      let length = min(Int(input[index + 3]), input.count - index - 4)
      let offset = wanted % size
      let count = min(length, size - offset)
      undo.append((offset, Array(UnsafeRawBufferPointer(start: base + offset, count: count))))
      input.withUnsafeBytes { (base + offset).copyMemory(from: $0.baseAddress! + index + 4, byteCount: count) }
      index += 4 + length
    }
    if let segment = try? AgentSegment(descriptor: descriptor) {
      consume(segment.summary().modulesLoaded)
      consume(Int(truncatingIfNeeded: segment.heap().live.count))
      if let report = segment.report() {
        for module in report.modules { consume(printable(module.path).utf8.count) }
      }
      let (events, next, lost) = segment.events(from: 0)
      for event in events { consume(printable(event.text).utf8.count) }
      consume(Int(truncatingIfNeeded: lost))
      _ = segment.events(from: next)
    }
    for (offset, bytes) in undo.reversed() {
      bytes.withUnsafeBytes { (base + offset).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    }
  }
}
