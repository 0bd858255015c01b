"""Nothing `mlos` prints is wider than the terminal, whatever its width, and the column sorted by is always there."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import struct
import subprocess
import termios
import unicodedata
import unittest

from harness import LIMIT_S, MLOS, Case, environment, waiting

WIDTHS = [20, 40, 60, 80, 132]
COLOUR = re.compile("\x1b\\[[0-9;]*m")


def on_terminal(columns: int, *command: str) -> tuple[int, list[str]]:
    """Exit status, and the lines a terminal of this width gets, without their colours."""
    terminal, program_side = os.openpty()
    fcntl.ioctl(program_side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=program_side, stderr=subprocess.DEVNULL,
        env=environment(TERM="xterm", LC_ALL="C.UTF-8"))
    os.close(program_side)
    told = b""
    try:
        while waiting.readable([terminal], LIMIT_S):
            told += os.read(terminal, 65536)
    except OSError as error:
        # How a terminal tells that nobody has its other side open any more.
        if error.errno != errno.EIO:
            raise
    os.close(terminal)
    return waiting.finish(process, LIMIT_S), COLOUR.sub("", told.decode()).splitlines()


def width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line if not unicodedata.combining(c))


class Widths(Case):
    def setUp(self) -> None:
        super().setUp()
        self.watch = self.supervisor()
        # A long path for modules and events, a long command line for ps, allocations for heap.
        library = self.folder / ("deep-" * 20) / "libexample-of-a-long-name.so.6"
        library.parent.mkdir()
        shutil.copy("/lib/x86_64-linux-gnu/libm.so.6", library)
        self.worker = self.program(
            self.watch.socket,
            f"import ctypes, threading\nctypes.CDLL('{library}')\n"
            "def work():\n while True: bytearray(100_000)\n"
            "threading.Thread(target=work, daemon=True).start()\ncheckpoint('up')")
        self.worker.line()
        self.watch.wait_for(self.worker.pid)
        self.watch.await_event(self.worker.pid, "loaded", str(library))
        self.watch.await_event(self.worker.pid, "loaded")

    def check(self, *arguments: str, heading: str | None = None) -> None:
        for columns in WIDTHS:
            with self.subTest(arguments=arguments, columns=columns):
                name, *rest = arguments
                words = [name, rest.pop(0)] if name == "config" else [name]
                status, lines = on_terminal(columns, MLOS, *words, "--socket", self.watch.socket, *rest)
                self.assertEqual(status, 0, lines)
                self.assertTrue(lines)
                self.assertEqual([line for line in lines if width(line) > columns], [])
                if heading:
                    self.assertIn(heading, "\n".join(lines[:5]))

    def test_processes(self) -> None:
        for order, heading in [
                ("resident", "RESIDENT"), ("private", "PRIVATE"), ("heap", "HEAP"), ("cpu", "CPU"), ("pid", "PID")]:
            self.check("ps", "--sort", order, heading=heading)

    def test_modules_and_packages(self) -> None:
        pid = str(self.worker.pid)
        for order, heading in [
                ("resident", "RESIDENT"), ("private", "PRIVATE"), ("proportional", "PROPORTIONAL"), ("used", "LAST USED")]:
            self.check("modules", pid, "--sort", order, heading=heading)
            self.check("packages", "--sort", order, heading=heading)
        self.check("packages", "--pid", pid, "--sort", "name", heading="PACKAGE")

    def test_heap(self) -> None:
        for order, heading in [("live", "LIVE"), ("allocated", "ALLOCATED")]:
            self.check("heap", str(self.worker.pid), "--seconds", "0.3", "--by", order, heading=heading)

    def test_top(self) -> None:
        for page in ((), ("--packages",)):
            self.check("top", "--once", "--interval", "0.2", "--sort", "private", *page, heading="PRIVATE")

    def test_the_others(self) -> None:
        for command in (
                ["events"], ["adopt", str(os.getpid())], ["status"], ["config", "show"], ["config", "show", "--origin"],
                ["doctor"]):
            self.check(*command)

    def test_nothing_is_lost_in_a_pipe(self) -> None:
        for command in (["modules", str(self.worker.pid)], ["events"]):
            told = self.watch.mlos(*command).stdout
            self.assertIn("deep-" * 20, told)
            # What the agent has room for is another matter.
            self.assertNotIn("…", "".join(line for line in told.splitlines() if "  dlopen  " not in line))

    def test_nothing_is_lost_of_what_wraps(self) -> None:
        whole = " ".join(self.watch.mlos("doctor").stdout.split())
        _, lines = on_terminal(80, MLOS, "doctor", "--socket", self.watch.socket)
        volatile = re.compile(r"\(.* in use by this program\)|process \d+")
        self.assertEqual(volatile.sub("", " ".join(" ".join(lines).split())), volatile.sub("", whole))


if __name__ == "__main__":
    unittest.main()
