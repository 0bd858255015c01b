"""Several users on one machine: a supervisor of an ordinary user beside root's processes, and the other way round."""

import json
import os
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import test_hostile
from harness import BUILD, LIMIT_S, NOBODY, Case, Supervisor, environment, run, waiting

# A user who is neither root nor NOBODY.
ANOTHER = NOBODY | {"user": 65533, "group": 65533}


def keep_connecting(path: str, number: int, ends: int) -> None:
    """A flood: connections that say nothing, each replaced as soon as it is ended; a byte to `ends` for each."""
    poll = select.poll()
    silent: dict[int, socket.socket] = {}

    def connect() -> None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.connect(path)
        silent[made.fileno()] = made
        poll.register(made, select.POLLRDHUP)

    for _ in range(number):
        connect()
    while True:
        for descriptor, _ in poll.poll():
            poll.unregister(descriptor)
            silent.pop(descriptor).close()
            connect()
            try:
                os.write(ends, b"x")
            except BlockingIOError:
                pass


def connect_without_pause(path: str, ends: int) -> None:
    """The hard flood: as many connections as one core makes, each closed at once; a byte to `ends` for a thousand."""
    while True:
        for _ in range(1000):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as made:
                made.setblocking(False)
                try:
                    made.connect(path)
                except BlockingIOError:
                    pass  # the backlog is full: that is the point
        try:
            os.write(ends, b"x")
        except BlockingIOError:
            pass


@unittest.skipUnless(os.geteuid() == 0, "needs root to become another user")
class Users(Case):
    @classmethod
    def setUpClass(cls) -> None:
        # The checkout may lie where other users cannot go.
        cls.binaries = tempfile.mkdtemp(prefix="mlos-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.binaries)
        os.chmod(cls.binaries, 0o755)
        for name in ("mlos", "mlosd", "libmlosagent.so"):
            shutil.copy(BUILD / name, cls.binaries)
        cls.mlos, cls.mlosd = f"{cls.binaries}/mlos", f"{cls.binaries}/mlosd"

    def as_nobody(self) -> Supervisor:
        os.chown(self.folder, NOBODY["user"], NOBODY["group"])
        watch = Supervisor(self.folder, binary=self.mlosd, user=NOBODY)
        self.addCleanup(watch.stop)
        return watch

    def system_service(self) -> Supervisor:
        """As root under /run: for every user of the machine."""
        folder = Path(tempfile.mkdtemp(prefix="mlos-e2e-", dir="/run"))
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        watch = Supervisor(folder / "made")
        self.addCleanup(watch.stop)
        return watch

    def flood(self, path: str, number: int | None) -> int:
        """`number` silent connections at a time, or without it as many as can be made one after another, by a child of user
        NOBODY; the pipe that tells that it goes on. Not executed: it may not run this Python."""
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        child = os.fork()
        if child == 0:
            try:
                if number:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 100, number + 100))
                os.setgroups([])
                os.setresgid(NOBODY["group"], NOBODY["group"], NOBODY["group"])
                os.setresuid(NOBODY["user"], NOBODY["user"], NOBODY["user"])
                if number:
                    keep_connecting(path, number, write_end)
                else:
                    connect_without_pause(path, write_end)
            finally:
                os._exit(1)
        os.close(write_end)
        self.addCleanup(os.close, read_end)
        self.addCleanup(os.waitpid, child, 0)
        self.addCleanup(os.kill, child, signal.SIGKILL)
        return read_end

    def await_ends(self, flood: int) -> None:
        """What the flood has told so far, and then at least one end more."""
        os.set_blocking(flood, False)
        try:
            while os.read(flood, 65_536):
                pass
        except BlockingIOError:
            pass
        self.assertTrue(waiting.readable([flood], LIMIT_S), "the flood goes on")
        self.assertTrue(os.read(flood, 1), "the flood goes on")

    def test_a_process_it_may_not_read_is_refused_with_the_reason(self) -> None:
        path = self.as_nobody().socket
        done = run([self.mlos, "adopt", "--socket", path, str(os.getpid())], text=True, **NOBODY)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertTrue(done.stderr)

    def test_roots_programs_do_not_obey_it(self) -> None:
        path = self.as_nobody().socket
        program = self.program(path, "x=[bytearray(100) for _ in range(100000)]\ncheckpoint('up')")
        program.line()
        done = run([self.mlos, "ps", "--json", "--socket", path], text=True, **NOBODY)
        self.assertEqual(json.loads(done.stdout)["processes"], [])

    def test_its_programs_are_watched(self) -> None:
        watch = self.as_nobody()
        command = [self.mlos, "run", "--socket", watch.socket, "--", "sh", "-c", "echo $$; read line"]
        with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), **NOBODY) as program:
            assert program.stdin and program.stdout
            row = watch.wait_for(int(waiting.Lines(program.stdout.fileno()).next("its PID", LIMIT_S)))
            self.assertEqual((row["name"], row["user"]), ("sh", NOBODY["user"]))
            program.stdin.close()
            self.assertEqual(waiting.finish(program, LIMIT_S), 1)

    def test_system_service_lets_every_user_in_and_only_root_control(self) -> None:
        folder = self.system_service().folder
        rights = {name: stat.S_IMODE(os.stat(folder / name).st_mode) for name in (".", "agent.sock", "control.sock")}
        self.assertEqual((rights["."], rights["agent.sock"]), (0o755, 0o666))
        self.assertEqual(rights["control.sock"] & 0o077, 0)

    def test_silent_connections_of_one_user_without_end_keep_out_no_agent_of_others(self) -> None:
        watch = self.system_service()
        flood = self.flood(watch.socket, 400)
        self.await_ends(flood)
        for _ in range(100):
            with test_hostile.connect(watch.socket) as connection:
                descriptor = test_hostile.segment(test_hostile.header())
                test_hostile.send(connection, test_hostile.hello(), [descriptor])
                os.close(descriptor)
                self.assertEqual(test_hostile.answer(connection), "welcome")
        variables = environment(LD_PRELOAD=f"{self.binaries}/libmlosagent.so", MLOS_SOCKET=watch.socket)
        # Not the flood's own user: its agents too must say HELLO before 64 more have come.
        for who in ({}, ANOTHER):
            with self.subTest(user=who.get("user", 0)):
                program = subprocess.Popen(
                    ["sh", "-c", "read line"], stdin=subprocess.PIPE, env=variables, **who)
                try:
                    self.assertEqual(watch.wait_for(program.pid)["user"], who.get("user", 0))
                finally:
                    program.stdin.close()
                    waiting.finish(program, LIMIT_S)
        self.await_ends(flood)
        self.assertGreater(watch.get("/api/v1/status")["counters"]["sessions_refused"], 400 - 64)

    def test_connections_without_pause_keep_out_no_agent_of_others(self) -> None:
        watch = self.system_service()
        flood = self.flood(watch.socket, None)
        self.await_ends(flood)
        variables = environment(LD_PRELOAD=f"{self.binaries}/libmlosagent.so", MLOS_SOCKET=watch.socket)
        # A connection that finds the backlog full is tried again, with growing pauses, when the program does something.
        code = "import ctypes, sys\nfor _ in sys.stdin: ctypes.CDLL('libm.so.6')"
        for who in ({}, ANOTHER):
            with self.subTest(user=who.get("user", 0)):
                program = subprocess.Popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, env=variables, **who)
                try:
                    end = time.monotonic() + LIMIT_S
                    while (watch.row(program.pid) or {}).get("source") != "agent":
                        self.assertLess(time.monotonic(), end, "not listed")
                        self.await_ends(flood)
                        program.stdin.write(b"\n")
                        program.stdin.flush()
                    self.assertEqual(watch.row(program.pid)["user"], who.get("user", 0))
                finally:
                    program.stdin.close()
                    waiting.finish(program, LIMIT_S)
        self.await_ends(flood)


if __name__ == "__main__":
    unittest.main()
