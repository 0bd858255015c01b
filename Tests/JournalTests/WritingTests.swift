import Glibc
import Model
import TestKit
import Testing

@testable import Journal

@Suite struct WritingTests {
  let scratch = Scratch()

  @Test("every field of a decision comes back")
  func decisions() throws {
    let journal = try scratch.open()
    var rows = [
      decision("torch"), decision("numpy", pid: nil, verdict: .keep),
      DecisionRecord(
        Judgement(
          unit: ReclaimUnit(.model, "m"), verdict: .unload(.rule("at-night")),
          figures: JudgementFigures(
            idleSeconds: nil, timeoutSeconds: 1, strategy: "", bytes: nil, reloadSeconds: nil, reuseProbability: 0, regret: 1,
            score: nil, unitClass: .critical)),
        time: now, cycle: 7, memory: nil, requester: Requester("ada", uid: 1000, pid: 12)),
    ]
    #expect(rows[2].rule == "at-night" && rows[2].reason == "rule" && rows[2].text == "Rule unloading (at-night)")
    for index in rows.indices { rows[index].id = try #require(journal.append(rows[index])) }
    #expect(rows.map(\.id) == [1, 2, 3])
    journal.flush(at: now)
    #expect(try journal.decisions(JournalQuery()).rows == rows.reversed())
  }

  @Test("every field of an outcome and of a change comes back")
  func others() throws {
    let journal = try scratch.open()
    let id = journal.append(decision("torch"))
    var rows = [
      outcome("torch", .freed(Bytes(5)), of: id), outcome("numpy", .kept("nodelete"), of: 77), outcome("m", .dryRun),
    ]
    rows[1].stayed = ["libfoo.so: nodelete", "libbar.so: thread-inside:812"]
    for row in rows { #expect(journal.append(row)) }
    var changes = [
      ConfigurationChange(
        time: now, key: "unloading.strategy", old: nil, new: "aggressive", origin: "control socket",
        requester: Requester("ada", uid: 1000, pid: 12)),
      ConfigurationChange(time: now, key: "a", old: "1", new: nil, origin: "file", requester: Requester("mlosd")),
    ]
    for change in changes { journal.append(change) }
    journal.flush(at: now)
    // Of a decision that is not there.
    rows[1].decision = nil
    for index in rows.indices { rows[index].id = Int64(index + 1) }
    for index in changes.indices { changes[index].id = Int64(index + 1) }
    #expect(try journal.outcomes(JournalQuery()).rows == rows.reversed())
    #expect(try journal.configurationChanges(JournalQuery()).rows == changes.reversed())
    #expect(try journal.configurationChanges(JournalQuery(name: "a")).rows == [changes[1]])
    #expect(try journal.outcomes(of: try #require(id)) == [rows[0]])
  }

  @Test("every reason has a word and a text")
  func reasons() {
    let keeps: [KeepReason] = [
      .disabled, .notLoaded, .userPreference, .critical, .busy("x"), .neededBy([ReclaimUnit(.package, "a")]), .bytesUnknown,
      .savingsTooSmall(minimum: .mebibytes(1)), .useUnknown, .inUse, .expectedSoon, .targetReached, .cycleFull(5), .underWay,
    ]
    let unloads: [UnloadReason] = [
      .memoryPressure(.high), .usagePattern("balanced"), .userPreference, .adaptive(.low), .cacheLimit(1), .rule("r"), .manual,
    ]
    #expect(Set(keeps.map(\.recordWord)).count == keeps.count && Set(unloads.map(\.recordWord)).count == unloads.count)
    #expect(Set(keeps.map(\.recordText)).count == keeps.count)
    let words = (keeps.map(\.recordWord) + unloads.map(\.recordWord)).joined()
    #expect(words.utf8.allSatisfy { $0 == 0x2D || (0x61...0x7A).contains($0) })
    #expect(
      KeepReason.neededBy((0..<100).map { ReclaimUnit(.package, "p\($0)") }).recordText
        == "needed by p0, p1, p2, p3, p4, p5, p6, p7, ...")
  }

  @Test("what no table can hold is bounded, and stands in nobody's way")
  func extremes() throws {
    let journal = try scratch.open()
    var odd = decision(String(repeating: "é", count: 1000), cycle: .max)
    odd.text = String(repeating: "x", count: 100_000)
    odd.unit.process = ProcessIdentity(pid: .max, startTicks: .max)
    odd.predicted = Bytes(.max)
    odd.figures.timeoutSeconds = .nan
    odd.figures.score = .infinity
    odd.figures.idleSeconds = .nan
    odd.requester = Requester("a\u{0}b'; DROP TABLE decision; --", uid: .max, pid: .min)
    journal.append(odd)
    var timeless = decision("timeless")
    timeless.time = .nan
    #expect(journal.append(timeless) == nil)
    journal.append(decision("normal"))
    var many = outcome("torch", .kept(String(repeating: "y", count: 5000)))
    many.stayed = (0..<10_000).map { "lib\($0).so: nodelete" }
    many.seconds = .nan
    journal.append(many)
    let health = journal.flush(at: now)
    #expect(health.condition == .writing && health.lostRows == 1 && health.writtenRows == 3)
    let rows = try journal.decisions(JournalQuery()).rows
    try #require(rows.count == 2)
    let read = rows[1]
    #expect(read.unit.name.utf8.count <= 256 && read.unit.name.hasSuffix("é..."))
    #expect(read.text == String(repeating: "x", count: 1021) + "...")
    #expect(read.unit.process == ProcessIdentity(pid: .max, startTicks: UInt64(Int64.max)))
    #expect(read.predicted == Bytes(UInt64(Int64.max)) && read.cycle == UInt64(Int64.max))
    #expect(read.figures.timeoutSeconds.isNaN && read.figures.score == .infinity && read.figures.idleSeconds == nil)
    #expect(read.requester == odd.requester)
    // Found by the name it was given, too.
    #expect(try journal.decisions(JournalQuery(name: odd.unit.name)).rows.count == 1)
    let kept = try #require(try journal.outcomes(JournalQuery()).rows.first)
    #expect(kept.obstacle?.utf8.count == 1024 && kept.stayed.joined(separator: "\n").utf8.count <= 4096)
  }

  @Test("a cut never splits a character", arguments: ["", "a", "abcd", "ééééé", "👩‍👩‍👧‍👦👩‍👩‍👧‍👦", "e\u{301}\u{301}\u{301}\u{301}"])
  func limits(text: String) {
    for limit in 3...30 {
      let cut = text.limited(toBytes: limit)
      #expect(cut.utf8.count <= max(limit, 3))
      #expect(cut == text || cut.hasSuffix("...") && text.unicodeScalars.starts(with: cut.dropLast(3).unicodeScalars))
    }
  }

  @Test("a queue that is full loses what comes after, and one row tells how much")
  func fullQueue() throws {
    var limits = JournalLimits()
    limits.queueRows = 10
    let journal = try scratch.open(limits)
    for number in 0..<15 { journal.append(decision("torch", at: now + Double(number))) }
    #expect(!journal.append(outcome(at: now + 20)))
    #expect(journal.health.lostRows == 6 && journal.health.lastLoss == now + 20 && journal.health.queuedRows == 10)
    #expect(journal.flush(at: now + 21).queuedRows == 0)
    #expect(try journal.decisions(JournalQuery()).rows.count == 10)
    let notice = try #require(try journal.notices(JournalQuery()).rows.first)
    #expect(notice.kind == .lost && notice.rows == 6 && notice.began == now + 10 && notice.ended == now + 20)
    #expect(
      notice.text == "6 rows lost between 20231114T221330Z and 20231114T221340Z: more than 10 rows between two flushes")
    // The totals know of the outcome that has no row.
    #expect(try journal.totals().all.unloads == 1)
    journal.flush(at: now + 22)
    #expect(try journal.notices(JournalQuery()).rows.count == 1)
  }

  @Test("on a full disk rows wait, then are lost, and are told of when there is room again")
  func full() throws {
    var limits = JournalLimits()
    limits.queueRows = 2000
    let journal = try scratch.open(limits)
    journal.append(decision("first"))
    journal.flush(at: now)
    try journal.reading { database throws(SQLiteFailure) in try database.execute("PRAGMA max_page_count = 40") }
    for number in 0..<3000 { journal.append(decision("torch", at: now + Double(number))) }
    let health = journal.flush(at: now)
    guard case .waiting(let error) = health.condition else {
      Issue.record("\(health)")
      return
    }
    #expect(error.code == .full && health.lostRows == 1000 && health.queuedRows > 0)
    for number in 0..<3000 { journal.append(decision("later", at: now + 5000 + Double(number))) }
    let lost = journal.flush(at: now + 5000).lostRows
    #expect(lost > 1000)
    // What was written can be read meanwhile.
    #expect(try journal.decisions(JournalQuery(name: "first")).rows.count == 1)
    try journal.reading { database throws(SQLiteFailure) in try database.execute("PRAGMA max_page_count = 1073741823") }
    #expect(journal.flush(at: now + 9000).condition == .writing)
    #expect(try journal.decisions(JournalQuery(limit: 10_000)).rows.count == 6001 - Int(lost))
    let notices = try journal.notices(JournalQuery()).rows
    #expect(notices.count == 1 && notices.first?.rows == lost)
  }

  @Test("a file taken away is replaced by a new one, and that is said")
  func vanished() throws {
    let journal = try scratch.open()
    journal.append(decision("before"))
    journal.flush(at: now)
    for name in scratch.names { unlink("\(scratch.tree.path)/\(name)") }
    journal.append(decision("after"))
    #expect(journal.flush(at: now + 1).condition == .writing)
    #expect(try journal.decisions(JournalQuery()).rows.map(\.unit.name) == ["after"])
    #expect(try journal.notices(JournalQuery()).rows.map(\.kind) == [.vanished])
  }

  @Test("damage found in use moves the file aside and goes on with a new one")
  func damagedInUse() throws {
    let journal = try scratch.open()
    for number in 0..<2000 { journal.append(decision("unit-\(number)")) }
    journal.flush(at: now)
    try journal.reading { database throws(SQLiteFailure) in
      try database.execute("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA cache_size = 1; PRAGMA shrink_memory")
    }
    let file = open(scratch.path, O_WRONLY | O_CLOEXEC)
    let size = lseek(file, 0, SEEK_END)
    let garbage = [UInt8](repeating: 0xAA, count: Int(size) - 4096)
    #expect(pwrite(file, garbage, garbage.count, 4096) == garbage.count)
    // Drops SQLite's lock on the file with it; nobody else is there.
    close(file)
    journal.append(decision("torch"))
    let first = journal.flush(at: now + 1)
    guard case .waiting(let error) = first.condition else {
      Issue.record("\(first)")
      return
    }
    #expect(error.code == .damaged && first.queuedRows == 1)
    #expect(journal.append(decision("waits")) != nil)
    let second = journal.flush(at: now + 10)
    #expect(second.condition == .writing && second.movedAside?.hasPrefix(scratch.path + ".damaged-") == true)
    #expect(try journal.decisions(JournalQuery()).rows.map(\.unit.name) == ["waits", "torch"])
  }

  @Test("what cannot be opened yet is opened later, with what was appended meanwhile")
  func later() throws {
    let path = "\(scratch.tree.path)/not/yet/history.db"
    let journal = Journal(path: path, at: now)
    guard case .waiting(let error) = journal.health.condition else {
      Issue.record("\(journal.health)")
      return
    }
    #expect(error.code == .notFound)
    #expect(journal.append(decision("early")) == nil)
    #expect(throws: JournalError.self) { try journal.decisions(JournalQuery()) }
    scratch.tree.makeDirectory("not/yet")
    // Not at every flush.
    #expect(journal.flush(at: now + 1).condition != .writing)
    #expect(journal.flush(at: now + 6).condition == .writing)
    #expect(try journal.decisions(JournalQuery()).rows.map(\.id) == [1])
    #expect(journal.append(decision("late")) == 2)
  }

  @Test("another program that writes makes rows wait, one that reads does not")
  func busy() throws {
    var limits = JournalLimits()
    limits.busyMilliseconds = 1
    let journal = try scratch.open(limits)
    let other = try SQLiteDatabase(path: scratch.path)
    try other.execute("BEGIN IMMEDIATE")
    journal.append(decision("torch"))
    guard case .waiting(let error) = journal.flush(at: now).condition else {
      Issue.record("it was written")
      return
    }
    #expect(error.code == .inUse)
    try other.execute("COMMIT; BEGIN; SELECT count(*) FROM decision")
    #expect(journal.flush(at: now).condition == .writing)
    other.close()
  }

  @Test("a reader that never ends stops the writing before the log fills the disk")
  func endlessReader() throws {
    var limits = JournalLimits()
    limits.bytes = 1 << 20
    limits.busyMilliseconds = 1
    let journal = try scratch.open(limits)
    let reader = try SQLiteDatabase(path: scratch.path)
    try reader.execute("BEGIN; SELECT count(*) FROM decision")
    var health = journal.health
    for number in 0..<100 where health.condition == .writing {
      for _ in 0..<1000 { journal.append(decision("torch", at: now + Double(number))) }
      health = journal.flush(at: now + Double(number))
    }
    guard case .waiting(let error) = health.condition else {
      Issue.record("\(health)")
      return
    }
    #expect(error.code == .inUse && health.bytes ?? 0 < 8 << 20, "\(health)")
    reader.close()
    for number in 0..<3 { health = journal.flush(at: now + 1000 + Double(number) * 100) }
    #expect(health.condition == .writing && health.bytes ?? 0 < 2 << 20, "\(health)")
  }

  @Test("a closed journal refuses all, quietly")
  func closed() throws {
    let journal = try scratch.open()
    journal.append(decision("torch"))
    #expect(journal.close(at: now).writtenRows == 1)
    #expect(journal.append(decision("torch")) == nil && !journal.append(outcome()))
    #expect(throws: JournalError.self) { try journal.totals() }
    journal.flush(at: now)
    journal.close(at: now)
  }
}
