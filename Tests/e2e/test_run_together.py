"""`mlos run` where several programs start at once, or a supervisor is about to be there or to go: all programs run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from harness import LIMIT_S, MLOS, Case, environment, run, waiting

# Holds the lock as a supervisor does that has not begun to listen.
HOLDER = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, b"%d\\n" % os.getpid())
print("held", flush=True)
sys.stdin.readline()
"""


class RunCase(Case):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.end_supervisors)

    def end_supervisors(self) -> None:
        """Those of programs that were over before they were seen wait for another for a while."""
        for lock in self.folder.glob("*/mlosd.lock"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                pid = int(lock.read_text())
                if pid == os.getpid():
                    continue
                with waiting.pidfd_of(pid) as descriptor:
                    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
                    self.assertTrue(waiting.readable([descriptor], LIMIT_S), "the supervisor ends")


class Together(RunCase):
    def setUp(self) -> None:
        super().setUp()
        self.place = self.folder / "run"
        self.socket = str(self.place / "agent.sock")

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [MLOS, "run", "--socket", self.socket, "--", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment())

    def end(self, program: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
        output, errors = bytearray(), bytearray()
        assert program.stdout and program.stderr
        with program:
            status = waiting.drain(
                program, {program.stdout.fileno(): output.extend, program.stderr.fileno(): errors.extend}, LIMIT_S)
        return status, bytes(output), bytes(errors)

    def supervisors_started(self) -> int:
        return (self.place / "mlosd.log").read_text().count('"ready"')

    def test_many_at_once_all_run_under_one_supervisor(self) -> None:
        # The first that is done must not take the supervisor with it: all end together, when told.
        gate, told = os.pipe()
        with os.fdopen(told, "wb"):
            programs = [
                subprocess.Popen(
                    [MLOS, "run", "--socket", self.socket, "--", "sh", "-c", "echo ran; read line"], stdin=gate,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
                for _ in range(8)]
            os.close(gate)
            for program in programs:
                assert program.stdout
                self.assertEqual(waiting.Lines(program.stdout.fileno()).next("its line", LIMIT_S), "ran")
        for program in programs:
            self.assertEqual(self.end(program)[::2], (1, b""))
        self.assertEqual(self.supervisors_started(), 1)

    def test_again_and_again_while_supervisors_come_and_go(self) -> None:
        for _ in range(5):
            for program in [self.start("true") for _ in range(4)]:
                self.assertEqual(self.end(program), (0, b"", b""))

    def test_both_ends_of_a_pipe(self) -> None:
        for attempt in range(5):
            line = f'{MLOS} run -- true | {MLOS} run -- true; echo "${{PIPESTATUS[@]}}"'
            done = run(
                ["bash", "-c", line], text=True, env=environment(MLOS_SOCKET=str(self.folder / f"x{attempt}" / "agent.sock")))
            self.assertEqual((done.stdout, done.stderr), ("0 0\n", ""))

    def hold(self) -> subprocess.Popen[bytes]:
        self.place.mkdir(mode=0o700)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.place / "mlosd.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.__exit__, None, None, None)
        self.addCleanup(holder.kill)
        assert holder.stdout
        self.assertEqual(waiting.Lines(holder.stdout.fileno()).next("that it holds the lock", LIMIT_S), "held")
        return holder

    def await_refusal(self) -> None:
        """Until the supervisor that was started has found the lock held."""
        log = self.place / "mlosd.log"
        waiting.await_change(
            self.place, "a refusal in the log", lambda: log.exists() and "another supervisor" in log.read_text(), LIMIT_S)

    def test_supervisor_that_dies_before_it_listens_is_replaced(self) -> None:
        holder = self.hold()
        program = self.start("echo", "ran")
        self.await_refusal()
        holder.kill()
        self.assertEqual(self.end(program), (0, b"ran\n", b""))

    def test_supervisor_that_goes_leaves_its_place(self) -> None:
        """The lock is given back, its holder lives on: the folder tells."""
        self.place.mkdir(mode=0o700)
        path = self.place / "mlosd.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, b"%d\n" % os.getpid())
        program = self.start("echo", "ran")
        self.await_refusal()
        path.unlink()
        os.close(lock)
        self.assertEqual(self.end(program), (0, b"ran\n", b""))

    def test_failure_is_told_in_its_own_words(self) -> None:
        broken = self.folder / "broken.yaml"
        broken.write_text("log.levle: debug\n")
        programs = [
            subprocess.Popen(
                [MLOS, "run", "--socket", self.socket, "--", "true"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=environment(MLOS_CONFIG=str(broken)))
            for _ in range(4)]
        for program in programs:
            status, _, errors = self.end(program)
            self.assertEqual(status, 125)
            self.assertEqual(errors.count(b"levle"), 1, errors)


class RelativeConfiguration(RunCase):
    def test_named_by_the_environment(self) -> None:
        (self.folder / "mine.yaml").write_text("log.format: text\n")
        done = run(
            [MLOS, "run", "--socket", str(self.folder / "run/agent.sock"), "--", "true"], text=True, cwd=self.folder,
            env=environment(MLOS_CONFIG="mine.yaml"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertNotIn("{", Path(self.folder / "run/mlosd.log").read_text())


if __name__ == "__main__":
    unittest.main()
