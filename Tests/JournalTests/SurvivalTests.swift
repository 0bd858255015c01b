import Glibc
import Model
import TestKit
import Testing

@testable import Journal

/// What another program writes while it is killed and while its disk gives out.
@Suite struct SurvivalTests {
  @Test("killed at 200 random instants, the journal opens, lacks no row that was flushed, and has none in part")
  func killed() throws {
    var random = SystemRandomNumberGenerator()
    let seed = random.next()
    print("journal: seed \(seed)")
    var state = seed
    func draw(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    var rows = 0
    var inTheMiddle = 0
    for _ in 0..<10 {
      let scratch = Scratch()
      var acknowledged: UInt64 = 0
      for _ in 0..<20 {
        // What was acknowledged before the kill may still stand in the pipe: it is read to its end.
        let child = try #require(ChildProcess([writer, "write", scratch.path, "1000000", "\(draw(1 << 30))"]))
        var said = ""
        // From before the file is there to after some hundred flushes.
        for _ in 0..<draw(12) { said += child.read() }
        // And then at any place in between: a count to a random number takes up to about a millisecond.
        var spin: UInt64 = 0
        for step in 0..<draw(500_000) { spin = spin &* 31 &+ step }
        #expect(spin >= 0)
        child.end()
        said += child.output()
        #expect(!said.contains("FAIL"), "\(said.suffix(300))")
        let lines = said.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        if let last = lines.last(where: { !$0.hasPrefix("open") }).flatMap({ UInt64($0) }) { acknowledged = last }
        // Opening checks the whole file: a damaged one would have been moved aside.
        let journal = try scratch.open()
        #expect(journal.health.movedAside == nil)
        let last = try check(journal)
        #expect(last >= acknowledged, "acknowledged \(acknowledged), found \(last)")
        if last > acknowledged { inTheMiddle += 1 }
        rows = max(rows, Int(last))
      }
    }
    print("journal: killed 200 times, up to \(rows) rows; \(inTheMiddle) times between a commit and its acknowledgement")
  }

  /// All rows from 1 on, each as it was made, and as many outcomes in the totals. Gives the last.
  private func check(_ journal: Journal) throws -> UInt64 {
    let counts = try journal.reading { database throws(SQLiteFailure) in
      (
        try database.number("SELECT count(*) FROM decision") ?? 0, try database.number("SELECT max(cycle) FROM decision") ?? 0,
        // Every part of a row follows from its number.
        try database.number(
          """
          SELECT count(*) FROM decision WHERE text = 'row ' || cycle AND idle = cycle AND bytes = 3 * cycle AND used = cycle
            AND unit_name = 'unit-' || (cycle % 7) AND predicted = cycle AND start_ticks = cycle AND id = cycle
          """) ?? 0,
        try database.number("SELECT count(*) FROM outcome") ?? 0,
        try database.number("SELECT count(*) FROM outcome WHERE freed = decision") ?? 0
      )
    }
    #expect(counts.0 == counts.1 && counts.2 == counts.0 && counts.4 == counts.3, "\(counts)")
    let unloads = try journal.totals().all.unloads
    #expect(unloads == UInt64(counts.3))
    return UInt64(counts.1)
  }

  @Test("killed while it forgets rows, the journal has the newest ones without a gap")
  func killedWhilePruning() throws {
    let scratch = Scratch()
    for number in 0..<30 {
      let child = try #require(ChildProcess([writer, "write", scratch.path, "300", "\(number)"]))
      for _ in 0..<20 { _ = child.read() }
      child.end()
      let journal = try scratch.open()
      #expect(journal.health.movedAside == nil)
      let cycles = try journal.decisions(JournalQuery(limit: 10_000)).rows.map(\.cycle)
      let newest = try #require(cycles.first)
      #expect(cycles == Array((newest + 1 - UInt64(cycles.count)...newest).reversed()))
      #expect(try journal.totals().all.unloads <= newest)
    }
  }

  /// Runs shell commands with a disk of 1 MiB of their own at $1, which is gone with them; nil where that is not allowed.
  private func onSmallDisk(_ commands: String) -> [String]? {
    let tree = TemporaryTree()
    let script = "mount -t tmpfs -o size=1m,mode=700 none \"$1\" || exit 1; echo mounted; \(commands)"
    let namespace = getuid() == 0 ? ["unshare", "-m"] : ["unshare", "-r", "-m"]
    let child = ChildProcess(namespace + ["sh", "-c", script, "sh", tree.path, writer])
    let lines = child?.output().split(separator: "\n").map(String.init) ?? []
    guard lines.first == "mounted" else {
      print("not tested: no file system can be mounted here, not even in a namespace of its own")
      return nil
    }
    return Array(lines.dropFirst())
  }

  @Test("on a disk of 1 MiB that is full, decisions go on; with room again the journal does, and tells what it lost")
  func fullDisk() {
    let commands = "head -c 200000 /dev/zero >\"$1/filler\"; \"$2\" fill \"$1\""
    guard let lines = onSmallDisk(commands) else { return }
    #expect(lines.count == 7 && lines[0] == "condition waiting full", "\(lines)")
    let numbers = (lines.count > 1 ? lines[1] : "").split(separator: " ").compactMap { Int($0) }
    #expect(numbers.count == 3 && numbers[0] == numbers[1] && numbers[0] > 0 && numbers[2] == 200, "\(lines)")
    #expect(
      lines.dropFirst(2) == [
        "readable true", "another full left false", "afterwards writing queued 0", "rows true whole true aside none",
        "notice lost true 1",
      ], "\(lines)")
  }

  @Test("a read-only disk is told as one")
  func readOnlyDisk() {
    let commands =
      "\"$2\" make \"$1/history.db\"; mount -o remount,ro \"$1\"; \"$2\" open \"$1/history.db\"; \"$2\" open \"$1/new.db\""
    guard let lines = onSmallDisk(commands) else { return }
    #expect(lines == ["made writing", "read-only", "read-only"])
  }
}
