"""What every end-to-end test needs: a private supervisor, programs under it, waiting for events instead of sleeping."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/lib"))

import waiting  # noqa: E402  from tools/lib

BUILD = Path(os.environ.get("MLOS_TEST_BUILD", ROOT / "build"))
MLOS = str(BUILD / "mlos")
MLOSD = str(BUILD / "mlosd")
AGENT = str(BUILD / "libmlosagent.so")
PYTHON = os.environ.get("MLOS_TEST_PYTHON", sys.executable)

# Generous: a limit is for a hang, never for a measurement, on two busy cores.
LIMIT_S = 60.0
# The longest that a question for events is held back in one go: below LIMIT_S, which ends a silent connection.
HELD_S = 30.0
# Keyword arguments for subprocess that make root's child an ordinary user.
NOBODY: dict = {"user": 65534, "group": 65534, "extra_groups": []}


def environment(**extra: str) -> dict[str, str]:
    """The environment without anything of MLOS's that the test did not put there; no journal in the state folder of the user."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLOS_") and k != "LD_PRELOAD"}
    return kept | {"MLOS_JOURNAL_PATH": ""} | extra


def run(command: list, limit: float = LIMIT_S, **options) -> subprocess.CompletedProcess:
    """Runs to the end with captured output, in an environment without anything of MLOS's unless told another one."""
    return waiting.run(command, limit, env=options.pop("env", None) or environment(), **options)


class Supervisor:
    """An mlosd on sockets in a folder of its own."""

    def __init__(
        self, folder: Path, *arguments: str, binary: str = MLOSD, user: dict | None = None, **variables: str
    ) -> None:
        self.folder = folder
        self.binary = binary
        self.user = user or {}
        self.socket = str(folder / "agent.sock")
        self.control = str(folder / "control.sock")
        self.arguments = arguments
        self.variables = {"STATE_DIRECTORY": str(folder), "MLOS_JOURNAL_PATH": str(folder / "journal.db")} | variables
        self.log = folder.parent / f"{folder.name}.log" if not folder.exists() else folder / "mlosd.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        read_end, write_end = os.pipe()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "--socket", self.socket, "--ready-fd", str(write_end), *self.arguments],
                pass_fds=[write_end], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(**self.variables), **self.user)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as ready:
            if not waiting.readable([read_end], LIMIT_S) or ready.read() != b"1":
                raise AssertionError(f"supervisor did not become ready:\n{self.log.read_text()}")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return waiting.finish(self.process, LIMIT_S)

    def get(self, path: str) -> dict:
        status, body = self.request("GET", path)
        if status != 200:
            raise AssertionError(f"GET {path}: {status} {body}")
        return body

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict]:
        """One HTTP exchange by hand, so that the server is not tested with the product's own client."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT_S)
            connection.connect(self.control)
            head = f"{method} {path} HTTP/1.1\r\nHost: mlos\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        head_part, _, rest = answer.partition(b"\r\n\r\n")
        if b"chunked" in head_part.lower():
            content = b""
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                content += rest[: int(size, 16)]
                rest = rest[int(size, 16) + 2:]
            rest = content
        return int(head_part.split()[1]), json.loads(rest) if rest.strip() else {}

    def row(self, pid: int) -> dict | None:
        return next((p for p in self.get("/api/v1/processes")["processes"] if p["pid"] == pid), None)

    def events(self, pid: int | None = None, after: int = 0, wait: float = 0) -> dict:
        """The events after `after`; when there are none, the answer is held back until one comes, `wait` s at most."""
        only = f"&pid={pid}" if pid else ""
        return self.get(f"/api/v1/events?after={after}&limit=10000&wait={max(0, min(wait, HELD_S)):.3f}{only}")

    def await_events(self, what: str, enough: Callable[[list[dict]], object], pid: int | None = None) -> list[dict]:
        """All events so far, of one process or of all, as soon as `enough` says that they suffice."""
        end = time.monotonic() + LIMIT_S
        page = self.events(pid)
        told = page["events"]
        while not enough(told):
            if time.monotonic() > end:
                kinds = [(event["kind"], event["subject"]) for event in told]
                raise AssertionError(f"not within {LIMIT_S} s: {what}; told were {kinds}")
            page = self.events(pid, page["next"], end - time.monotonic())
            told += page["events"]
        return told

    def await_event(self, pid: int, kind: str, subject: str | None = None) -> dict:
        def fits(event: dict) -> bool:
            return event["kind"] == kind and (subject is None or event["subject"] == subject)

        told = self.await_events(f"{kind} {subject or ''} of {pid}", lambda events: any(map(fits, events)), pid)
        return next(filter(fits, told))

    def await_state(self, what: str, probe: Callable[[], object], pid: int | None = None) -> object:
        """Asks `probe` now and after every event; only for what changes with an event and never without one."""
        end = time.monotonic() + LIMIT_S
        # The place in the history is taken first: an event after it ends the next wait at once.
        page = self.events(pid)
        while not (answer := probe()):
            if time.monotonic() > end:
                raise AssertionError(f"not within {LIMIT_S} s: {what}")
            page = self.events(pid, page["next"], end - time.monotonic())
        return answer

    def await_quietly(self, what: str, probe: Callable[[], object], limit: float = LIMIT_S) -> object:
        """Asks `probe` now and after every event, and ten times a second between them, held back by the supervisor each time:
        only for what nobody tells, such as the state of a process that is not the test's child."""
        end = time.monotonic() + limit
        page = self.events()
        while not (answer := probe()):
            if time.monotonic() > end:
                raise AssertionError(f"not within {limit} s: {what}")
            page = self.events(None, page["next"], 0.1)
        return answer

    def wait_for(self, pid: int, source: str = "agent") -> dict:
        def listed() -> dict | None:
            row = self.row(pid)
            return row if row and row["source"] == source else None
        return self.await_state(f"process {pid} listed as {source}", listed, pid)  # type: ignore[return-value]

    def await_log(self, words: str) -> None:
        waiting.await_change(self.log.parent, f"{words!r} in the log", lambda: words in self.log.read_text(), LIMIT_S)

    def mlos(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
        done = run([MLOS, arguments[0], "--socket", self.socket, *arguments[1:]], text=True, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"mlos {arguments} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done

    def json(self, *arguments: str) -> dict:
        return json.loads(self.mlos(*arguments, "--json").stdout)


class Program:
    """A Python program under the agent that says one line when it is where the test wants it, and ends when told."""

    def __init__(self, socket_path: str | None, code: str, *, python: str = PYTHON, preload: bool = True, **variables: str):
        values = environment(**variables)
        if preload:
            values["LD_PRELOAD"] = AGENT
        if socket_path:
            values["MLOS_SOCKET"] = socket_path
        script = "import sys\ndef checkpoint(*words):\n print(*words, flush=True); return sys.stdin.readline().strip()\n" + code
        self.process = subprocess.Popen(
            [python, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=values)
        assert self.process.stdout
        self.lines = waiting.Lines(self.process.stdout.fileno())

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        return self.lines.next("a line of the program", LIMIT_S).strip()

    def go(self, words: str = "") -> None:
        assert self.process.stdin
        self.process.stdin.write(words.encode() + b"\n")
        self.process.stdin.flush()

    def end(self) -> int:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            return waiting.finish(self.process, LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Case(unittest.TestCase):
    """Gives each test a folder that is gone afterwards, and supervisors and programs that are ended."""

    maxDiff = None

    def setUp(self) -> None:
        began = time.monotonic()
        self.addCleanup(lambda: self.tell_duration(time.monotonic() - began))
        self.folder = Path(tempfile.mkdtemp(prefix="mlos-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def tell_duration(self, seconds: float) -> None:
        """For the runner to print: a passing test of this length may have waited for something that never came."""
        if seconds > LIMIT_S / 3:
            print(f"slow: {self.id()} took {seconds:.0f} s", file=sys.stderr)

    def supervisor(self, *arguments: str, **variables: str) -> Supervisor:
        made = Supervisor(self.folder, *arguments, **variables)
        self.addCleanup(made.stop)
        return made

    def program(self, socket_path: str | None, code: str, **options) -> Program:
        made = Program(socket_path, code, **options)
        self.addCleanup(made.end)
        return made
