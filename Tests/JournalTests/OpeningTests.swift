import CSQLite
import Glibc
import Model
import TestKit
import Testing

@testable import Journal

@Suite struct OpeningTests {
  let scratch = Scratch()

  @Test("a new journal is readable by its user alone, and marked as ours")
  func new() throws {
    let journal = try scratch.open()
    journal.append(decision("torch"))
    #expect(journal.flush(at: now).condition == .writing)
    for name in scratch.names {
      var status = stat()
      #expect(lstat("\(scratch.tree.path)/\(name)", &status) == 0 && status.st_mode & 0o777 == 0o600, "\(name)")
    }
    journal.close(at: now)
    #expect(scratch.names == ["history.db"])
    let header = scratch.bytes().prefix(100)
    #expect(Array(header[68..<72]) == Array("MLOS".utf8))
    #expect(Array(header[60..<64]) == [0, 0, 0, UInt8(JournalSchema.migrations.count)])
  }

  @Test("rows are there after closing and opening")
  func reopened() throws {
    let first = try scratch.open()
    let id = first.append(decision("torch"))
    first.close(at: now)
    let second = try scratch.open()
    #expect(try second.decisions(JournalQuery()).rows.map(\.id) == [id])
    #expect(second.append(decision("torch")) == (id ?? 0) + 1)
  }

  /// Runs SQL on the file, leaving the log beside it when asked.
  private func execute(_ text: String, keepLog: Bool = false) {
    var database: OpaquePointer?
    #expect(sqlite3_open_v2(scratch.path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nil) == SQLITE_OK)
    guard let database else { return }
    if keepLog { _ = mlos_sqlite_keep_log_on_close(database) }
    #expect(sqlite3_exec(database, text, nil, nil, nil) == SQLITE_OK)
    sqlite3_close_v2(database)
  }

  @Test("a journal of a later version is refused and stays as it is, byte for byte", arguments: [false, true])
  func newer(inLog: Bool) throws {
    try scratch.open().close(at: now)
    execute("PRAGMA user_version = 99", keepLog: inLog)
    let (file, log) = (scratch.bytes(), scratch.bytes("-wal"))
    #expect(log.isEmpty != inLog)
    func isUntouched() -> Bool { scratch.bytes() == file && scratch.bytes("-wal") == log }
    var before = stat()
    #expect(stat(scratch.path, &before) == 0)
    #expect(scratch.refusal() == .newer)
    var after = stat()
    #expect(stat(scratch.path, &after) == 0)
    #expect(isUntouched())
    #expect(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec && before.st_mode == after.st_mode)
    // It is not tried again.
    let journal = Journal(path: scratch.path, at: now)
    #expect(journal.flush(at: now + 100).condition == .stopped(try #require(opening())))
    #expect(isUntouched())
  }

  private func opening() -> JournalError? {
    do throws(JournalError) {
      _ = try scratch.open()
      return nil
    } catch {
      return error
    }
  }

  @Test("somebody else's file is refused and stays as it is")
  func foreign() {
    let text = Array(
      "dear diary, this is no database but more than a hundred bytes of text, to be exact: it goes on and on.".utf8)
    for content in [text, Array("short".utf8)] {
      scratch.tree.write("history.db", content)
      #expect(scratch.refusal() == .notAJournal)
      #expect(scratch.bytes() == content && scratch.names == ["history.db"])
    }
    unlink(scratch.path)
    execute("CREATE TABLE a (b)")
    let content = scratch.bytes()
    #expect(scratch.refusal() == .notAJournal)
    execute("PRAGMA application_id = 17")
    #expect(scratch.refusal() == .notAJournal)
    #expect(scratch.bytes().count == content.count)
  }

  @Test("an empty file, and a database without a table, become a journal")
  func empty() {
    scratch.tree.write("history.db", "")
    #expect(scratch.refusal() == nil)
    unlink(scratch.path)
    execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL")
    #expect(scratch.refusal() == nil)
  }

  struct Damage: CustomTestStringConvertible {
    var testDescription: String
    var damage: @Sendable (inout [UInt8]) -> Void
  }

  @Test(
    "a damaged journal is moved aside, whole, and said",
    arguments: [
      Damage(testDescription: "its magic") { $0.replaceSubrange(0..<16, with: repeatElement(0x55, count: 16)) },
      Damage(testDescription: "its page size") { $0.replaceSubrange(16..<18, with: [0x12, 0x34]) },
      Damage(testDescription: "its beginning lost") { $0.replaceSubrange(0..<4096, with: repeatElement(0, count: 4096)) },
      Damage(testDescription: "its schema") { $0.replaceSubrange(100..<4096, with: repeatElement(0xAA, count: 3996)) },
      Damage(testDescription: "a page") {
        $0.replaceSubrange($0.count - 4096..<$0.count, with: repeatElement(0xAA, count: 4096))
      },
      Damage(testDescription: "its end lost") { $0.removeLast(4096 * 2) },
    ])
  func damaged(damage: Damage) throws {
    let first = try scratch.open()
    for number in 0..<500 { first.append(decision("unit-\(number)")) }
    first.close(at: now)
    var content = scratch.bytes()
    damage.damage(&content)
    scratch.tree.write("history.db", content)
    for attempt in ["", "-2"] {
      let aside = "\(scratch.path).damaged-20231114T221320Z\(attempt)"
      let second = try scratch.open()
      #expect(second.health.movedAside == aside)
      // A Bool: on a difference the bytes themselves say nothing to people.
      let isWhole = Scratch.contents(aside) == content
      #expect(isWhole)
      #expect(try second.decisions(JournalQuery()).rows.isEmpty)
      second.flush(at: now)
      #expect(try second.notices(JournalQuery()).rows.map(\.kind) == [.replaced])
      second.close(at: now)
      scratch.tree.write("history.db", content)
    }
  }

  @Test("whatever the damage, the program goes on and what was there is kept")
  func randomDamage() throws {
    let first = try scratch.open()
    for number in 0..<300 {
      first.append(decision("unit-\(number)", at: now + Double(number)))
      first.append(outcome("unit-\(number)", at: now))
      first.append(MetricSample("m\(number % 9)", 1, at: now + Double(number * 20)))
    }
    first.close(at: now)
    let sound = scratch.bytes()
    var random = SystemRandomNumberGenerator()
    var aside = 0
    for _ in 0..<100 {
      var content = sound
      var places: [Int] = []
      for _ in 0..<Int.random(in: 1...20, using: &random) {
        places.append(Int.random(in: 100..<content.count, using: &random))
        content[places[places.count - 1]] = .random(in: 0...255, using: &random)
      }
      let other = Scratch()
      other.tree.write("history.db", content)
      let journal = try other.open()
      // What quick_check does not see, such as a number in a row, may stay; nothing of it stops the program.
      _ = try? journal.decisions(JournalQuery(limit: 500))
      _ = try? journal.outcomes(JournalQuery(limit: 500))
      _ = try? journal.lastJudgements(of: "unit-7")
      _ = try? journal.totals()
      _ = try? journal.metric("m1", from: 0, to: 2 * now, step: 600)
      for round in 0..<3 {
        journal.append(decision("torch", at: now + 400_000 * Double(round)))
        journal.append(outcome("torch", at: now))
        journal.flush(at: now + 400_000 * Double(round))
      }
      // Found by the last one: moved aside by the next.
      if journal.health.condition != .writing { journal.flush(at: now + 10_000_000) }
      if journal.health.movedAside != nil { aside += 1 }
      #expect(journal.health.condition == .writing, "\(places): \(journal.health)")
      journal.close(at: now)
    }
    print("journal: 100 randomly damaged files opened, \(aside) moved aside")
  }

  @Test("a torn log loses its end and nothing before it", arguments: [1, 24, 100, 4096, 5000, 9000])
  func tornLog(bytes: Int) throws {
    let first = try scratch.open()
    for number in 0..<20 as Range<UInt64> {
      first.append(decision("torch", cycle: number))
      first.flush(at: now)
    }
    // The log as a crash leaves it: closing would move it into the file.
    let (file, log) = (scratch.bytes(), scratch.bytes("-wal"))
    first.close(at: now)
    #expect(log.count > 10_000)
    for torn in [Array(log.dropLast(bytes)), log.dropLast(bytes) + [UInt8](repeating: 0xFF, count: bytes)] {
      scratch.tree.write("history.db", file)
      scratch.tree.write("history.db-wal", torn)
      unlink(scratch.path + "-shm")
      let second = try scratch.open()
      #expect(second.health.movedAside == nil)
      let cycles = try second.decisions(JournalQuery()).rows.map(\.cycle)
      #expect(cycles == Array((0..<UInt64(cycles.count)).reversed()) && (15..<20).contains(cycles.count), "\(cycles)")
      second.close(at: now)
    }
  }

  @Test("two owners at a time are refused")
  func inUse() throws {
    let first = try scratch.open()
    #expect(scratch.refusal() == .inUse)
    first.append(decision("torch"))
    #expect(first.close(at: now).condition == .writing)
    withExtendedLifetime(first) {}
  }

  @Test("a missing folder, a relative path and a folder in its place are errors of their own")
  func paths() {
    func code(_ path: String) -> JournalError.Code? {
      do throws(JournalError) {
        _ = try Journal.open(path: path, at: now)
        return nil
      } catch {
        return error.code
      }
    }
    #expect(code("\(scratch.tree.path)/none/history.db") == .notFound)
    #expect(code("history.db") == .failed)
    #expect(code("/") == .failed)
    scratch.tree.makeDirectory("folder")
    #expect(code("\(scratch.tree.path)/folder") == .notAJournal)
    #expect(mkfifo("\(scratch.tree.path)/fifo", 0o600) == 0)
    #expect(code("\(scratch.tree.path)/fifo") == .notAJournal)
  }

  @Test("a link in the file's place is not followed, one of ours in the way is")
  func links() throws {
    scratch.tree.makeDirectory("real")
    scratch.tree.link("linked", to: "real")
    try Journal.open(path: "\(scratch.tree.path)/linked/../linked/history.db", at: now).close(at: now)
    #expect(access("\(scratch.tree.path)/real/history.db", F_OK) == 0)
    scratch.tree.write("victim", "precious")
    scratch.tree.link("history.db", to: "victim")
    #expect(scratch.refusal() == .unsafe)
    unlink(scratch.path)
    scratch.tree.link("history.db-wal", to: "victim")
    #expect(scratch.refusal() == .unsafe)
    #expect(Scratch.contents("\(scratch.tree.path)/victim") == Array("precious".utf8))
    scratch.tree.makeDirectory("open")
    #expect(chmod("\(scratch.tree.path)/open", 0o777) == 0)
    #expect(throws: JournalError.self) { try Journal.open(path: "\(scratch.tree.path)/open/history.db", at: now) }
  }

  @Test("another user's link and file are not used", .enabled(if: getuid() == 0, "giving files away needs root"))
  func strangers() throws {
    scratch.tree.makeDirectory("real")
    scratch.tree.link("planted", to: "real")
    #expect(lchown("\(scratch.tree.path)/planted", 12_345, 12_345) == 0)
    #expect(throws: JournalError.self) { try Journal.open(path: "\(scratch.tree.path)/planted/history.db", at: now) }
    #expect(access("\(scratch.tree.path)/real/history.db", F_OK) != 0)
    scratch.tree.write("history.db", "")
    #expect(chown(scratch.path, 12_345, 12_345) == 0)
    #expect(scratch.refusal() == .unsafe)
  }

  @Test("a folder that may not be written to and a file that may not be read are told apart")
  func permissions() throws {
    let scratch = scratch
    let made = Scratch()
    try made.open().close(at: now)
    #expect(chmod(made.path, 0o400) == 0)
    #expect(chmod(scratch.tree.path, 0o500) == 0)
    defer { chmod(scratch.tree.path, 0o700) }
    guard let codes = withoutCapabilities({ [scratch.refusal(), made.refusal()] }) else {
      print("not tested: capabilities cannot be given up here")
      return
    }
    #expect(codes == [.readOnly, .notPermitted])
    #expect(scratch.names.isEmpty)
  }

  @Test("a failing migration changes nothing, the next attempt goes on from there")
  func migration() throws {
    try scratch.open().close(at: now)
    let database = try SQLiteDatabase(path: scratch.path)
    let good = "CREATE TABLE added (id INTEGER PRIMARY KEY)"
    #expect(throws: SQLiteFailure.self) {
      try JournalSchema.migrate(
        database, by: JournalSchema.migrations + [good, "CREATE TABLE half (id); CREATE TABLE half (id)"])
    }
    #expect(try database.number("PRAGMA user_version") == Int64(JournalSchema.migrations.count) + 1)
    #expect(try database.number("SELECT count(*) FROM sqlite_schema WHERE name IN ('added', 'half')") == 1)
    #expect(
      try JournalSchema.migrate(database, by: JournalSchema.migrations + [good, "CREATE TABLE half (id)"])
        == JournalSchema.migrations.count + 1)
    #expect(try database.number("PRAGMA user_version") == Int64(JournalSchema.migrations.count) + 2)
  }
}
