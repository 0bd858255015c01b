import Glibc
import Model

/// Private pages of one process, read where they are in memory and nowhere else, so that nothing is brought back by looking. A page
/// that leaves memory between the two looks is the exception.
///
/// Reading marks pages as used; those of files are not read, so the observation of use sees nothing of it. Needs the right to trace
/// the process (ptrace(2), PTRACE_MODE_ATTACH_FSCREDS).
struct ProcessPages: ~Copyable {
  /// Entries of pagemap in one reading: 32 KiB.
  private static let block = 4_096
  /// Pages next to each other that are read together: 256 KiB.
  private static let run = 64
  /// In memory; of a file or shared; mapped by this process alone (Documentation/admin-guide/mm/pagemap.rst). A page that is shared
  /// already, after a fork or by merging, is no second copy.
  private static let present: UInt64 = 1 << 63
  private static let ofFile: UInt64 = 1 << 61
  private static let exclusive: UInt64 = 1 << 56

  private let pagemap: OpenFile
  private let memory: OpenFile
  private let size = ProcFS.pageSize

  private init(pagemap: consuming OpenFile, memory: consuming OpenFile) {
    self.pagemap = pagemap
    self.memory = memory
  }

  /// Fails with `gone` when the PID is another process's by now.
  static func open(_ proc: ProcFS, _ identity: ProcessIdentity) throws(PlatformError) -> ProcessPages {
    let directory = try proc.directory(of: identity.pid)
    let pagemap = try openPath("pagemap", in: directory, O_RDONLY)
    let memory = try openPath("mem", in: directory, O_RDONLY)
    // After opening: what is open belongs to the process that is checked.
    let stat = try StatLine(proc.contents("stat", directory, identity.pid, expected: 1024))
    guard stat.startTicks == identity.startTicks else {
      throw PlatformError(.gone, context: "\(identity.pid) is another process")
    }
    return ProcessPages(pagemap: pagemap, memory: memory)
  }

  struct Outcome {
    /// Private pages there are, as far as the ranges were walked.
    var pages: UInt64 = 0
    var read: UInt64 = 0
    /// Walked to the end, within all limits.
    var isComplete = true
  }

  /// Hands the content of every `stride`th private page to `take`.
  ///
  /// - Parameters:
  ///   - limit: Pages read at most.
  ///   - isOver: Asked between readings.
  func read(
    _ ranges: [Range<UInt64>], stride: UInt64, limit: UInt64, isOver: () -> Bool, _ take: (UnsafeRawBufferPointer) -> Void
  ) -> Outcome {
    var outcome = Outcome()
    var buffer = [UInt8](repeating: 0, count: Self.run * Int(size))
    for range in ranges {
      var page = range.lowerBound / size
      let end = range.upperBound / size
      while page < end {
        guard !isOver(), outcome.read < limit else {
          outcome.isComplete = false
          return outcome
        }
        let count = Int(min(end - page, UInt64(Self.block)))
        // Unmapped meanwhile, or the process has ended: there is no more of this range.
        guard let bytes = try? positionedBytes(pagemap.descriptor, at: page * 8, upTo: count * 8, "pagemap"), bytes.count >= 8
        else {
          break
        }
        let entries = bytes.withUnsafeBytes { raw in
          (0..<raw.count / 8).map { raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
        }
        var chosen: [UInt64] = []
        for (offset, entry) in entries.enumerated() where Self.isPrivate(entry) {
          if outcome.pages % stride == 0 { chosen.append(page + UInt64(offset)) }
          outcome.pages += 1
        }
        read(chosen, &buffer, limit: limit, &outcome, take)
        page += UInt64(entries.count)
      }
    }
    return outcome
  }

  static func isPrivate(_ entry: UInt64) -> Bool {
    entry & present != 0 && entry & ofFile == 0 && entry & exclusive != 0
  }

  /// Pages that follow one another in one call.
  private func read(
    _ chosen: [UInt64], _ buffer: inout [UInt8], limit: UInt64, _ outcome: inout Outcome, _ take: (UnsafeRawBufferPointer) -> Void
  ) {
    var first = 0
    while first < chosen.count {
      guard outcome.read < limit else {
        outcome.isComplete = false
        return
      }
      var last = first
      let most = Int(min(UInt64(Self.run), limit - outcome.read))
      while last + 1 < chosen.count, chosen[last + 1] == chosen[last] + 1, last - first + 1 < most { last += 1 }
      let bytes = (last - first + 1) * Int(size)
      let got = buffer.withUnsafeMutableBytes {
        pread(memory.descriptor, $0.baseAddress, bytes, off_t(clamping: chosen[first] * size))
      }
      // What was unmapped meanwhile is no error; it counts as neither read nor equal.
      for page in 0..<max(0, got) / Int(size) {
        buffer.withUnsafeBytes { take(UnsafeRawBufferPointer(rebasing: $0[(page * Int(size))..<((page + 1) * Int(size))])) }
        outcome.read += 1
      }
      first = last + 1
    }
  }
}
