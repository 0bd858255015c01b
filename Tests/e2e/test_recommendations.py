"""What is recommended about real processes: threads that wait, heap that is free, content that is there twice."""

from __future__ import annotations

import json
import os
import re
import unittest

from harness import Case, Program, Supervisor, run

MIB = 1 << 20
# The same 32 MiB in each, no two pages of it equal; and 8 MiB that only this one has.
COPY = f"""
import random
shared = random.Random(7).randbytes({32 * MIB})
own = random.SystemRandom().randbytes({8 * MIB})
checkpoint('holds')
"""
# Threads that never rest, all on one processor.
SPIN = """
import ctypes, os, threading
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
spin = ctypes.CDLL(os.environ['SPIN'])
for _ in range(int(os.environ['SPINNERS'])):
    threading.Thread(target=spin.spin_for_ever, daemon=True).start()
checkpoint('spins')
os._exit(0)
"""
# Many small blocks, the last of which stays: what lies below it is free, and free() cannot give it back.
FREES = f"""
import os
kept = [os.urandom(900) for _ in range({64 * MIB // 1024})]
last = kept[-1]
del kept
checkpoint('freed')
"""


class Recommendations(Case):
    def start(self, watch: Supervisor, code: str, word: str, **variables: str) -> Program:
        program = self.program(watch.socket, code, **variables)
        self.assertEqual(program.line(), word)
        watch.wait_for(program.pid)
        return program

    def found(self, watch: Supervisor, kind: str, query: str = "") -> list[dict]:
        answer = watch.get(f"/api/v1/recommendations{query}")
        self.assertEqual(answer["schema"], "mlos.recommendations/1")
        return [row for row in answer["recommendations"] if row["kind"] == kind]

    def test_same_content_in_two_processes_is_found_and_measured(self) -> None:
        watch = self.supervisor()
        # Started apart: after a fork the pages are one.
        pids = [self.start(watch, COPY, "holds").pid for _ in range(2)]
        rows = self.found(watch, "copies")
        self.assertEqual([sorted(row["subject"]["pids"]) for row in rows], [sorted(pids)])
        figures = rows[0]["figures"]
        self.assertAlmostEqual(figures["duplicate_bytes"], 32 * MIB, delta=3.2 * MIB)
        self.assertLessEqual(figures["duplicate_low_bytes"], figures["duplicate_bytes"])
        self.assertGreaterEqual(figures["sampled_bytes"], figures["duplicate_bytes"])
        self.assertEqual((rows[0]["priority"], rows[0]["type"]), ("medium", "info"))
        self.assertIn("more than once", watch.mlos("recommendations", "--pid", str(pids[0])).stdout)
        # What was looked at is what they were: alive, and at the same place.
        self.assertEqual({row["pid"] for row in watch.get("/api/v1/processes")["processes"]}, set(pids))

    def test_children_of_a_fork_share_and_are_no_copies(self) -> None:
        watch = self.supervisor()
        code = COPY.replace("checkpoint('holds')", "child = os.fork()\nif child: checkpoint('holds', child)\nelse: sys.stdin.read()")
        program = self.program(watch.socket, "import os\n" + code)
        child = int(program.line().split()[1])
        watch.wait_for(program.pid)
        watch.await_quietly("the child is listed", lambda: watch.row(child))
        self.assertEqual(self.found(watch, "copies"), [])

    def test_more_threads_than_processors_are_found(self) -> None:
        watch = self.supervisor()
        library = self.spinner()
        program = self.start(watch, SPIN, "spins", SPIN=library, SPINNERS="8")
        rows = self.found(watch, "thread-oversubscription")
        self.assertEqual([row["subject"]["pids"] for row in rows], [[program.pid]])
        figures = rows[0]["figures"]
        self.assertEqual((figures["busy_threads"], figures["processors"]), (8, 1))
        # Of eight that all want one processor each waits seven eighths, more where others are on it.
        self.assertGreater(figures["waited_share"], 0.8)
        self.assertAlmostEqual(figures["demanded_processors"], 8, delta=1)
        self.assertEqual((rows[0]["priority"], rows[0]["type"]), ("high", "warning"))
        self.assertIn("Start fewer threads", rows[0]["suggestion"])

    def test_one_busy_thread_is_none_too_many(self) -> None:
        watch = self.supervisor()
        self.start(watch, SPIN, "spins", SPIN=self.spinner(), SPINNERS="1")
        self.assertEqual(self.found(watch, "thread-oversubscription"), [])

    def test_heap_that_is_free_but_in_memory_is_found(self) -> None:
        watch = self.supervisor()
        program = self.start(watch, FREES, "freed", PYTHONMALLOC="malloc")
        rows = self.found(watch, "free-heap", f"?pid={program.pid}")
        self.assertEqual([row["subject"] for row in rows], [{"name": rows[0]["subject"]["name"], "pids": [program.pid]}])
        figures = rows[0]["figures"]
        self.assertGreater(figures["free_bytes"], 48 * MIB)
        self.assertEqual(figures["resident_heap_bytes"] - figures["live_bytes_with_headers"], figures["free_bytes"])
        self.assertIn("mlos trim", rows[0]["suggestion"])
        # It is an upper bound, and not far off.
        program.end()
        trimmed = self.start(
            watch, FREES.replace("checkpoint('freed')", "checkpoint('freed')\nimport ctypes\nctypes.CDLL(None).malloc_trim(0)\n"
                                 "checkpoint('trimmed')"), "freed", PYTHONMALLOC="malloc")
        before = self.anonymous(trimmed.pid)
        trimmed.go()
        self.assertEqual(trimmed.line(), "trimmed")
        given_back = before - self.anonymous(trimmed.pid)
        self.assertLessEqual(given_back, figures["free_bytes"] * 1.05)
        self.assertGreater(given_back, figures["free_bytes"] * 0.5)
        self.assertEqual(self.found(watch, "free-heap", f"?pid={trimmed.pid}"), [])

    def test_memory_of_pythons_own_arenas_is_none_of_malloc(self) -> None:
        watch = self.supervisor()
        code = "kept = [bytes(400) for _ in range(200_000)]\nlast = kept[::64]\ndel kept\ncheckpoint('freed')\n"
        program = self.start(watch, code, "freed")
        self.assertEqual(self.found(watch, "free-heap", f"?pid={program.pid}"), [])

    def test_nothing_to_recommend_is_said_with_what_was_looked_at(self) -> None:
        watch = self.supervisor()
        program = self.start(watch, "checkpoint('rests')\n", "rests")
        done = watch.mlos("recommendations")
        self.assertEqual(done.returncode, 0)
        self.assertIn("nothing to recommend", done.stdout)
        self.assertRegex(done.stdout, r"threads of 1 process watched for \d+\.\d s")
        self.assertRegex(done.stdout, r"0 unloads in the last 1 d; nothing is said about fewer than 20")
        answer = watch.json("recommendations", "--pid", str(program.pid))
        self.assertEqual(answer["recommendations"], [])
        self.assertEqual(answer["looked"]["unloads"]["unloads"], 0)
        self.assertEqual(answer["looked"]["heaps"], {"processes": 1, "unknown_processes": 0})

    def test_what_cannot_be_asked_is_refused_by_name(self) -> None:
        watch = self.supervisor(MLOS_JOURNAL_PATH="")
        self.assertEqual(watch.request("GET", "/api/v1/recommendations?pid=1")[0], 404)
        for query, word in (("pid=x", "pid"), ("name=x", "unknown parameter")):
            status, answer = watch.request("GET", f"/api/v1/recommendations?{query}")
            self.assertEqual((status, word in answer["error"]["message"]), (422, True))
        done = watch.mlos("recommendations", "--pid", "1", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("unloads: no journal", watch.mlos("recommendations").stdout)
        self.assertIsNone(json.loads(watch.mlos("recommendations", "--json").stdout)["looked"]["unloads"])

    def anonymous(self, pid: int) -> int:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            found = re.search(r"RssAnon:\s+(\d+) kB", status.read())
        assert found
        return int(found[1]) << 10

    def spinner(self) -> str:
        """A library whose one function never ends; called through ctypes, it does not hold Python's lock."""
        source = self.folder / "spin.c"
        source.write_text("void spin_for_ever(void) { for (;;) __asm__ volatile(\"\" ::: \"memory\"); }\n")
        library = self.folder / "libspin.so"
        done = run(["cc", "-shared", "-fPIC", "-O1", str(source), "-o", str(library)], text=True, env=dict(os.environ))
        self.assertEqual(done.returncode, 0, done.stderr)
        return str(library)


if __name__ == "__main__":
    unittest.main()
