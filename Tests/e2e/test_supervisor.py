"""The supervisor's own life: sockets, signals, configuration, restarts, the service manager."""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import unittest
from pathlib import Path

from harness import LIMIT_S, MLOS, MLOSD, Case, Supervisor, environment, run, waiting


class Life(Case):
    def test_clean_end_leaves_no_socket(self) -> None:
        watch = self.supervisor()
        self.assertEqual(watch.stop(), 0)
        self.assertEqual([n for n in os.listdir(self.folder) if n not in ("mlosd.log", "journal.db")], [])

    def test_second_supervisor_is_refused_and_names_the_first(self) -> None:
        watch = self.supervisor()
        done = run([MLOSD, "--socket", watch.socket], text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(watch.pid), done.stderr)
        self.assertEqual(watch.get("/api/v1/status")["pid"], watch.pid)

    def test_socket_path_that_is_a_symlink_is_refused(self) -> None:
        os.symlink("/dev/null", self.folder / "agent.sock")
        done = run([MLOSD, "--socket", str(self.folder / "agent.sock")], text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("symbolic link", done.stderr)
        self.assertTrue(os.path.islink(self.folder / "agent.sock"))

    def test_file_that_is_no_socket_is_refused_and_kept(self) -> None:
        (self.folder / "control.sock").write_text("precious")
        done = run([MLOSD, "--socket", str(self.folder / "agent.sock")], text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual((self.folder / "control.sock").read_text(), "precious")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to give a socket to another user")
    def test_socket_of_another_user_is_refused(self) -> None:
        path = str(self.folder / "agent.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.bind(path)
        os.chown(path, 65534, 65534)
        done = run([MLOSD, "--socket", path], text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("belongs to user 65534", done.stderr)

    def test_folder_others_may_write_is_refused(self) -> None:
        os.chmod(self.folder, 0o777)
        done = run([MLOSD, "--socket", str(self.folder / "agent.sock")], text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("chmod go-w", done.stderr)

    def test_killed_and_restarted_supervisor_gets_its_agents_back(self) -> None:
        watch = self.supervisor()
        # It allocates all the time, which is when an agent without a thread looks for its supervisor.
        program = self.program(
            watch.socket, "import select\nprint('up', flush=True)\nwhile not select.select([sys.stdin],[],[],0)[0]:\n x=[bytearray(64) for _ in range(1000)]\nprint('done', flush=True)")
        program.line()
        first = watch.wait_for(program.pid)
        watch.stop(signal.SIGKILL)
        watch.start()
        again = watch.wait_for(program.pid)
        self.assertGreaterEqual(again["allocations"], first["allocations"])
        program.go()
        self.assertEqual(program.line(), "done")
        self.assertEqual(program.end(), 0)

    def test_supervisor_that_comes_later_is_found(self) -> None:
        path = str(self.folder / "agent.sock")
        program = self.program(
            path, "import select\nprint('up', flush=True)\nwhile not select.select([sys.stdin],[],[],0)[0]:\n x=[bytearray(64) for _ in range(1000)]\nprint('done', flush=True)")
        program.line()
        watch = self.supervisor()
        row = watch.wait_for(program.pid)
        self.assertGreater(row["live_heap_bytes"], 100_000)
        program.go()
        self.assertEqual(program.line(), "done")

    def test_idle_program_is_found_again_after_a_kill_with_its_numbers(self) -> None:
        watch = self.supervisor()
        # A line of sys.stdin would be read into a buffer that is allocated after the word.
        program = self.program(
            watch.socket, "import os\nkeep=[bytearray(1000) for _ in range(9000)]\nprint('up', flush=True)\nos.read(0, 1)\nprint('done', flush=True)")
        program.line()
        before = watch.wait_for(program.pid)
        watch.stop(signal.SIGKILL)
        watch.start()
        # It does nothing at all meanwhile: no allocation, no load.
        after = watch.wait_for(program.pid)
        self.assertEqual(after["live_heap_bytes"], before["live_heap_bytes"])
        self.assertTrue(watch.get(f"/api/v1/processes/{program.pid}/modules")["modules"])
        program.go()
        self.assertEqual(program.line(), "done")
        self.assertEqual(program.end(), 0)
        watch.await_event(program.pid, "exited")
        self.assertIsNone(watch.row(program.pid))

    def test_idle_program_that_was_there_first_is_listed(self) -> None:
        path = str(self.folder / "agent.sock")
        program = self.program(path, "checkpoint('up')")
        program.line()
        stranger = self.program(str(self.folder / "other.sock"), "checkpoint('up')")
        stranger.line()
        watch = self.supervisor()
        row = watch.wait_for(program.pid, source="adopted")
        self.assertIsNone(row["live_heap_bytes"])
        # One that reports to another supervisor is not ours.
        self.assertIsNone(watch.row(stranger.pid))

    def test_second_supervisor_in_the_folder_is_refused(self) -> None:
        watch = self.supervisor()
        done = run([MLOSD, "--socket", str(self.folder / "other.sock")], text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(watch.pid), done.stderr)
        self.assertEqual(watch.get("/api/v1/status")["pid"], watch.pid)

    def test_running_out_of_descriptors_neither_spins_nor_floods_the_log(self) -> None:
        watch = self.supervisor()
        hard = resource.prlimit(watch.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(watch.pid, resource.RLIMIT_NOFILE, (44, hard))

        def ticks() -> int:
            return sum(int(n) for n in Path(f"/proc/{watch.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])

        silent = []
        for _ in range(60):
            made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            made.setblocking(False)
            self.addCleanup(made.close)
            try:
                made.connect(watch.socket)
            except OSError:
                continue
            silent.append(made)
        watch.await_log("cannot accept agents")
        before = ticks()
        # Three times the limit for a HELLO would be over the pause many times; the silent ones' ends are the events waited for.
        for made in silent[:2]:
            made.settimeout(LIMIT_S)
            try:
                made.recv(64)
            except ConnectionError:
                pass
        self.assertLess(ticks() - before, 200, "clock ticks of the processor while short of descriptors")
        self.assertLess(watch.log.read_text().count("cannot accept agents"), 3)
        for made in silent:
            made.close()
        resource.prlimit(watch.pid, resource.RLIMIT_NOFILE, (hard, hard))
        counters = watch.get("/api/v1/status")["counters"]
        self.assertGreater(counters["sessions_without_descriptor"], 0)
        self.assertGreaterEqual(counters["sessions_refused"], counters["sessions_without_descriptor"])
        program = self.program(watch.socket, "checkpoint('up')")
        program.line()
        watch.wait_for(program.pid)

    def test_full_disk_tears_no_line_of_the_log(self) -> None:
        disk = self.folder / "disk"
        script = f"""
mount -t tmpfs -o size=16k tmpfs {disk} || exit 99
exec {MLOSD} --socket {self.folder}/agent.sock --log-file {disk}/log --log-level debug --ready-fd "$1"
"""
        disk.mkdir()
        read_end, write_end = os.pipe()
        process = subprocess.Popen(
            ["unshare", "-m", "bash", "-c", script, "bash", str(write_end)], pass_fds=[write_end], env=environment(),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        os.close(write_end)
        self.addCleanup(waiting.finish, process, LIMIT_S)
        self.addCleanup(process.terminate)
        with os.fdopen(read_end, "rb") as ready:
            if ready.read() != b"1":
                self.skipTest("no mount namespace with a small file system to be had here")
        inside = Path(f"/proc/{process.pid}/root{disk}")
        watch = Supervisor.__new__(Supervisor)
        watch.control = str(self.folder / "control.sock")
        pad = inside / "pad"
        pad.write_bytes(b"x" * 4096)
        for _ in range(150):
            watch.get("/api/v1/status")
        pad.unlink()
        for _ in range(3):
            watch.get("/api/v1/status")
        entries = [json.loads(line) for line in (inside / "log").read_bytes().splitlines()]
        self.assertIn("log lines were lost", [entry["message"] for entry in entries])

    def test_log_that_may_grow_no_further_has_whole_lines_and_ends_nothing(self) -> None:
        log = self.folder / "own.log"
        watch = self.supervisor("--log-file", str(log), "--log-level", "debug")
        # In the middle of a line, whatever its length.
        size = log.stat().st_size
        for room in (size + 10, size + 200, size + 333):
            resource.prlimit(watch.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
            for _ in range(10):
                watch.get("/api/v1/status")
            text = log.read_text()
            self.assertLessEqual(len(text), room)
            for line in text.splitlines():
                json.loads(line)
            self.assertTrue(text.endswith("\n"))
        resource.prlimit(watch.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        watch.get("/api/v1/status")
        self.assertIn("log lines were lost", [json.loads(line)["message"] for line in log.read_text().splitlines()])
        self.assertEqual(watch.stop(), 0)

    def test_hangup_reads_the_configuration_again_and_a_bad_one_changes_nothing(self) -> None:
        config = self.folder / "mlos.yaml"
        config.write_text("observe:\n  interval: 30\n")
        watch = self.supervisor("--config", str(config))

        def interval() -> str:
            rows = watch.get("/api/v1/config")["settings"]
            return next(f"{r['value']} {r['origin']}" for r in rows if r["key"] == "observe.interval")

        self.assertIn("30", interval())
        self.assertIn("mlos.yaml:2", interval())
        config.write_text("observe:\n  interval: 45\n")
        os.kill(watch.pid, signal.SIGHUP)
        watch.await_log("configuration read again")
        self.assertIn("45", interval())
        config.write_text("observe:\n  intervall: 50\n")
        os.kill(watch.pid, signal.SIGHUP)
        watch.await_log("intervall")
        self.assertIn("45", interval())

    def test_without_proc_it_does_not_start_and_says_why(self) -> None:
        # In a mount namespace of its own: nobody else's /proc is covered.
        script = f"mount -t tmpfs none /proc || exit 99; exec {MLOSD} --socket {self.folder}/agent.sock"
        done = run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], text=True)
        if "mlosd" not in done.stderr and done.returncode in (1, 99):
            self.skipTest(f"no mount namespace to be had here: {done.stderr.strip()}")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"\Amlosd: /proc is not mounted[^\n]*\n\Z")
        self.assertEqual(os.listdir(self.folder), [])

    def test_unknown_key_names_line_column_and_the_nearest(self) -> None:
        config = self.folder / "mlos.yaml"
        config.write_text("log:\n  levle: debug\n")
        done = run([MLOSD, "--socket", str(self.folder / "agent.sock"), "--config", str(config)], text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("mlos.yaml:2:3", done.stderr)
        self.assertIn("log.level", done.stderr)

    def test_log_is_json_lines_and_is_opened_anew(self) -> None:
        log = self.folder / "own.log"
        watch = self.supervisor("--log-file", str(log), "--log-level", "debug")
        waiting.await_change(
            self.folder, "a first line", lambda: log.exists() and log.read_text().endswith("\n"), LIMIT_S)
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            self.assertLessEqual({"time", "level", "logger", "message"}, entry.keys())
        os.rename(log, self.folder / "own.log.1")
        os.kill(watch.pid, signal.SIGHUP)
        waiting.await_change(
            self.folder, "a line in the new file",
            lambda: log.exists() and "configuration read again" in log.read_text(), LIMIT_S)

    def test_service_manager_hears_ready_watchdog_and_stopping(self) -> None:
        path = str(self.folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(LIMIT_S)
            watch = Supervisor(self.folder, NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")
            heard = ""
            while "WATCHDOG=1" not in heard:
                heard += notify.recv(4096).decode() + "\n"
            self.assertIn("READY=1", heard)
            watch.stop()
            while "STOPPING=1" not in heard:
                heard += notify.recv(4096).decode() + "\n"

    def test_command_line_without_supervisor_says_so(self) -> None:
        done = run([MLOS, "ps", "--socket", str(self.folder / "agent.sock")], text=True)
        self.assertEqual(done.returncode, 3)
        self.assertIn("mlosd", done.stderr)

    def test_follower_is_answered_when_the_supervisor_ends(self) -> None:
        watch = self.supervisor()
        follower = subprocess.Popen(
            [MLOS, "events", "--follow", "--socket", watch.socket], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.addCleanup(follower.stdout.close)
        self.addCleanup(follower.stderr.close)
        program = self.program(watch.socket, "checkpoint('up')")
        program.line()
        lines = waiting.Lines(follower.stdout.fileno())
        # The supervisor's first look round may have found it before its agent connected.
        while "attached" not in lines.next("the attachment", LIMIT_S):
            pass
        self.assertEqual(watch.stop(), 0)
        errors = bytearray()
        takers = {follower.stdout.fileno(): lambda _: None, follower.stderr.fileno(): errors.extend}
        self.assertNotEqual(waiting.drain(follower, takers, LIMIT_S), 0)
        self.assertTrue(errors)


class Api(Case):
    def test_errors_have_their_shape_and_status(self) -> None:
        watch = self.supervisor()
        for method, path, body, status, code in [
            ("GET", "/api/v1/nothing", b"", 404, "not_found"),
            ("GET", "/api/v1/processes/12345678/modules", b"", 404, "not_found"),
            ("GET", "/api/v1/processes/x/modules", b"", 422, "invalid_request"),
            ("GET", "/api/v1/processes/-1/modules", b"", 422, "invalid_request"),
            ("GET", "/api/v1/events?wait=1e9", b"", 422, "invalid_request"),
            ("GET", "/api/v1/events?limit=0", b"", 422, "invalid_request"),
            ("GET", "/api/v1/packages?pid=99999999999", b"", 422, "invalid_request"),
            ("POST", "/api/v1/adopt", b"{", 422, "invalid_request"),
            ("POST", "/api/v1/adopt", b'{"pid":"x"}', 422, "invalid_request"),
            ("POST", "/api/v1/adopt", b'{"pid":0}', 422, "invalid_request"),
            ("POST", "/api/v1/adopt", b" " * 70_000, 413, "too_large"),
        ]:
            with self.subTest(path=path, body=body[:20]):
                got, answer = watch.request(method, path, body)
                self.assertEqual((got, answer["error"]["code"]), (status, code), answer)
                self.assertTrue(answer["error"]["message"])

    def answer_to(self, path: str, garbage: bytes) -> bytes:
        """Sends as much as is taken, and reads meanwhile: the answer comes before the end of what is too long, and then
        the rest is not taken any more."""
        said = b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.setblocking(False)
            poll = select.poll()
            poll.register(connection, select.POLLIN | select.POLLOUT)
            while news := poll.poll(LIMIT_S * 1000):
                if news[0][1] & select.POLLIN:
                    piece = connection.recv(65536)
                    said += piece
                    if not piece:
                        return said
                elif garbage:
                    garbage = garbage[connection.send(garbage):]
                else:
                    connection.shutdown(socket.SHUT_WR)
                    poll.modify(connection, select.POLLIN)
        self.fail(f"no end within {LIMIT_S} s; so far {said!r}")

    def test_garbage_on_the_control_socket_ends_that_connection_only(self) -> None:
        watch = self.supervisor()
        for garbage in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"A" * 200_000, b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 50_000):
            with self.subTest(garbage[:30]):
                self.assertRegex(self.answer_to(watch.control, garbage), rb"\AHTTP/1\.1 400 ")
        self.assertEqual(watch.get("/healthz"), {"status": "ok"})


if __name__ == "__main__":
    unittest.main()
