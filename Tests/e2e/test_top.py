"""`mlos top` in a real terminal: what it shows, the keys, resizing, a supervisor that goes away, and how it leaves."""

from __future__ import annotations

import os
import re
import signal
import termios
import unicodedata
import unittest
from pathlib import Path

import tmux
from harness import MLOS, Case, Program, Supervisor

IDLE = "keep = [bytearray(1000) for _ in range(9000)]\ncheckpoint('up')"


class TopCase(Case):
    def watched(self, code: str = IDLE) -> tuple[Supervisor, Program]:
        watch = self.supervisor()
        program = self.program(watch.socket, code)
        self.assertEqual(program.line(), "up")
        watch.wait_for(program.pid)
        return watch, program

    def terminal(self, watch: Supervisor, columns: int = 80, rows: int = 24, **variables: str) -> tmux.Terminal:
        path = f"{Path(MLOS).parent}:{os.environ['PATH']}"
        made = tmux.Terminal(self.folder, columns, rows, **{"PATH": path, "MLOS_SOCKET": watch.socket, **variables})
        self.addCleanup(made.close)
        return made

    @staticmethod
    def is_frame(lines: list[str], columns: int, rows: int) -> bool:
        """One frame of this size and nothing else: no line that went on below, none above the first."""
        keys = [number for number, line in enumerate(lines) if line.startswith("q quit")]
        headings = [number for number, line in enumerate(lines) if line.endswith(("COMMAND", "LAST USED", "PROCESSES"))]
        return (
            len(lines) == rows and max(map(len, lines)) <= columns and keys == [rows - 1]
            and headings == [1 if rows < 8 else 2 if rows < 12 else 3 if rows < 16 else 4]
            and re.match(r"\d+ (process|package)", lines[0]) is not None
            # A wide line has more keys.
            and ("+- pace" in lines[-1]) == (columns > 98))

    def assert_frame(self, lines: list[str], columns: int, rows: int) -> None:
        self.assertTrue(self.is_frame(lines, columns, rows), "\n".join(lines))


@unittest.skipIf(tmux.MISSING, tmux.MISSING)
class Shown(TopCase):
    def test_80x24(self) -> None:
        watch, program = self.watched()
        window = self.terminal(watch)
        window.run("mlos top --interval 0.2")
        # The second reading, which has rates.
        lines = window.await_screen(
            "a frame with rates", lambda lines: lines[0].startswith("1 process ") and "(0 B/s)" in lines[1])
        self.assert_frame(lines, 80, 24)
        self.assertRegex(lines[1], r"^resident .* MiB  private .*  heap .* MiB \(0 B/s\)  alloc ")
        self.assertRegex(lines[2], r"^supervisor .* MiB  \d+\.\d % CPU  up \d+ \w+  1 agent  0 adopted$")
        self.assertEqual(lines[4].split(), "PID AGENT RESIDENT HEAP CPU % STATE FREED COMMAND".split())
        self.assertRegex(lines[5], rf"^ *{program.pid}  active  .* MiB  .* MiB +\d+\.\d  .*  0 B  ")
        self.assertEqual(
            lines[23], "q quit  Tab packages  Enter its packages  s sort  / filter  space pause  ? help")
        self.assertTrue(window.is_taken())

    def test_200x50(self) -> None:
        watch, program = self.watched()
        window = self.terminal(watch, 200, 50)
        window.run("mlos top")
        lines = window.await_title("1 process ")
        self.assert_frame(lines, 200, 50)
        self.assertEqual(
            lines[4].split(),
            "PID NAME AGENT RESIDENT PRIVATE PROPORTIONAL HEAP HEAP/S ALLOC/S ALLOCATED/S CPU % THREADS MODULES STATE FREED "
            "COMMAND".split())
        self.assertIn(str(program.pid), lines[5])

    def test_20x5(self) -> None:
        watch, _ = self.watched()
        window = self.terminal(watch, 20, 5)
        window.run("mlos top")
        lines = window.await_title("1 process")
        self.assert_frame(lines, 20, 5)
        self.assertEqual(lines[1], "RESIDENT  COMMAND")
        self.assertRegex(lines[2], r"^.* MiB  py")

    def test_names_of_programs_do_not_break_the_lines(self) -> None:
        watch = self.supervisor()
        names = ["日本語の名前", "a\u202eb\u200bc\x1b[2J\x07\n", "e\u0301👨‍👩‍👧‍👦🇩🇪", "plain"]
        code = (
            "import ctypes\nname = eval(sys.stdin.readline())\n"
            "ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)\ncheckpoint('up')")
        for name in names:
            program = self.program(watch.socket, code)
            program.go(ascii(name))
            self.assertEqual(program.line(), "up")
            watch.wait_for(program.pid)
        window = self.terminal(watch, 110, 24)
        window.run("mlos top")
        lines = window.await_title("4 processes")
        self.assert_frame(lines, 110, 24)
        # Every column is where it is for the plain name: characters of the last columns before the command.
        rows = [line for line in window.screen() if "active" in line]
        self.assertEqual(len(rows), 4)

        def column(line: str) -> int:
            before = line[:line.index("active")]
            return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in before)

        self.assertEqual(len({column(row) for row in rows}), 1, rows)

    def test_colours_only_where_they_are_wanted(self) -> None:
        watch, _ = self.watched()
        window = self.terminal(watch)
        window.run("mlos top")
        window.await_title("1 process")
        self.assertIn("\x1b[", "".join(window.screen("-e")))
        self.assertFalse(any(line.startswith("> ") for line in window.screen()))
        window.press("q")
        window.await_("the shell's screen", window.is_restored)
        window.run("NO_COLOR=1 mlos top")
        window.await_title("1 process")
        self.assertNotIn("\x1b[", "".join(window.screen("-e")))
        self.assertTrue(any(line.startswith("> ") for line in window.screen()))


@unittest.skipIf(tmux.MISSING, tmux.MISSING)
class Keys(TopCase):
    def test_pages_filter_order_and_help(self) -> None:
        watch, program = self.watched()
        other = self.program(watch.socket, "keep = b'x' * (64 << 20)\ncheckpoint('up')")
        other.line()
        watch.wait_for(other.pid)
        window = self.terminal(watch)
        window.run("mlos top --interval 0.2")

        def first(pid: int) -> list[str]:
            return window.await_screen(f"{pid} on top", lambda lines: re.match(rf" *{pid} ", lines[5]))

        first(other.pid)
        window.type("r")
        self.assertIn("by resident, reversed", first(program.pid)[0])
        window.type("r")
        first(other.pid)
        window.type("I")
        self.assertIn("by pid", first(min(program.pid, other.pid))[0])
        window.type("s")
        window.await_text("by resident")
        # A row further down, and its packages.
        window.press("Down", "Enter")
        lines = window.await_screen(
            "packages of one process", lambda lines: f" packages of python3 ({program.pid})" in lines[0])
        self.assertTrue(any(line.startswith("libc6 ") for line in lines), lines)
        self.assertRegex(lines[2], r"^packages hold .* % of .* file-backed  .* anonymous$")
        window.press("Escape")
        window.await_title("2 processes")
        window.press("Tab")
        lines = window.await_screen("all packages", lambda lines: re.match(r"\d+ packages  by resident", lines[0]))
        window.type("/LIBC6")
        lines = window.await_text("/LIBC6_")
        self.assertRegex(lines[0], r"^\d+ of \d+ packages")
        self.assertTrue(lines[5].startswith("libc6 "), lines)
        window.press("Enter")
        window.await_screen("the key line", lambda lines: lines[23].startswith("q quit  Tab processes"))
        window.press("Escape")
        window.await_screen("all packages", lambda lines: re.match(r"\d+ packages", lines[0]))
        window.type("?")
        window.await_text("turn the order around")
        window.press("Space")
        window.await_screen("no help", lambda lines: re.match(r"\d+ packages", lines[0]))
        window.press("Space")
        window.await_text("  paused")
        window.type("p-")
        window.await_title("2 processes")
        window.press("Space")
        window.await_text("every 0.2 s")
        window.type("q")
        window.await_("the shell's screen", window.is_restored)

    def test_a_process_that_ends_while_it_is_looked_at(self) -> None:
        watch, program = self.watched()
        window = self.terminal(watch)
        window.run("mlos top --interval 0.2")
        window.await_title("1 process")
        window.press("Enter")
        window.await_screen("its packages", lambda lines: re.match(r"\d+ packages of python3", lines[0]))
        program.go()
        program.end()
        window.await_text(f"python3 ({program.pid}) has ended or is not watched any more")
        window.press("Escape")
        window.await_text("No process is watched.")


@unittest.skipIf(tmux.MISSING, tmux.MISSING)
class Sizes(TopCase):
    def test_every_size_gets_a_frame_that_fits(self) -> None:
        watch, _ = self.watched()
        window = self.terminal(watch)
        window.run("mlos top")
        window.await_title("1 process")
        for columns, rows in [(200, 50), (20, 5), (80, 24), (40, 8), (132, 43), (20, 24), (200, 5)]:
            window.resize(columns, rows)
            # What tmux makes of the frame before, for a moment, is none of this size.
            window.await_screen(f"a frame of {columns}x{rows}", lambda lines: self.is_frame(lines, columns, rows))
        window.resize(20, 2)
        window.await_screen(
            "two rows", lambda lines: len(lines) == 2 and "MiB" in lines[1] and lines[0].startswith("1 process"))

    def test_a_storm_of_size_changes(self) -> None:
        watch, _ = self.watched()
        window = self.terminal(watch)
        window.run("mlos top")
        window.await_title("1 process")
        top = window.program("mlos")
        for _ in range(20_000):
            os.kill(top, signal.SIGWINCH)
        for step in range(60):
            window.resize(20 + step * 3, 5 + step)
            os.kill(top, signal.SIGWINCH)
        window.resize(100, 30)
        window.await_screen("a frame of 100x30", lambda lines: self.is_frame(lines, 100, 30))
        # A signal among so many of another kind is not lost.
        for _ in range(20_000):
            os.kill(top, signal.SIGWINCH)
        os.kill(top, signal.SIGTERM)
        window.await_("the shell's screen", window.is_restored)


@unittest.skipIf(tmux.MISSING, tmux.MISSING)
class Lost(TopCase):
    def test_supervisor_killed_and_started_again(self) -> None:
        watch, program = self.watched()
        window = self.terminal(watch)
        window.run("mlos top --interval 0.2")
        before = window.await_title("1 process")
        watch.stop(signal.SIGKILL)
        lines = window.await_screen("its absence", lambda lines: lines[2].startswith("no supervisor for "))
        self.assertRegex(lines[2], r"; retrying$")
        # What was known stays.
        self.assertEqual(lines[5].split()[:3], before[5].split()[:3])
        watch.start()
        watch.wait_for(program.pid)
        lines = window.await_screen(
            "its return", lambda lines: lines[2].startswith("supervisor ") and lines[0].startswith("1 process"))
        self.assertRegex(lines[5], rf"^ *{program.pid} ")

    def test_supervisor_that_hangs_does_not_hang_the_keys(self) -> None:
        watch, _ = self.watched()
        window = self.terminal(watch)
        window.run("mlos top --interval 0.2")
        window.await_title("1 process")
        os.kill(watch.pid, signal.SIGSTOP)
        try:
            window.type("?")
            window.await_text("turn the order around")
            window.type("q")
            window.await_text("the supervisor has not answered for ")
            window.type("q")
            window.await_("the shell's screen", window.is_restored)
        finally:
            os.kill(watch.pid, signal.SIGCONT)


@unittest.skipIf(tmux.MISSING, tmux.MISSING)
class Left(TopCase):
    """However it ends or stops, the terminal is as before."""

    def modes(self, window: tmux.Terminal) -> list:
        descriptor = os.open(window.ask("#{pane_tty}"), os.O_RDWR | os.O_NOCTTY)
        try:
            return termios.tcgetattr(descriptor)
        finally:
            os.close(descriptor)

    def started(self, watch: Supervisor) -> tuple[tmux.Terminal, list]:
        """Under a script's sh, which, unlike the shell above it, leaves the terminal as it finds it when a program ends.
        Not in place of that shell: a program whose group has no shell above it is not stopped by SIGTSTP."""
        script = self.folder / "session.sh"
        script.write_text('echo "~before"\ntrap : INT QUIT\nread go\nmlos top\necho "ended with $?"\nread end\n')
        window = self.terminal(watch)
        window.run(f"sh {script}")
        window.await_text("~before")
        before = self.modes(window)
        window.press("Enter")
        window.await_title("1 process")
        self.assertNotEqual(self.modes(window), before)
        return window, before

    def assert_restored(self, window: tmux.Terminal, before: list) -> None:
        self.assertTrue(window.is_restored())
        self.assertEqual(self.modes(window), before)
        self.assertTrue(any(line.startswith("~before") for line in window.screen()))

    def test_keys_that_end_it(self) -> None:
        watch, _ = self.watched()
        for key, status in (("q", 0), ("C-c", 128 + signal.SIGINT), ("C-\\", 128 + signal.SIGQUIT)):
            with self.subTest(key=key):
                window, before = self.started(watch)
                window.press(key)
                window.await_text(f"ended with {status}")
                self.assert_restored(window, before)

    def test_signals_and_crashes(self) -> None:
        watch, _ = self.watched()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT):
            with self.subTest(signal=number.name):
                window, before = self.started(watch)
                os.kill(window.program("mlos"), number)
                window.await_text(f"ended with {128 + number}")
                self.assert_restored(window, before)

    def test_stopped_and_continued(self) -> None:
        watch, _ = self.watched()
        window, before = self.started(watch)
        top = window.program("mlos")
        for _ in range(3):
            os.kill(top, signal.SIGTSTP)
            window.await_("the first screen", window.is_restored)
            # It gives the terminal back before it stops; continued in between it would stop all the same.
            watch.await_quietly("stopped", lambda: Path(f"/proc/{top}/stat").read_text().rsplit(") ", 1)[1][0] == "T")
            self.assert_restored(window, before)
            os.kill(top, signal.SIGCONT)
            window.await_title("1 process")
            self.assertTrue(window.is_taken())
        window.press("q")
        window.await_text("ended with 0")
        self.assert_restored(window, before)

    def test_ctrl_z_and_fg(self) -> None:
        watch, _ = self.watched()
        window = self.terminal(watch)
        window.run("mlos top")
        window.await_title("1 process")
        window.press("C-z")
        window.await_screen("the shell", lambda lines: any("Stopped" in line for line in lines))
        self.assertTrue(window.is_restored())
        window.run("echo still $((40 + 2))")
        window.await_text("still 42")
        # In the background it does not touch the screen.
        window.run("bg; wait %1")
        window.await_screen("stopped again", lambda lines: sum("Stopped" in line for line in lines) == 2)
        self.assertTrue(window.is_restored())
        window.run("fg")
        window.await_title("1 process")
        window.press("Tab")
        window.await_screen("packages", lambda lines: re.match(r"\d+ packages", lines[0]))
        window.press("q")
        window.await_("the shell's screen", window.is_restored)

    def test_terminal_that_goes_away(self) -> None:
        watch, _ = self.watched()
        window = self.terminal(watch)
        window.run("mlos top")
        window.await_title("1 process")
        gone = tmux.ended(window.program("mlos"))
        window.close()
        self.assertTrue(gone())

    def test_terminals_that_cannot(self) -> None:
        watch, _ = self.watched()
        window = self.terminal(watch, 120)
        for number, command in enumerate(("TERM=dumb mlos top", "env -u TERM mlos top", "mlos top </dev/null")):
            window.run(f"{command}; echo {number} ended with $?")
            lines = window.await_text(f"{number} ended with 64")
            self.assertTrue(window.is_restored())
            self.assertIn("--once", "".join(lines))


if __name__ == "__main__":
    unittest.main()
