"""What was decided, changed and measured outlives the supervisor: the journal, and settings that are changed while it runs."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import unittest
from pathlib import Path

from harness import MLOS, MLOSD, PYTHON, Case, Program, Supervisor, run

# Everything that is idle for a second may go, and is looked at once a second.
EAGER = {
    "MLOS_UNLOADING_BALANCED_TIMEOUT": "1s", "MLOS_UNLOADING_AGGRESSIVE_TIMEOUT": "1s",
    "MLOS_UNLOADING_CHECK_INTERVAL": "1s", "MLOS_OBSERVE_INTERVAL": "500ms",
    "MLOS_UNLOADING_MIN_MEMORY_SAVINGS_THRESHOLD": "4KiB", "MLOS_UNLOADING_DRY_RUN": "true",
}
LIBRARY = "libidle-of-the-test.so"


class History(Case):
    def idle_program(self, watch: Supervisor) -> Program:
        """Holds a library that nobody else maps, has read it once, and does not touch it again."""
        found = json.loads(
            run([PYTHON, "-c", "import _sqlite3, json; print(json.dumps([l.split()[-1] for l in open('/proc/self/maps') "
                 "if 'libsqlite3' in l]))"], text=True).stdout)
        copy = self.folder / LIBRARY
        shutil.copy(found[0] if found else "/lib/x86_64-linux-gnu/libm.so.6", copy)
        # What the disk has not seen yet does not come back.
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        program = self.program(
            watch.socket, f"import ctypes\nlibrary = ctypes.CDLL({str(copy)!r})\ncheckpoint('loaded')\n")
        self.assertEqual(program.line(), "loaded")
        watch.wait_for(program.pid)
        return program

    def decided(self, watch: Supervisor, pid: int) -> dict:
        """The first decision about a package of the program; of its free heap another may come before it."""
        def first() -> dict | None:
            rows = [row for row in watch.get(f"/api/v1/decisions?pid={pid}")["decisions"] if row["kind"] == "package"]
            return rows[-1] if rows else None
        return watch.await_quietly("a decision in the journal", first)  # type: ignore[return-value]

    def test_decision_is_remembered_shown_and_exported(self) -> None:
        watch = self.supervisor(**EAGER)
        program = self.idle_program(watch)
        row = self.decided(watch, program.pid)
        self.assertEqual((row["verdict"], row["outcomes"][0]["result"]), ("unload", "dry-run"))
        self.assertIsNone(row["outcomes"][0]["freed_bytes"])
        self.assertGreater(row["predicted_bytes"], 0)
        self.assertGreaterEqual(row["idle_seconds"], row["timeout_seconds"])

        line = next(x for x in watch.mlos("history", row["name"]).stdout.splitlines() if f"({program.pid})" in x)
        self.assertRegex(line, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  " + re.escape(row["name"]))
        self.assertIn("would go", line)
        self.assertIn("expected, not measured", line)
        why = watch.mlos("why", row["name"], "--pid", str(program.pid)).stdout
        self.assertIn("decided before", why)
        self.assertIn(line, why)
        answer = watch.json("why", row["name"], "--pid", str(program.pid))
        self.assertEqual((answer["schema"], [u["pid"] for u in answer["units"]]), ("mlos.why/1", [program.pid]))
        self.assertIn(row, answer["decisions"])
        self.assertEqual(answer["decisions"], sorted(answer["decisions"], key=lambda d: (d["at"], d["id"])))
        # What it says would help does.
        hint = re.search(r"deny it \((mlos config set .*?) false\)", re.sub(r"\s+", " ", why))
        assert hint, why
        self.mlos(watch, "set", shlex.split(hint[1])[3], "false")
        self.assertIn("its user denies it", watch.mlos("why", row["name"], "--pid", str(program.pid)).stdout)
        listed = watch.json("history", "--since", "1h", "--limit", "1000")
        self.assertEqual(listed["schema"], "mlos.history-listing/1")
        self.assertIn(row["id"], [d["id"] for d in listed["decisions"]])

        lines = watch.mlos("export", "--format", "json").stdout.splitlines()
        short = watch.mlos("export", "--json").stdout.splitlines()
        self.assertLessEqual({json.loads(line)["id"] for line in lines}, {json.loads(line)["id"] for line in short})
        exported = {d["id"]: d for d in map(json.loads, lines)}
        self.assertEqual(exported[row["id"]]["unit"], row["name"])
        table = list(csv.DictReader(io.StringIO(watch.mlos("export", "--format", "csv", "--what", "outcomes").stdout)))
        self.assertEqual({r["result"] for r in table}, {"dry-run"})
        measured = list(csv.DictReader(io.StringIO(watch.mlos("export", "--format", "csv", "--what", "metrics").stdout)))
        self.assertIn("memory.used", {r["metric"] for r in measured})
        for text in watch.mlos("export", "--format", "prometheus").stdout.splitlines():
            self.assertRegex(text, r"^(# (HELP|TYPE) mlos_\w+ .+|mlos_\w+(\{reason=\".*\"\})? [-+.e\d]+)$")

        course = watch.mlos("history", "--metric", "memory.used", "--step", "10s", "--aggregation", "max").stdout
        self.assertIn("memory.used, max of every 10 s", course)
        used = watch.get("/api/v1/history?metric=memory.used&aggregation=max")["points"]
        self.assertGreater(used[0]["value"], 1 << 20)
        self.assertEqual(watch.get("/api/v1/totals")["all"]["unloads"], 0)

    def test_history_survives_kill_and_restart(self) -> None:
        watch = self.supervisor(**EAGER)
        program = self.idle_program(watch)
        row = self.decided(watch, program.pid)
        self.assertEqual(watch.stop(signal.SIGKILL), -signal.SIGKILL)
        watch.start()
        rows = watch.get(f"/api/v1/decisions?pid={program.pid}&limit=1000")["decisions"]
        self.assertIn(row, rows)
        self.assertEqual(watch.get("/api/v1/status")["journal"]["condition"], "writing")
        # A name that is no longer in memory still has its history.
        program.end()
        name = row["name"]
        watch.await_quietly("nothing of the program in memory", lambda: watch.request("GET", f"/api/v1/plan?name={name}")[0] == 404)
        self.assertIn(f"{name} is not in memory now", watch.mlos("why", name).stdout)
        answer = watch.json("why", name)
        self.assertEqual((answer["units"], row in answer["decisions"]), ([], True))

    def test_changed_setting_holds_after_a_restart(self) -> None:
        watch = self.supervisor()
        key = "unloading.balanced_timeout"

        def row() -> dict:
            return next(s for s in watch.get("/api/v1/config")["settings"] if s["key"] == key)

        before = row()
        told = self.mlos(watch, "set", key, "10m")
        self.assertRegex(told, r"^unloading\.balanced_timeout is 600s \(run time, by user \d+ at ")
        self.assertEqual(row()["value"], "600s")
        self.assertIn("600s", self.mlos(watch, "show", "--origin"))
        for number in (signal.SIGTERM, signal.SIGKILL):
            watch.stop(number)
            watch.start()
            self.assertEqual(row()["value"], "600s")
        changes = watch.get(f"/api/v1/changes?name={key}")["changes"]
        self.assertEqual([(c["old"], c["new"]) for c in changes], [("900s", "600s")])
        self.assertRegex(changes[0]["requester"]["name"], r"^user \d+$")
        self.assertGreater(changes[0]["requester"]["pid"], 0)
        self.assertIn("changed  900s to 600s", watch.mlos("history").stdout)
        self.mlos(watch, "unset", key)
        self.assertEqual(row(), before)
        self.assertEqual(self.refused(watch, "unset", key)[0], 1)

    def test_wrong_changes_are_refused_and_change_nothing(self) -> None:
        watch = self.supervisor()
        before = watch.get("/api/v1/config")
        for words, status, said in (
                (("unloading.balanced_timeout", "5x"), 64, "duration"),
                (("unloading.max_unloads_per_cycle", "0"), 64, "1 to 1000"),
                (("unloading.strategyy", "balanced"), 64, "unloading.strategy"),
                # Right by itself, and against another setting.
                (("unloading.memory_pressure_target", "90%"), 64, "memory_pressure_threshold"),
                (("events.capacity", "200"), 4, "at start")):
            with self.subTest(words):
                code, text = self.refused(watch, "set", *words)
                self.assertEqual(code, status, text)
                self.assertIn(said, text)
        self.assertEqual(watch.get("/api/v1/config"), before)
        self.assertFalse((self.folder / "settings.json").exists())
        self.assertEqual(watch.get("/api/v1/changes")["changes"], [])

    def test_questions_that_make_no_sense_name_what_does(self) -> None:
        watch = self.supervisor()
        for query, status, said in (
                ("history?metric=memory.use", 404, "memory.used"), ("history?metric=memory.used&aggregation=median", 422, "last"),
                ("history?metric=memory.used&step=1", 422, "step"), ("history?step=60", 422, "metric"),
                ("history?metric=memory.used&from=0&to=1e9&step=10", 422, "10000 steps"),
                ("decisions?cursor=x", 422, "cursor"), ("decisions?from=5&to=4", 422, "before"),
                ("decisions?from=nan", 422, "from"), ("export?format=xml", 422, "prometheus"),
                ("changes?limit=0", 422, "limit")):
            with self.subTest(query):
                if "metric=" in query:
                    watch.await_quietly("a figure", lambda: watch.get("/api/v1/history")["metrics"])
                code, answer = watch.request("GET", f"/api/v1/{query}")
                self.assertEqual((code, said in answer["error"]["message"]), (status, True), answer)

    def test_without_a_journal_the_supervisor_works_and_says_so(self) -> None:
        watch = self.supervisor(MLOS_JOURNAL_PATH="")
        self.assertIsNone(watch.get("/api/v1/status")["journal"])
        self.assertEqual(watch.request("GET", "/api/v1/decisions")[0], 409)
        done = watch.mlos("history", check=False)
        self.assertEqual((done.returncode, "journal.path" in done.stderr), (4, True))
        program = self.program(watch.socket, "checkpoint('there')\n")
        self.assertEqual(program.line(), "there")
        watch.wait_for(program.pid)
        name = watch.get("/api/v1/plan")["units"][0]["name"]
        self.assertIsNone(watch.json("why", name)["decisions"])

    def test_supervisor_of_a_program_keeps_none_unless_told(self) -> None:
        self.assertEqual(self.supervisor("--ephemeral").get("/api/v1/status")["journal"]["condition"], "writing")
        untold = self.folder / "untold"
        untold.write_text(f"#!/bin/sh\nunset MLOS_JOURNAL_PATH\nexec {MLOSD} \"$@\"\n")
        untold.chmod(0o755)
        state = self.folder / "state"
        for arguments, condition in ((["--ephemeral"], None), ([], "writing")):
            made = Supervisor(self.folder / "other", *arguments, binary=str(untold), STATE_DIRECTORY=str(state))
            self.addCleanup(made.stop)
            journal = made.get("/api/v1/status")["journal"]
            self.assertEqual(journal and journal["condition"], condition)
            self.assertEqual(made.stop(), 0)
        self.assertEqual(journal["path"], str(state / "journal.db"))
        self.assertEqual((state.stat().st_mode & 0o777, (state / "journal.db").stat().st_mode & 0o777), (0o700, 0o600))

    def test_trouble_with_the_journal_is_told_and_stops_nothing(self) -> None:
        other = self.folder / "other.db"
        with sqlite3.connect(other) as database:
            database.execute("CREATE TABLE t (a)")
        database.close()
        content = other.read_bytes()
        watch = self.supervisor(**EAGER, MLOS_JOURNAL_PATH=str(other))
        journal = watch.get("/api/v1/status")["journal"]
        self.assertEqual((journal["condition"], journal["bytes"]), ("stopped", None))
        self.assertIn(str(other), journal["problem"])
        self.assertIn("stopped", watch.mlos("status").stdout)
        self.assertEqual(watch.request("GET", "/api/v1/decisions")[0], 409)
        self.assertEqual(watch.stop(), 0)
        self.assertEqual(other.read_bytes(), content)
        self.assertEqual(Path(watch.log).read_text().count("the journal is not written"), 1)

    def mlos(self, watch: Supervisor, *words: str) -> str:
        done = self.config(watch, *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refused(self, watch: Supervisor, *words: str) -> tuple[int, str]:
        done = self.config(watch, *words)
        return done.returncode, done.stderr

    def config(self, watch: Supervisor, *words: str) -> subprocess.CompletedProcess[str]:
        return run([MLOS, "config", words[0], "--socket", watch.socket, *words[1:]], text=True)


if __name__ == "__main__":
    unittest.main()
