"""Memory that is given back: on command and by itself, measured by the kernel's own figures, in programs that go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest
from pathlib import Path

from harness import MLOS, PYTHON, Case, Program, Supervisor, run

MIB = 1 << 20
EAGER = {
    "MLOS_UNLOADING_BALANCED_TIMEOUT": "1s", "MLOS_UNLOADING_AGGRESSIVE_TIMEOUT": "1s",
    "MLOS_UNLOADING_CHECK_INTERVAL": "1s", "MLOS_OBSERVE_INTERVAL": "500ms",
    "MLOS_UNLOADING_MIN_MEMORY_SAVINGS_THRESHOLD": "64KiB",
}


def resident(pid: int, name: str = "") -> int:
    """Bytes of the mappings whose file's name has it."""
    total, counts = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text(errors="replace").splitlines():
        if "-" in line.split(" ", 1)[0] and ":" not in line.split(" ", 1)[0]:
            counts = name in line
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1]) << 10
    return total


class Reclaim(Case):
    def library(self) -> Path:
        """A copy that nobody else maps, on the disk."""
        found = json.loads(
            run([PYTHON, "-c", "import _sqlite3, json; print(json.dumps([l.split()[-1] for l in open('/proc/self/maps') "
                 "if 'libsqlite3' in l]))"], text=True).stdout)
        copy = self.folder / "libidle-of-the-test.so"
        shutil.copy(found[0] if found else "/lib/x86_64-linux-gnu/libm.so.6", copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        return copy

    def with_thread(self, program: Program) -> Program:
        """Lets it load and allocate until it is old enough for a thread of the agent's."""
        tasks = Path(f"/proc/{program.pid}/task")
        while not any((task / "comm").read_text() == "mlos-agent\n" for task in tasks.iterdir()):
            program.go()
            self.assertEqual(program.line(), "on")
        return program

    def holder(self, watch: Supervisor, library: Path) -> Program:
        program = self.program(
            watch.socket, f"import ctypes\nlibrary = ctypes.CDLL({str(library)!r})\nsay = 'loaded'\nwhile True:\n"
            "    checkpoint(say)\n    ctypes.CDLL('libm.so.6'); [bytearray(100000) for _ in range(500)]\n    say = 'on'\n")
        self.assertEqual(program.line(), "loaded")
        watch.wait_for(program.pid)
        return self.with_thread(program)

    def garbage(self, watch: Supervisor) -> Program:
        program = self.program(
            watch.socket, "import ctypes, gc\nclass Node: pass\ngc.set_threshold(0)\nfor _ in range(20000):\n"
            "    node = Node(); node.itself = node; node.block = bytearray(500)\ndel node\n"
            # Last: what is allocated after it would lie in its holes.
            "blocks = [bytearray(1000) for _ in range(60000)]\nkept = blocks[::500]\ndel blocks\n"
            "checkpoint('ready')\nwhile True:\n"
            "    ctypes.CDLL('libm.so.6'); [bytearray(100000) for _ in range(500)]\n    checkpoint('on')\n", PYTHONMALLOC="malloc")
        self.assertEqual(program.line(), "ready")
        watch.wait_for(program.pid)
        return self.with_thread(program)

    def asked(self, watch: Supervisor, *words: str, status: int = 0) -> dict:
        done = run([MLOS, *words, "--json", "--socket", watch.socket], text=True)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_trim_gives_back_what_the_kernel_says(self) -> None:
        watch = self.supervisor()
        program = self.garbage(watch)
        before = resident(program.pid)
        answer = self.asked(watch, "trim", str(program.pid))
        freed = before - resident(program.pid)
        self.assertGreater(freed, 30 * MIB)
        row = answer["processes"][0]
        self.assertTrue(answer["success"] and row["success"])
        self.assertAlmostEqual(row["freed_bytes"], freed, delta=MIB)
        self.assertEqual([rung["rung"] for rung in row["rungs"]], ["trim"])
        self.assertLess(row["rungs"][0]["agent_seconds"], row["rungs"][0]["seconds"])
        shown = watch.row(program.pid)
        assert shown
        self.assertEqual(shown["given_back_bytes"], row["freed_bytes"])
        self.assertIn(shown["activity"], ("active", "idle"))
        again = self.asked(watch, "trim", str(program.pid), status=4)
        self.assertRegex(again["processes"][0]["obstacle"], r"^too-soon:\d+ms$")

    def test_free_heap_of_an_idle_program_goes_by_itself(self) -> None:
        watch = self.supervisor(**EAGER | {"MLOS_UNLOADING_BALANCED_TIMEOUT": "20m"})
        program = self.garbage(watch)
        before = resident(program.pid)
        name = Path(f"/proc/{program.pid}/comm").read_text().strip()

        def heap() -> dict | None:
            rows = [row for row in watch.get(f"/api/v1/plan?name={name}")["units"] if row["pid"] == program.pid]
            return next((row for row in rows if row["kind"] == "heap"), None)
        row = heap()
        assert row
        self.assertGreater(row["bytes"], 30 * MIB, row)
        # Busy: it has been active a moment ago.
        self.assertIn((row["verdict"], row["reason"]), [("keep", "in-use"), ("keep", "busy")])
        self.assertIn(f"heap of {name} ({program.pid})", watch.mlos("plan", "--all").stdout)
        for said in (name, f"heap of {name}"):
            self.assertIn(f"heap of {name} ({program.pid}) stays", watch.mlos("why", said).stdout)
        done = run([MLOS, "config", "set", "unloading.strategy", "aggressive", "--socket", watch.socket], text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

        def gone() -> dict | None:
            rows = [r for r in watch.get(f"/api/v1/decisions?pid={program.pid}")["decisions"] if r["kind"] == "heap"]
            return rows[-1] if rows and rows[-1]["outcomes"] else None
        decided = watch.await_quietly("a trim in the journal", gone)
        assert decided
        outcome = decided["outcomes"][0]
        self.assertEqual((decided["reason"], outcome["result"]), ("usage-pattern", "freed"), decided)
        self.assertGreater(outcome["freed_bytes"], 30 * MIB)
        self.assertAlmostEqual(before - resident(program.pid), outcome["freed_bytes"], delta=4 * MIB)
        # What lies between its blocks is not asked for again.
        row = heap()
        assert row
        self.assertEqual(row["verdict"], "keep", row)
        self.assertIn(row["reason"], ("busy", "savings-too-small"), row)

    def test_an_idle_package_goes_by_itself_and_comes_back(self) -> None:
        watch = self.supervisor(**EAGER)
        library = self.library()
        program = self.holder(watch, library)
        self.assertGreater(resident(program.pid, library.name), 256 * 1024)

        def gone() -> dict | None:
            rows = [r for r in watch.get(f"/api/v1/decisions?pid={program.pid}")["decisions"] if r["name"] == self.folder.name]
            return rows[-1] if rows and rows[-1]["outcomes"] else None
        row = watch.await_quietly("an unload in the journal", gone)
        assert row
        outcome = row["outcomes"][0]
        self.assertEqual((row["reason"], outcome["result"]), ("usage-pattern", "freed"), row)
        self.assertGreater(outcome["freed_bytes"], 0.8 * row["predicted_bytes"])
        program.go()
        self.assertEqual(program.line(), "on")
        text = watch.mlos("why", self.folder.name).stdout
        self.assertIn("decided before", text)
        self.assertIn("went", text)

    def test_two_processes_let_go_before_the_files_copy_does(self) -> None:
        """What MADV_PAGEOUT alone cannot do: pages that another process maps."""
        watch = self.supervisor()
        library = self.library()
        programs = [self.holder(watch, library) for _ in range(2)]
        before = [resident(program.pid, library.name) for program in programs]
        answer = self.asked(watch, "unload", library.name, "--force")
        after = [resident(program.pid, library.name) for program in programs]
        for one, other in zip(before, after):
            self.assertLess(other, one / 2, f"{before} -> {after}")
        self.assertEqual(sorted(row["pid"] for row in answer["processes"]), sorted(program.pid for program in programs))
        for program in programs:
            program.go()
            self.assertEqual(program.line(), "on")

    def test_a_dry_run_touches_nothing(self) -> None:
        watch = self.supervisor()
        library = self.library()
        program = self.holder(watch, library)
        before = resident(program.pid, library.name)
        answer = self.asked(watch, "unload", library.name, "--dry-run")
        self.assertTrue(answer["dry_run"] and not answer["success"])
        self.assertGreater(answer["processes"][0]["predicted_bytes"], 0)
        self.assertEqual(resident(program.pid, library.name), before)

    def test_what_is_asked_is_remembered_with_who_asked(self) -> None:
        watch = self.supervisor()
        library = self.library()
        program = self.holder(watch, library)
        self.asked(watch, "unload", library.name, "--force")
        rows = watch.get(f"/api/v1/decisions?pid={program.pid}")["decisions"]
        self.assertEqual(rows[0]["reason"], "manual")
        self.assertEqual(rows[0]["outcomes"][0]["result"], "freed")

    def test_without_a_group_of_its_own_the_kernel_is_not_asked(self) -> None:
        watch = self.supervisor()
        program = self.garbage(watch)
        body = json.dumps({"pid": program.pid, "rungs": ["control-group"], "wanted_bytes": MIB}).encode()
        row = watch.request("POST", "/api/v1/reclaim", body)[1]["processes"][0]
        # The test, its supervisor and the program are in one group, if the machine has groups of version 2 at all.
        self.assertRegex(row["obstacle"], r"^unavailable:(no-cgroup-v2|no-memory-controller|group-\S+)$")

    def test_wrong_targets_get_a_clear_error(self) -> None:
        watch = self.supervisor()
        library = self.library()
        self.holder(watch, library)
        for words, status, text in (
            (["unload", "libidle-of-the-test.sso"], 1, "did you mean 'libidle-of-the-test.so'?"),
            (["unload", "999999999"], 1, "is not watched"), (["trim"], 64, "name a process, or --all"),
            (["trim", "1", "--all"], 64, "not both"), (["unload", "1", "--pid", "1"], 64, "--pid goes with"),
            (["gc", "--all", "--wait", "60001"], 64, "at most 60000"),
        ):
            done = run([MLOS, *words, "--socket", watch.socket], text=True)
            self.assertEqual((done.returncode, text in done.stderr), (status, True), f"{words}: {done.stderr}")
        for body, text in (
            ({}, "one of 'pid', 'package' and 'all'"), ({"pid": -1}, "'pid' is not a process id"), ({"all": True, "pid": 1}, "neither"),
            ({"pid": 1, "rungs": ["trimm"]}, "did you mean 'trim'?"), ({"pid": 1, "rungs": []}, "'rungs' is empty"),
            ({"pid": 1, "collect_milliseconds": 60001}, "at most 60000"), ({"package": ""}, "'package' must have"),
        ):
            status, answer = watch.request("POST", "/api/v1/reclaim", json.dumps(body).encode())
            self.assertEqual((status, text in json.dumps(answer)), (422, True), f"{body}: {answer}")

    def limit(self, watch: Supervisor, number: str) -> None:
        done = run([MLOS, "config", "set", "unloading.module_cache_limit", number, "--socket", watch.socket], text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_limit_of_closed_modules_reaches_programs_that_run(self) -> None:
        watch = self.supervisor()
        source = self.folder / "plugin.c"
        source.write_text("int plugin_answer(void) { return 42; }\n")
        paths = [self.folder / f"libplugin{number}.so" for number in range(3)]
        for path in paths:
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", path, source], check=True)
        code = (f"import _ctypes, ctypes\nfor path in {[str(path) for path in paths]!r}:\n    _ctypes.dlclose(_ctypes.dlopen(path, 2))\n"
                "say = 'closed'\nwhile True:\n    checkpoint(say)\n    ctypes.CDLL('libm.so.6'); [bytearray(100000) for _ in range(500)]\n"
                "    say = 'on'\n")
        programs = [self.program(watch.socket, code), self.program(watch.socket, code, MLOS_MODULE_CACHE="2")]
        for program in programs:
            self.assertEqual(program.line(), "closed")
            watch.wait_for(program.pid)
            self.with_thread(program)

        def mapped(program: Program) -> list[int]:
            text = Path(f"/proc/{program.pid}/maps").read_text()
            return [number for number, path in enumerate(paths) if str(path) in text]
        self.assertEqual([mapped(program) for program in programs], [[0, 1, 2], [1, 2]])
        self.limit(watch, "1")
        for program, gone in zip(programs, ([0, 1], [1])):
            for number in gone:
                watch.await_event(program.pid, "unloaded", str(paths[number]))
            self.assertEqual(mapped(program), [2], "the last one closed stays")
            rows = {row["path"]: row["state"] for row in watch.get(f"/api/v1/processes/{program.pid}/modules")["modules"]}
            self.assertEqual([rows[str(path)] for path in paths], ["unloaded", "unloaded", "loaded"])
        # One that starts later hears of it when it connects.
        self.limit(watch, "0")
        for program in programs:
            watch.await_event(program.pid, "unloaded", str(paths[2]))
        late = self.program(watch.socket, code)
        self.assertEqual(late.line(), "closed")
        watch.wait_for(late.pid)
        self.with_thread(late)
        watch.await_quietly("nothing kept", lambda: not mapped(late))

    def test_a_rule_that_merges_says_why_it_cannot(self) -> None:
        try:
            state = Path("/sys/kernel/mm/ksm/run").read_text().strip()
        except FileNotFoundError:
            state = ""
        if state == "1":
            self.skipTest("the kernel merges equal pages here")
        watch = self.supervisor()
        program = self.garbage(watch)
        name = Path(f"/proc/{program.pid}/comm").read_text().strip()
        rule = f"rules: [{{name: share, when: memory.level > 0.01%, then: {{merge: {name}}}}}]\n"
        done = run([MLOS, "rules", "add", "-", "--socket", watch.socket], input=rule.encode(), text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

        def told() -> dict | None:
            rows = watch.get(f"/api/v1/decisions?pid={program.pid}")["decisions"]
            return rows[0] if rows and rows[0]["outcomes"] else None
        row = watch.await_quietly("an outcome", told)
        assert row
        outcome = row["outcomes"][0]
        self.assertEqual((row["reason"], outcome["result"]), ("rule", "kept"))
        self.assertEqual(outcome["obstacle"], "unavailable:ksm-off" if state else "unavailable:no-ksm")
        answer = json.dumps({"pid": program.pid, "rungs": ["equal-pages"]}).encode()
        self.assertEqual(watch.request("POST", "/api/v1/reclaim", answer)[1]["processes"][0]["obstacle"], "not-asked-for")

    def test_a_user_who_denies_it_is_heeded(self) -> None:
        watch = self.supervisor()
        library = self.library()
        self.holder(watch, library)
        done = run([MLOS, "config", "set", f"unloading.packages.{json.dumps(self.folder.name)}.allow_unload", "false",
                    "--socket", watch.socket], text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run([MLOS, "unload", self.folder.name, "--socket", watch.socket], text=True)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("its user denies unloading it", done.stderr)

    def test_a_stopped_program_is_not_waited_for(self) -> None:
        watch = self.supervisor()
        program = self.garbage(watch)
        os.kill(program.pid, signal.SIGSTOP)
        try:
            answer = self.asked(watch, "trim", str(program.pid), status=4)
        finally:
            os.kill(program.pid, signal.SIGCONT)
        self.assertEqual(answer["processes"][0]["obstacle"], "stopped")
        self.assertLess(answer["seconds"], 5)

    def test_without_an_agent_only_the_system_can_be_asked(self) -> None:
        watch = self.supervisor()
        library = self.library()
        program = self.program(None, f"import ctypes\nctypes.CDLL({str(library)!r})\ncheckpoint('loaded')\n", preload=False)
        self.assertEqual(program.line(), "loaded")
        watch.mlos("adopt", str(program.pid))
        answer = self.asked(watch, "trim", str(program.pid), status=4)
        self.assertEqual(answer["processes"][0]["obstacle"], "no-agent")
        if os.geteuid() == 0:
            # Nobody else maps it: the system itself can take it.
            answer = self.asked(watch, "unload", library.name, "--force")
            self.assertTrue(answer["success"], answer)

    def test_a_killed_supervisors_decision_is_closed_by_the_next(self) -> None:
        watch = self.supervisor()
        watch.stop(signal.SIGKILL)
        journal = watch.variables["MLOS_JOURNAL_PATH"]
        with sqlite3.connect(journal) as database:
            database.execute(
                "INSERT INTO decision (time, cycle, unit_kind, unit_name, verdict, reason, text, strategy, class, requester, reuse, regret) "
                "VALUES (?, 1, 'package', 'half-done', 'unload', 'manual', 'Manual unloading', 'balanced', 'important', 'x', 0, 1)", [time.time()])
        database.close()
        watch.start()
        row = watch.get("/api/v1/decisions?name=half-done")["decisions"][0]
        self.assertEqual([(o["result"], o["obstacle"]) for o in row["outcomes"]], [("kept", "supervisor-ended")])
        watch.stop()
        watch.start()
        self.assertEqual(len(watch.get("/api/v1/decisions?name=half-done")["decisions"][0]["outcomes"]), 1, "said once")


if __name__ == "__main__":
    unittest.main()
