"""A terminal to run programs in: a tmux server of its own, in control mode, which says when the screen changed."""

from __future__ import annotations

import contextlib
import math
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from harness import LIMIT_S, environment

MISSING = "" if shutil.which("tmux") else "needs tmux: apt-get install tmux"
PROMPT = "ready$"


def ended(pid: int) -> Callable[[], bool]:
    """A function that blocks until the process, which is alive now, has ended; False when the limit is over."""
    descriptor = os.pidfd_open(pid)

    def wait() -> bool:
        try:
            watch = select.poll()
            watch.register(descriptor, select.POLLIN)
            return bool(watch.poll(LIMIT_S * 1000))
        finally:
            os.close(descriptor)

    return wait


class Terminal:
    """A window with an interactive shell in it, and what it shows."""

    numbers = count()

    def __init__(self, folder: Path, columns: int, rows: int, **variables: str) -> None:
        self.socket = str(folder / f"tmux{next(self.numbers)}.sock")
        self.news = False
        self.pending = b""
        # No core file of a program that a test crashes.
        shell = f"ulimit -c 0; exec env PS1='{PROMPT} ' HISTFILE= bash --norc --noprofile -i"
        self.process = subprocess.Popen(
            ["tmux", "-u", "-S", self.socket, "-f", "/dev/null", "-C",
             "new-session", "-x", str(columns), "-y", str(rows), shell],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment(LC_ALL="C.UTF-8", **variables))
        assert self.process.stdout
        self.descriptor = self.process.stdout.fileno()
        self.poll = select.poll()
        self.poll.register(self.descriptor, select.POLLIN)
        self.shell_ended: Callable[[], bool] = lambda: True
        try:
            self.answer()
            self.shell = int(self.ask("#{pane_pid}"))
            self.shell_ended = ended(self.shell)
            self.resize(columns, rows)
            self.await_screen("the prompt", lambda lines: lines[0].startswith(PROMPT))
        except BaseException:
            self.close()
            raise

    def line(self, end: float) -> str:
        while b"\n" not in self.pending:
            if not self.poll.poll(math.ceil(max(end - time.monotonic(), 0) * 1000)):
                raise TimeoutError
            piece = os.read(self.descriptor, 65536)
            if not piece:
                raise EOFError("tmux has ended")
            self.pending += piece
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode(errors="replace")

    def answer(self) -> list[str]:
        """The lines of the next answer; what is said between answers is news."""
        end = time.monotonic() + LIMIT_S
        lines: list[str] | None = None
        while True:
            line = self.line(end)
            if line.startswith("%begin "):
                lines = []
            elif lines is None:
                self.news = True
            elif line.startswith("%end "):
                return lines
            elif line.startswith("%error "):
                raise AssertionError(f"tmux: {lines}")
            else:
                lines.append(line)

    def command(self, text: str) -> list[str]:
        assert self.process.stdin
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        return self.answer()

    def ask(self, what: str) -> str:
        return self.command(f"display-message -p '{what}'")[0]

    def screen(self, *options: str) -> list[str]:
        """Each line without blanks at its end."""
        return [line.rstrip() for line in self.command(" ".join(["capture-pane", "-p", *options]))]

    def await_(self, what: str, probe: Callable[[], object]) -> object:
        """Asks `probe` now and after every change of the screen."""
        end = time.monotonic() + LIMIT_S
        while True:
            self.news = False
            if answer := probe():
                return answer
            try:
                while not self.news:
                    self.news = self.line(end).startswith("%")
            except TimeoutError:
                shown = "\n".join(self.screen())
                raise AssertionError(f"not within {LIMIT_S} s: {what}; the screen shows:\n{shown}") from None

    def await_screen(self, what: str, fits: Callable[[list[str]], object]) -> list[str]:
        def fitting() -> list[str] | None:
            lines = self.screen()
            return lines if fits(lines) else None
        return self.await_(what, fitting)  # type: ignore[return-value]

    def await_text(self, words: str) -> list[str]:
        return self.await_screen(repr(words), lambda lines: any(words in line for line in lines))

    def await_title(self, words: str) -> list[str]:
        """The first line begins so."""
        return self.await_screen(f"the title {words!r}", lambda lines: lines[0].startswith(words))

    def type(self, text: str) -> None:
        assert "'" not in text
        self.command(f"send-keys -l '{text}'")

    def press(self, *names: str) -> None:
        """Keys by the names tmux has for them."""
        for name in names:
            self.command(f"send-keys '{name}'")

    def run(self, command: str) -> None:
        self.type(command)
        self.press("Enter")

    def resize(self, columns: int, rows: int) -> None:
        self.command(f"refresh-client -C {columns}x{rows}")

    def is_restored(self) -> bool:
        """The first screen, a cursor, lines that go on below."""
        return self.ask("#{alternate_on}#{cursor_flag}#{wrap_flag}") == "011"

    def is_taken(self) -> bool:
        return self.ask("#{alternate_on}#{cursor_flag}#{wrap_flag}") == "100"

    def program(self, name: str) -> int:
        """The process of that name the shell started, or one of those it started did."""
        waiting = [self.shell]
        for pid in waiting:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    return pid
                waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        raise AssertionError(f"no {name} is running")

    def close(self) -> None:
        if self.process.returncode is not None:
            return
        with contextlib.suppress(EOFError, OSError, AssertionError, TimeoutError):
            self.command("kill-server")
            # To its end: a client that cannot say goodbye does not go.
            while True:
                self.line(time.monotonic() + LIMIT_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait()
        self.shell_ended()
