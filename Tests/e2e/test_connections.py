"""What one process can do to the supervisor and to those who look at it: connections, refusals, claims, numbers."""

import os
import shutil
import threading
import time
import unittest
from pathlib import Path

import test_hostile as raw
from harness import LIMIT_S, MLOS, Case, environment, run


class Connections(Case):
    def setUp(self) -> None:
        super().setUp()
        self.watch = self.supervisor()

    def connected(self, content: bytes | bytearray) -> raw.socket.socket:
        connection = raw.connect(self.watch.socket)
        self.addCleanup(connection.close)
        descriptor = raw.segment(content)
        raw.send(connection, raw.hello(), [descriptor])
        os.close(descriptor)
        self.assertEqual(raw.answer(connection), "welcome")
        return connection

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.watch.pid}/fd"))

    def test_a_process_has_one_connection_however_many_it_opens(self) -> None:
        first = self.connected(raw.header())
        before = self.descriptors()
        others = [self.connected(raw.header(b_in=number)) for number in range(1, 100)]
        for connection in (first, *others[:-1]):
            self.assertEqual(raw.answer(connection), "end")
        self.assertLessEqual(self.descriptors(), before + 4)
        row = self.watch.row(os.getpid())
        self.assertEqual(row and row["live_heap_bytes"], 99)
        # The last one counts: its end is the process's.
        others[-1].close()
        self.watch.await_event(os.getpid(), "detached")

    def test_refusals_are_counted_but_do_not_fill_the_log(self) -> None:
        for _ in range(300):
            with raw.connect(self.watch.socket) as connection:
                raw.send(connection, b"nonsense", [])
                self.assertEqual(raw.answer(connection), "reject")
        self.assertEqual(self.watch.get("/api/v1/status")["counters"]["frames_refused"], 300)
        log = self.watch.log.read_text()
        self.assertLessEqual(log.count("agent refused"), 60)
        self.assertEqual(log.count("counted, not logged"), 1)

    def test_claims_that_cannot_be_are_not_shown(self) -> None:
        self.connected(raw.header(b_in=2**61, b_alloc=2**64 - 1, state=0xFFFF0001))
        self.assertEqual(self.watch.row(os.getpid())["agent_state"], "invalid")
        self.connected(raw.header(b_in=2**61, b_alloc=2**64 - 1))
        row = self.watch.row(os.getpid())
        for name in ("live_heap_bytes", "allocations", "frees", "allocations_per_second", "allocated_bytes_per_second"):
            self.assertIsNone(row[name], name)
        status = self.watch.get("/api/v1/status")
        self.assertIsNone(status["live_heap_bytes"])
        self.assertEqual(status["counters"]["segments_lying"], 2)
        for command in ("ps", "status"):
            self.assertNotIn("EiB", self.watch.mlos(command).stdout)

    def test_one_overwritten_segment_does_not_spoil_the_counters_for_all(self) -> None:
        descriptor = raw.segment(raw.header())
        with raw.connect(self.watch.socket) as connection:
            raw.send(connection, raw.hello(), [descriptor])
            self.assertEqual(raw.answer(connection), "welcome")
            os.pwrite(descriptor, b"\xff" * 8, 184)
            os.pwrite(descriptor, (1 << 60).to_bytes(8, "little"), 192)
            for path in ("status", "processes", f"processes/{os.getpid()}/modules", "status"):
                self.watch.get(f"/api/v1/{path}")
        os.close(descriptor)
        self.watch.await_event(os.getpid(), "detached")
        counters = self.watch.get("/api/v1/status")["counters"]
        self.assertEqual([counters[name] for name in ("events_dropped", "modules_dropped", "segments_lying")], [0, 0, 1])
        self.assertEqual(self.watch.log.read_text().count("a segment tells what cannot be"), 1)

    def test_paths_that_overlap_take_no_more_than_there_is(self) -> None:
        content = raw.header(count=raw.MODULES)
        content += bytes(raw.MODULES_AT - len(content))
        row = raw.struct.Struct("<IIIiQQQQQIIQQQIII32s12x16x")
        for number in range(1, raw.MODULES + 1):
            content += row.pack(number, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 4096, 0, b"")
        self.connected(content)
        answer = self.watch.get(f"/api/v1/processes/{os.getpid()}/modules")
        self.assertEqual(answer["modules_dropped"], raw.MODULES - 2 * (1 << 20) // 4096)
        self.assertEqual(self.watch.get("/api/v1/status")["counters"]["modules_dropped"], answer["modules_dropped"])

    def test_a_thread_is_no_process(self) -> None:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(done.set)
        refused = self.watch.mlos("adopt", str(thread.native_id), check=False)
        self.assertEqual((refused.returncode, refused.stderr), (1, f"mlos: there is no process {thread.native_id}\n"))
        self.assertEqual(self.watch.get("/api/v1/processes")["processes"], [])

    def test_a_kernel_thread_is_refused(self) -> None:
        # kthreadd; in a PID namespace the number is somebody else's.
        if not Path("/proc/2/comm").exists() or Path("/proc/2/comm").read_text() != "kthreadd\n":
            self.skipTest("no kernel thread is visible here")
        refused = self.watch.mlos("adopt", "2", check=False)
        self.assertEqual(refused.returncode, 4)
        self.assertIn("kernel thread", refused.stderr)


class Programs(Case):
    def test_events_from_before_a_restart_are_listed_once(self) -> None:
        watch = self.supervisor()
        program = self.program(
            watch.socket, "import ctypes\nwhile checkpoint('ready') != 'end': ctypes.CDLL('libresolv.so.2')\n")
        self.assertEqual(program.line(), "ready")
        watch.wait_for(program.pid)
        watch.stop()
        watch.start()
        watch.wait_for(program.pid)
        # It connects by itself when it does something and its pause after the lost connection is over.
        end = time.monotonic() + LIMIT_S
        page = watch.events(program.pid)
        while not any(event["kind"] == "attached" for event in page["events"]):
            self.assertLess(time.monotonic(), end, "not attached again")
            program.go()
            self.assertEqual(program.line(), "ready")
            page = watch.events(program.pid, page["next"], wait=1)
        seen = [(event["at"], event["kind"], event["subject"])
                for event in watch.events(program.pid)["events"] if event["kind"] == "loaded"]
        self.assertEqual(len(seen), len(set(seen)))
        program.go('end')

    def test_a_program_without_the_agent_shows_no_figures_of_the_one_before(self) -> None:
        watch = self.supervisor(MLOS_OBSERVE_INTERVAL="0")
        program = self.program(
            watch.socket, "checkpoint('ready')\nimport os\ndel os.environ['LD_PRELOAD']\nos.execv('/bin/cat', ['cat'])\n")
        self.assertEqual(program.line(), "ready")
        watch.wait_for(program.pid)
        program.go()
        row = watch.wait_for(program.pid, source="adopted")
        self.assertIsNone(row["live_heap_bytes"])

    def test_a_program_whose_name_is_no_utf8_runs(self) -> None:
        name = os.fsencode(self.folder) + b"/caf\xe9"
        shutil.copy("/bin/echo", name)
        command = [MLOS.encode(), b"run", b"--no-embedded", b"--socket", os.fsencode(self.folder / "agent.sock"), b"--"]
        for program, path in ((name, "/usr/bin:/bin"), (b"caf\xe9", f"/nowhere:{self.folder}")):
            done = run([*command, program, b"a\xffb"], env=environment(PATH=path))
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"a\xffb\n", b""))


if __name__ == "__main__":
    unittest.main()
