// Writes a journal while the tests kill it, fill its disk and make it read-only. What it prints is for Tests/JournalTests.
import Glibc
import Journal
import Model

/// A row whose every part follows from its number, so that a torn one shows.
func decision(_ number: UInt64) -> DecisionRecord {
  let figures = JudgementFigures(
    idleSeconds: Double(number), timeoutSeconds: 900, strategy: "balanced", bytes: Bytes(number * 3), reloadSeconds: 0.5,
    reuseProbability: 0.25, regret: 1, score: Double(number) / 2, unitClass: .important)
  return DecisionRecord(
    time: 1_000_000 + Double(number), cycle: number,
    unit: ReclaimUnit(.package, "unit-\(number % 7)", in: ProcessIdentity(pid: 4711, startTicks: number)), verdict: .unload,
    reason: "usage-pattern", text: "row \(number)", predicted: Bytes(number), figures: figures,
    memory: MemoryPressure(used: Bytes(number), limit: Bytes(number + 1)), requester: Requester("schedule"))
}

func say(_ text: String) {
  var bytes = Array((text + "\n").utf8)
  // A reader that is gone has seen enough.
  if write(1, &bytes, bytes.count) < 0 { exit(0) }
}

func fail(_ text: String) -> Never {
  say("FAIL \(text)")
  exit(1)
}

func open(_ path: String, _ limits: JournalLimits) -> Journal {
  do throws(JournalError) {
    return try Journal.open(path: path, limits: limits, at: 1_000_000)
  } catch {
    fail("\(error.code.rawValue) \(error)")
  }
}

func newest(_ journal: Journal) -> UInt64 {
  do throws(JournalError) {
    return try journal.decisions(JournalQuery(limit: 1)).rows.first?.cycle ?? 0
  } catch {
    fail("\(error)")
  }
}

/// Writes for ever; says the number of the last row after each flush that brought it to the disk.
func writeUntilKilled(_ path: String, rows: Int, seed: UInt64) -> Never {
  var limits = JournalLimits()
  limits.decisionRows = rows
  limits.outcomeRows = rows
  let journal = open(path, limits)
  var number = newest(journal)
  var random = seed
  say("open \(number)")
  while true {
    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    for _ in 0...(random >> 33) % 40 {
      number += 1
      let row = decision(number)
      let id = journal.append(row)
      journal.append(
        OutcomeRecord(
          UnloadOutcome(unit: row.unit, result: .freed(Bytes(number)), seconds: 1), of: id, because: .manual, time: row.time))
      journal.append(MetricSample("memory.used", Double(number), at: row.time))
    }
    let health = journal.flush(at: 1_000_000 + Double(number))
    guard health.condition == .writing, health.queuedRows == 0, health.lostRows == 0 else { fail("\(health)") }
    say("\(number)")
  }
}

/// On a disk of 1 MiB, part of which a file takes: fills the rest, goes on, and gets room again.
func fillDisk(_ directory: String) {
  var limits = JournalLimits()
  limits.queueRows = 200
  let path = "\(directory)/history.db"
  var journal = open(path, limits)
  var number: UInt64 = 0
  var health = journal.health
  repeat {
    number += 1
    journal.append(decision(number))
    if number % 50 == 0 { health = journal.flush(at: 1_000_000 + Double(number)) }
  } while health.condition == .writing && number < 100_000
  say("condition \(word(health.condition))")
  let written = health.writtenRows
  for _ in 0..<500 {
    number += 1
    journal.append(decision(number))
  }
  health = journal.flush(at: 1_000_000 + Double(number))
  say("lost \(health.lostRows) of \(number - written - UInt64(health.queuedRows)) queued \(health.queuedRows)")
  // Written rows can be read on a full disk.
  say("readable \(newest(journal) == written)")
  do throws(JournalError) {
    _ = try Journal.open(path: "\(directory)/another.db", at: 0)
    say("another opened")
  } catch {
    say("another \(error.code.rawValue) left \(access("\(directory)/another.db", F_OK) == 0)")
  }
  unlink("\(directory)/filler")
  health = journal.flush(at: 1_000_000 + Double(number))
  say("afterwards \(word(health.condition)) queued \(health.queuedRows)")
  journal.close(at: 1_000_000 + Double(number))
  journal = open(path, limits)
  do throws(JournalError) {
    let rows = try journal.decisions(JournalQuery(limit: 10_000)).rows
    let whole = rows.allSatisfy { $0.text == "row \($0.cycle)" && $0.figures == decision($0.cycle).figures }
    say("rows \(UInt64(rows.count) == number - health.lostRows) whole \(whole) aside \(journal.health.movedAside ?? "none")")
    let notices = try journal.notices(JournalQuery()).rows
    say("notice \(notices.first?.kind.rawValue ?? "none") \(notices.first?.rows == health.lostRows) \(notices.count)")
  } catch {
    fail("\(error)")
  }
}

func word(_ condition: JournalHealth.Condition) -> String {
  switch condition {
  case .writing: "writing"
  case .waiting(let error): "waiting \(error.code.rawValue)"
  case .stopped(let error): "stopped \(error.code.rawValue)"
  }
}

/// Opens and says what came of it.
func tryToOpen(_ path: String) {
  do throws(JournalError) {
    let journal = try Journal.open(path: path, at: 0)
    say("opened \(newest(journal))")
  } catch {
    say("\(error.code.rawValue)")
  }
}

/// Makes a journal of a few rows.
func make(_ path: String) {
  let journal = open(path, JournalLimits())
  for number in 1...10 as ClosedRange<UInt64> { journal.append(decision(number)) }
  say("made \(word(journal.close(at: 1_000_000).condition))")
}

let arguments = CommandLine.arguments
switch (arguments.dropFirst().first, arguments.count) {
case ("write", 5): writeUntilKilled(arguments[2], rows: Int(arguments[3]) ?? 0, seed: UInt64(arguments[4]) ?? 0)
case ("fill", 3): fillDisk(arguments[2])
case ("open", 3): tryToOpen(arguments[2])
case ("make", 3): make(arguments[2])
default: fail("usage: JournalWriter write FILE ROWS SEED | fill DIRECTORY | open FILE | make FILE")
}
