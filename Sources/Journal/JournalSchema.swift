/// The tables, version by version.
enum JournalSchema {
  /// "MLOS" in ASCII: bytes 68 to 71 of the file.
  static let applicationID: Int32 = 0x4D4C_4F53

  /// The entry at index n leads from version n to n + 1. One that was released is never changed: another is added.
  static let migrations = [first, second]

  /// Times are wall-clock seconds since 1970, sizes bytes. NULL is not known.
  private static let first = """
    CREATE TABLE decision (
      id INTEGER PRIMARY KEY, time REAL NOT NULL, cycle INTEGER NOT NULL,
      unit_kind TEXT NOT NULL, unit_name TEXT NOT NULL, pid INTEGER, start_ticks INTEGER,
      verdict TEXT NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL, rule TEXT, predicted INTEGER,
      idle REAL, timeout REAL, strategy TEXT NOT NULL, bytes INTEGER, reload REAL, reuse REAL, regret REAL, score REAL,
      class TEXT NOT NULL,
      used INTEGER, bound INTEGER, source TEXT, stall REAL, wanted INTEGER,
      requester TEXT NOT NULL, requester_uid INTEGER, requester_pid INTEGER
    ) STRICT;
    CREATE INDEX decision_by_time ON decision (time);
    CREATE INDEX decision_by_name ON decision (unit_name, time);

    CREATE TABLE outcome (
      id INTEGER PRIMARY KEY, time REAL NOT NULL, decision INTEGER REFERENCES decision (id) ON DELETE SET NULL,
      unit_kind TEXT NOT NULL, unit_name TEXT NOT NULL, pid INTEGER, start_ticks INTEGER,
      result TEXT NOT NULL, freed INTEGER, seconds REAL, obstacle TEXT, stayed TEXT NOT NULL,
      reason TEXT NOT NULL, text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX outcome_by_time ON outcome (time);
    CREATE INDEX outcome_by_name ON outcome (unit_name, time);
    CREATE INDEX outcome_by_decision ON outcome (decision);

    CREATE TABLE configuration_change (
      id INTEGER PRIMARY KEY, time REAL NOT NULL, key TEXT NOT NULL, old TEXT, new TEXT, origin TEXT NOT NULL,
      requester TEXT NOT NULL, requester_uid INTEGER, requester_pid INTEGER
    ) STRICT;
    CREATE INDEX configuration_change_by_time ON configuration_change (time);

    -- What the journal says about itself: rows that were lost, a file that was moved aside.
    CREATE TABLE notice (
      id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, rows INTEGER, began REAL, ended REAL
    ) STRICT;
    CREATE INDEX notice_by_time ON notice (time);

    CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    -- A sample is in exactly one bucket. resolution and start are seconds; last is the value at last_time.
    CREATE TABLE bucket (
      resolution INTEGER NOT NULL, series INTEGER NOT NULL REFERENCES series (id), start INTEGER NOT NULL,
      count INTEGER NOT NULL, sum REAL NOT NULL, min REAL NOT NULL, max REAL NOT NULL, last REAL NOT NULL,
      last_time REAL NOT NULL,
      PRIMARY KEY (resolution, series, start)
    ) STRICT, WITHOUT ROWID;

    -- Counted when an outcome is written, so that forgetting outcomes takes nothing away.
    CREATE TABLE total (
      scope TEXT NOT NULL, name TEXT NOT NULL,
      unloads INTEGER NOT NULL, successful INTEGER NOT NULL, failed INTEGER NOT NULL,
      freed INTEGER NOT NULL, seconds REAL NOT NULL, last_time REAL NOT NULL,
      PRIMARY KEY (scope, name)
    ) STRICT, WITHOUT ROWID;
    """

  /// rungs: one a line, its parts separated by tabs: name, resident bytes that came back or nothing, seconds, refusal or nothing.
  private static let second = """
    ALTER TABLE outcome ADD COLUMN freed_private INTEGER;
    ALTER TABLE outcome ADD COLUMN freed_proportional INTEGER;
    ALTER TABLE outcome ADD COLUMN rungs TEXT NOT NULL DEFAULT '';
    """

  /// Of the last decisions to unload: what the supervisor before this one began and did not live to measure.
  static let closeInterrupted = """
    INSERT INTO outcome (time, decision, unit_kind, unit_name, pid, start_ticks, result, seconds, obstacle, stayed, reason, text)
      SELECT ?, id, unit_kind, unit_name, pid, start_ticks, 'kept', 0, 'supervisor-ended', '', reason, text
      FROM (SELECT * FROM decision ORDER BY id DESC LIMIT 1000)
      WHERE verdict = 'unload' AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.decision = id)
    """

  /// Brings the tables to the newest version, each step in a transaction of its own.
  /// - Returns: The version it was at before.
  @discardableResult
  static func migrate(_ database: SQLiteDatabase, by steps: [String] = migrations) throws(SQLiteFailure) -> Int {
    let found = Int(try database.number("PRAGMA user_version") ?? 0)
    for version in max(0, found)..<max(found, steps.count) {
      try database.transaction { () throws(SQLiteFailure) in
        try database.execute(steps[version])
        try database.execute("PRAGMA application_id = \(applicationID); PRAGMA user_version = \(version + 1)")
      }
    }
    return found
  }
}
